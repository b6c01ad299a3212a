use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ddp_protocol::ejson::Value;
use ddp_protocol::session::{CallKey, Work};
use tokio_util::task::TaskTracker;

use crate::command::{Command, Returned};
use crate::connection::Connection;
use crate::error::Error;
use crate::params::FromParams;
use crate::result::IntoResult;
use crate::task;

/// What a method knows about its call (Meteor's `this` in a method).
#[derive(Debug)]
pub struct MethodContext {
    connection: Connection,
    call: CallKey,
    random_seed: Option<String>,
}

impl MethodContext {
    /// Lets the client's next message start before this method has returned.
    pub fn unblock(&self) {
        self.connection
            .send(Command::Unblock(Work::Method(self.call)));
    }

    /// The caller's connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The seed that the client sent for ids that both sides make alike.
    pub fn random_seed(&self) -> Option<&str> {
        self.random_seed.as_deref()
    }

    /// Begins a write that may end after the method has returned (Meteor's write fence). The
    /// client hears `updated` only when the guard is dropped; drop it after the data was given
    /// to publications and live collections.
    pub fn begin_write(&self) -> WriteGuard {
        self.connection.send(Command::BeginWrite(self.call));
        WriteGuard {
            connection: self.connection.clone(),
            call: self.call,
        }
    }
}

/// A write that has not ended; see [`MethodContext::begin_write`].
#[derive(Debug)]
#[must_use = "the write ends when the guard is dropped"]
pub struct WriteGuard {
    connection: Connection,
    call: CallKey,
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        self.connection.send(Command::CommitWrite(self.call));
    }
}

type Outcome = Pin<Box<dyn Future<Output = Result<Option<Value>, Error>> + Send>>;

/// A registered method.
#[derive(Clone)]
pub(crate) struct Method(Arc<dyn Fn(MethodContext, Vec<Value>) -> Outcome + Send + Sync>);

impl Method {
    pub(crate) fn new<F, P, T, R>(handler: F) -> Self
    where
        F: Fn(MethodContext, P) -> T + Send + Sync + 'static,
        P: FromParams,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: IntoResult,
    {
        Self(Arc::new(move |context, params| {
            let returned = P::from_params(params).map(|params| handler(context, params));
            Box::pin(async move { returned?.await?.into_result() })
        }))
    }

    /// Starts the method, which reports to the session.
    pub(crate) fn start(
        &self,
        connection: &Connection,
        call: CallKey,
        name: String,
        params: Vec<Value>,
        random_seed: Option<String>,
        calls: &TaskTracker,
    ) {
        let handler = Arc::clone(&self.0);
        let connection = connection.clone();
        task::start(calls.track_future(async move {
            let context = MethodContext {
                connection: connection.clone(),
                call,
                random_seed,
            };
            let outcome = task::guarded(async move { handler(context, params).await }).await;
            let result = outcome.unwrap_or_else(|task::Panicked| {
                tracing::error!(method = name, "a method panicked");
                Err(Error::internal())
            });
            let result = result.map_err(|error| error.disclose("a method", &name));
            let returned = Returned { call, result };
            connection.send(Command::MethodReturned(Box::new(returned)));
        }));
    }
}
