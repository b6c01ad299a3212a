use std::time::Duration;

use super::matching::Match;

/// Which requests may come how often. What a rule does not mention it neither looks at nor counts
/// separately.
#[derive(Debug)]
pub struct Rule {
    kind: Option<Kind>,
    name: Option<Match>,
    user_id: Option<Match>,
    client_address: Option<Match>,
    connection_id: Option<Match>,
    pub(super) number_of_requests: u32,
    pub(super) interval: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Method,
    Subscription,
}

/// Something that a client wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    pub(crate) user_id: Option<&'a str>,
    pub(crate) client_address: Option<&'a str>,
    pub(crate) connection_id: &'a str,
}

impl Rule {
    /// So many calls and subscriptions, counted together, in each interval.
    pub fn requests(number_of_requests: u32, interval: Duration) -> Self {
        Self {
            kind: None,
            name: None,
            user_id: None,
            client_address: None,
            connection_id: None,
            number_of_requests,
            interval,
        }
    }

    /// So many method calls in each interval.
    pub fn methods(number_of_requests: u32, interval: Duration) -> Self {
        let kind = Some(Kind::Method);
        Self {
            kind,
            ..Self::requests(number_of_requests, interval)
        }
    }

    /// So many subscriptions in each interval.
    pub fn subscriptions(number_of_requests: u32, interval: Duration) -> Self {
        let kind = Some(Kind::Subscription);
        Self {
            kind,
            ..Self::requests(number_of_requests, interval)
        }
    }

    /// Meteor's rule for accounts: each connection may call each of `login`, `createUser`,
    /// `resetPassword` and `forgotPassword` five times in ten seconds
    /// (`packages/accounts-base/accounts_rate_limit.js`).
    pub fn accounts() -> Self {
        const METHODS: [&str; 4] = ["login", "createUser", "resetPassword", "forgotPassword"];
        let name = Match::when(|name| name.is_some_and(|name| METHODS.contains(&name)));
        Self::methods(5, Duration::from_secs(10))
            .name(name)
            .connection_id(Match::any())
    }

    /// Only for this method or publication.
    #[must_use]
    pub fn name(mut self, name: impl Into<Match>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only for this user.
    #[must_use]
    pub fn user_id(mut self, user_id: impl Into<Match>) -> Self {
        self.user_id = Some(user_id.into());
        self
    }

    /// Only for this address.
    #[must_use]
    pub fn client_address(mut self, client_address: impl Into<Match>) -> Self {
        self.client_address = Some(client_address.into());
        self
    }

    /// Only for this connection.
    #[must_use]
    pub fn connection_id(mut self, connection_id: impl Into<Match>) -> Self {
        self.connection_id = Some(connection_id.into());
        self
    }

    /// By which counter a request counts, if the rule is for it at all.
    pub(super) fn counter(&self, request: &Request<'_>) -> Option<Counter> {
        if self.kind.is_some_and(|kind| kind != request.kind) {
            return None;
        }
        let properties = [
            (&self.name, Some(request.name)),
            (&self.user_id, request.user_id),
            (&self.client_address, request.client_address),
            (&self.connection_id, Some(request.connection_id)),
        ];
        let looked_at = properties
            .into_iter()
            .filter_map(|(wanted, value)| Some((wanted.as_ref()?, value)));
        let values = looked_at.map(|(wanted, value)| {
            let owned = || value.map(Box::from);
            wanted.fits(value).then(owned)
        });
        values.collect()
    }
}

/// The values of what a rule looks at.
pub(super) type Counter = Vec<Option<Box<str>>>;
