use std::collections::HashMap;
use std::sync::Arc;

use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::{Names, Origin};
use parking_lot::RwLock;
use tokio_util::task::TaskTracker;

use crate::connection::Connection;
use crate::error::Error;
use crate::method::{self, Call, Method};
use crate::metrics::{MethodSnapshot, Recorder};
use crate::publisher::Publisher;
use crate::rate_limit::{Kind, RateLimiter, Request};
use crate::subscription::Subscription;
use crate::task::{self, Panicked};

type OnConnection = dyn Fn(&Connection) + Send + Sync;

/// What a server offers, and what it counts.
#[derive(Default)]
pub(crate) struct Handlers {
    pub(crate) methods: RwLock<HashMap<String, Method>>,
    pub(crate) publishers: RwLock<HashMap<String, Publisher>>,
    pub(crate) universal: RwLock<Vec<Publisher>>,
    pub(crate) on_connection: Vec<Box<OnConnection>>,
    pub(crate) rate_limiter: RateLimiter,
    pub(crate) metrics: Arc<Recorder>,
    /// Method calls that run, until their results are on the way to their sessions.
    pub(crate) calls: TaskTracker,
}

/// A publication that is to begin for a client.
pub(crate) struct Start {
    pub(crate) key: SubscriptionKey,
    pub(crate) origin: Origin,
    pub(crate) user_id: Option<Arc<str>>,
    /// The client has not asked for it anew: its user has changed.
    pub(crate) again: bool,
}

impl Handlers {
    /// A client has connected.
    pub(crate) fn connected(&self, connection: &Connection) {
        for callback in &self.on_connection {
            if let Err(Panicked) = task::caught(|| callback(connection)) {
                tracing::error!("an on_connection callback panicked");
            }
        }
    }

    /// Carries out a call, unless it is one too many.
    pub(crate) fn start_method(&self, connection: &Connection, call: Call) {
        let method = self.methods.read().get(&call.name).cloned();
        let Some(method) = method else {
            let error = Error::not_found(format!("Method '{}' not found", call.name));
            return method::answer(connection, call.key, &call.name, Err(error));
        };
        let user_id = call.user_id.as_deref();
        if let Err(error) = self.admit(Kind::Method, &call.name, user_id, connection) {
            return method::answer(connection, call.key, &call.name, Err(error));
        }
        let run = method.run(connection.clone(), call);
        task::start(self.calls.track_future(run));
    }

    /// Runs a publication for a subscription, unless the client has asked for one too many.
    pub(crate) fn start_publication(&self, connection: &Connection, start: Start) -> Subscription {
        let Start {
            key,
            origin,
            user_id,
            again,
        } = start;
        let (publisher, id, name, params) = match origin {
            Origin::Client { id, name, params } => {
                let publisher = self.publishers.read().get(&name).cloned();
                (publisher, Some(id), name, params)
            }
            Origin::Universal(number) => {
                let publisher = self.universal.read().get(number).cloned();
                (publisher, None, String::new(), Vec::new())
            }
        };
        let asked_for = id.is_some() && !again;
        let sub = Subscription::new(key, id, name, user_id, connection.clone());
        match self.publisher_for(&sub, publisher, asked_for) {
            Ok(publisher) => task::start(publisher.run(sub.clone(), params)),
            Err(error) => {
                sub.error(error);
                sub.returned();
            }
        }
        sub
    }

    /// The methods with their times.
    pub(crate) fn method_times(&self) -> impl Iterator<Item = (String, MethodSnapshot)> {
        let methods = self.methods.read();
        let times = methods.iter().map(|(name, method)| {
            let snapshot = MethodSnapshot::of(method.timing());
            (name.clone(), snapshot)
        });
        times.collect::<Vec<_>>().into_iter()
    }

    fn publisher_for(
        &self,
        sub: &Subscription,
        publisher: Option<Publisher>,
        asked_for: bool,
    ) -> Result<Publisher, Error> {
        let not_found = || Error::not_found(format!("Subscription '{}' not found", sub.name()));
        let publisher = publisher.ok_or_else(not_found)?;
        if asked_for {
            let user_id = sub.user_id();
            self.admit(Kind::Subscription, sub.name(), user_id, sub.connection())?;
        }
        Ok(publisher)
    }

    fn admit(
        &self,
        kind: Kind,
        name: &str,
        user_id: Option<&str>,
        connection: &Connection,
    ) -> Result<(), Error> {
        let checked = self.rate_limiter.check(&Request {
            kind,
            name,
            user_id,
            client_address: connection.client_address(),
            connection_id: connection.id(),
        });
        checked.inspect_err(|_| self.metrics.rate_limited.add(1))
    }
}

impl Names for Handlers {
    fn has_method(&self, name: &str) -> bool {
        let known = self.methods.read().contains_key(name);
        self.metrics.unknown_methods.add(u64::from(!known));
        known
    }

    fn has_publication(&self, name: &str) -> bool {
        let known = self.publishers.read().contains_key(name);
        self.metrics.unknown_publications.add(u64::from(!known));
        known
    }

    fn universal(&self) -> usize {
        self.universal.read().len()
    }
}
