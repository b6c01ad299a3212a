use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use ddp_protocol::ejson::Value;
use ddp_protocol::session::CallKey;

use crate::command::{Command, Returned};
use crate::connection::Connection;
use crate::error::Error;
use crate::method_context::MethodContext;
use crate::metrics::Timing;
use crate::params::FromParams;
use crate::result::IntoResult;
use crate::task;

type Outcome = Pin<Box<dyn Future<Output = Result<Option<Value>, Error>> + Send>>;
type Handler = dyn Fn(MethodContext, Vec<Value>) -> Outcome + Send + Sync;

/// A registered method.
#[derive(Clone)]
pub(crate) struct Method {
    handler: Arc<Handler>,
    timing: Arc<Timing>,
}

/// A call that a client has made.
pub(crate) struct Call {
    pub(crate) key: CallKey,
    pub(crate) name: String,
    pub(crate) params: Vec<Value>,
    pub(crate) random_seed: Option<String>,
    pub(crate) user_id: Option<Arc<str>>,
}

impl Method {
    pub(crate) fn new<F, P, T, R>(handler: F) -> Self
    where
        F: Fn(MethodContext, P) -> T + Send + Sync + 'static,
        P: FromParams,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: IntoResult,
    {
        let handler = move |context, params| -> Outcome {
            let returned = P::from_params(params).map(|params| handler(context, params));
            Box::pin(async move { returned?.await?.into_result() })
        };
        Self {
            handler: Arc::new(handler),
            timing: Arc::default(),
        }
    }

    pub(crate) fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Carries out a call, and reports to its session.
    pub(crate) async fn run(self, connection: Connection, call: Call) {
        let Call {
            key, name, params, ..
        } = call;
        let context = MethodContext::new(connection.clone(), key, call.random_seed, call.user_id);
        let begun = Instant::now();
        let outcome = task::guarded(async { (self.handler)(context, params).await }).await;
        let result = outcome.unwrap_or_else(|task::Panicked| {
            tracing::error!(method = name, "a method panicked");
            Err(Error::internal())
        });
        self.timing.record(begun.elapsed(), result.is_err());
        answer(&connection, key, &name, result);
    }
}

/// Reports what a call has come to.
pub(crate) fn answer(
    connection: &Connection,
    call: CallKey,
    name: &str,
    result: Result<Option<Value>, Error>,
) {
    let result = result.map_err(|error| error.disclose("a method", name));
    let returned = Returned { call, result };
    connection.send(Command::MethodReturned(Box::new(returned)));
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Method").finish_non_exhaustive()
    }
}
