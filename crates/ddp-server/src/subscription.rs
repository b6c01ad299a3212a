use std::sync::Arc;

use ddp_protocol::ejson::Fields;
use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::Work;
use ddp_protocol::{DocumentId, LiveChange};

use crate::callbacks::Callbacks;
use crate::command::{Change, Command, Told};
use crate::connection::Connection;
use crate::error::Error;

/// One client's subscription, as its publication sees it (Meteor's `this` in a publish function).
///
/// Clones speak for the same subscription and may be used from anywhere, at any time: after the
/// subscription is over nothing happens.
#[derive(Debug, Clone)]
pub struct Subscription(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: SubscriptionKey,
    id: Option<Box<str>>,
    name: Box<str>,
    user_id: Option<Arc<str>>,
    connection: Connection,
    on_stop: Callbacks,
}

impl Subscription {
    pub(crate) fn new(
        key: SubscriptionKey,
        id: Option<String>,
        name: String,
        user_id: Option<Arc<str>>,
        connection: Connection,
    ) -> Self {
        let metrics = connection.metrics();
        metrics.subscriptions.add(1);
        metrics.subscriptions_started.add(1);
        Self(Arc::new(Inner {
            key,
            id: id.map(Into::into),
            name: name.into(),
            user_id,
            connection,
            on_stop: Callbacks::default(),
        }))
    }

    /// The id that the client gave the subscription; `None` for a universal publication.
    pub fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    /// The publication's name; empty for a universal publication.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Who is logged in on the connection. That does not change while the publication runs: when
    /// the user changes, it is stopped and run again.
    pub fn user_id(&self) -> Option<&str> {
        self.0.user_id.as_deref()
    }

    /// The subscriber's connection.
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The publication has a document that the subscriber should have.
    pub fn added(&self, collection: &str, id: impl Into<DocumentId>, fields: Fields) {
        let id = id.into();
        self.change(collection, Change::Added { id, fields });
    }

    /// Some fields of a document that was added have other values.
    pub fn changed(
        &self,
        collection: &str,
        id: impl Into<DocumentId>,
        fields: Fields,
        cleared: Vec<String>,
    ) {
        let change = Change::Changed {
            id: id.into(),
            fields,
            cleared,
        };
        self.change(collection, change);
    }

    /// The publication no longer has a document that was added.
    pub fn removed(&self, collection: &str, id: impl Into<DocumentId>) {
        self.change(collection, Change::Removed { id: id.into() });
    }

    /// The initial data was given.
    pub fn ready(&self) {
        self.send(Command::Ready(self.0.key));
    }

    /// Ends the subscription with an error. What clients may not see of it goes to the log.
    pub fn error(&self, error: impl Into<Error>) {
        let error = error.into().disclose("a publication", &self.0.name);
        self.send(Command::Fail(self.0.key, Box::new(error)));
    }

    /// Ends the subscription.
    pub fn stop(&self) {
        self.send(Command::Stop(self.0.key));
    }

    /// Lets the client's next message start before the publication's handler has returned.
    pub fn unblock(&self) {
        self.send(Command::Unblock(Work::Publication(self.0.key)));
    }

    /// Calls back when the subscription is over, for whatever reason; at once if it already is.
    pub fn on_stop(&self, callback: impl FnOnce() + Send + 'static) {
        self.0.on_stop.add(callback);
    }

    /// Whether the subscription is over.
    pub fn is_stopped(&self) -> bool {
        self.0.on_stop.is_over()
    }

    /// The session says that the subscription is over.
    pub(crate) fn stopped(&self) {
        self.0.connection.metrics().subscriptions.add(-1);
        self.0.on_stop.run("on_stop");
    }

    /// The publication's handler has returned.
    pub(crate) fn returned(&self) {
        self.send(Command::PublicationReturned(self.0.key));
    }

    /// What happened in a live collection.
    pub(crate) fn apply(&self, change: Arc<LiveChange>) {
        self.send(Command::Live {
            sub: self.0.key,
            change,
        });
    }

    fn change(&self, collection: &str, change: Change) {
        self.send(Command::Change(Box::new(Told {
            sub: self.0.key,
            collection: collection.into(),
            change,
        })));
    }

    fn send(&self, command: Command) {
        self.0.connection.send(command);
    }
}
