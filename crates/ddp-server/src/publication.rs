use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ddp_protocol::ejson::{Fields, Value};
use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::Work;
use ddp_protocol::{DocumentId, LiveChange};
use parking_lot::Mutex;

use crate::command::{Change, Command, Told};
use crate::connection::Connection;
use crate::error::Error;
use crate::live::Query;
use crate::params::FromParams;
use crate::task;

/// One client's subscription, as its publication sees it (Meteor's `this` in a publish function).
///
/// Clones speak for the same subscription and may be used from anywhere, at any time: after the
/// subscription is over nothing happens.
#[derive(Debug, Clone)]
pub struct Subscription(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: SubscriptionKey,
    id: String,
    name: String,
    connection: Connection,
    on_stop: Mutex<OnStop>,
}

enum OnStop {
    Active(Vec<Box<dyn FnOnce() + Send>>),
    Stopped,
}

impl fmt::Debug for OnStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active(callbacks) => write!(f, "Active({} callbacks)", callbacks.len()),
            Self::Stopped => f.write_str("Stopped"),
        }
    }
}

impl Subscription {
    pub(crate) fn new(
        key: SubscriptionKey,
        id: String,
        name: String,
        connection: Connection,
    ) -> Self {
        let on_stop = Mutex::new(OnStop::Active(Vec::new()));
        Self(Arc::new(Inner {
            key,
            id,
            name,
            connection,
            on_stop,
        }))
    }

    /// The id that the client gave the subscription.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The publication's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The subscriber's connection.
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The publication has a document that the subscriber should have.
    pub fn added(&self, collection: &str, id: impl Into<DocumentId>, fields: Fields) {
        self.change(
            collection,
            Change::Added {
                id: id.into(),
                fields,
            },
        );
    }

    /// Some fields of a document that was added have other values.
    pub fn changed(
        &self,
        collection: &str,
        id: impl Into<DocumentId>,
        fields: Fields,
        cleared: Vec<String>,
    ) {
        self.change(
            collection,
            Change::Changed {
                id: id.into(),
                fields,
                cleared,
            },
        );
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
        if let OnStop::Active(callbacks) = &mut *self.0.on_stop.lock() {
            callbacks.push(Box::new(callback));
            return;
        }
        callback();
    }

    /// Whether the subscription is over.
    pub fn is_stopped(&self) -> bool {
        matches!(*self.0.on_stop.lock(), OnStop::Stopped)
    }

    /// The session says that the subscription is over.
    pub(crate) fn stopped(&self) {
        let was = std::mem::replace(&mut *self.0.on_stop.lock(), OnStop::Stopped);
        let OnStop::Active(callbacks) = was else {
            return;
        };
        for callback in callbacks {
            if task::caught(callback).is_err() {
                tracing::error!("an on_stop callback panicked");
            }
        }
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

/// What a publication returns.
#[derive(Debug)]
pub struct Publication(Source);

#[derive(Debug)]
enum Source {
    Queries(Vec<Query>),
    Manual,
}

impl Publication {
    /// The handler speaks through its [`Subscription`], and says itself when it is ready.
    pub fn manual() -> Self {
        Self(Source::Manual)
    }

    /// Publishes the documents of the queries, and is ready when the present ones are sent.
    fn publish(self, sub: &Subscription) -> Result<(), Error> {
        let Source::Queries(queries) = self.0 else {
            return Ok(());
        };
        let collections: HashSet<&str> = queries.iter().map(Query::collection).collect();
        if collections.len() < queries.len() {
            tracing::error!("a publication returned two queries of the same collection");
            return Err(Error::internal());
        }
        for query in queries {
            query.publish(sub)?;
        }
        sub.ready();
        Ok(())
    }
}

/// As [`Publication::manual`].
impl From<()> for Publication {
    fn from((): ()) -> Self {
        Self::manual()
    }
}

impl From<Query> for Publication {
    fn from(query: Query) -> Self {
        Self(Source::Queries(vec![query]))
    }
}

impl From<Vec<Query>> for Publication {
    fn from(queries: Vec<Query>) -> Self {
        Self(Source::Queries(queries))
    }
}

impl<const N: usize> From<[Query; N]> for Publication {
    fn from(queries: [Query; N]) -> Self {
        Self(Source::Queries(queries.into()))
    }
}

type Returned = Pin<Box<dyn Future<Output = Result<Publication, Error>> + Send>>;

/// A registered publication.
#[derive(Clone)]
pub(crate) struct Publisher(Arc<dyn Fn(Subscription, Vec<Value>) -> Returned + Send + Sync>);

impl Publisher {
    pub(crate) fn new<F, P, T, R>(handler: F) -> Self
    where
        F: Fn(Subscription, P) -> T + Send + Sync + 'static,
        P: FromParams,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: Into<Publication>,
    {
        Self(Arc::new(move |sub, params| {
            let returned = P::from_params(params).map(|params| handler(sub, params));
            Box::pin(async move { returned?.await.map(Into::into) })
        }))
    }

    /// Starts the handler, which reports to the session.
    pub(crate) fn start(&self, sub: &Subscription, params: Vec<Value>) {
        let handler = Arc::clone(&self.0);
        let sub = sub.clone();
        task::start(async move {
            let context = sub.clone();
            let outcome = task::guarded(async move { handler(context, params).await }).await;
            let outcome = outcome.unwrap_or_else(|task::Panicked| {
                tracing::error!(publication = sub.name(), "a publication panicked");
                Err(Error::internal())
            });
            if let Err(error) = outcome.and_then(|publication| publication.publish(&sub)) {
                sub.error(error);
            }
            sub.send(Command::PublicationReturned(sub.0.key));
        });
    }
}
