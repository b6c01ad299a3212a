use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ddp_protocol::ejson::Value;

use crate::error::Error;
use crate::params::FromParams;
use crate::publication::Publication;
use crate::subscription::Subscription;
use crate::task;

type Outcome = Pin<Box<dyn Future<Output = Result<Publication, Error>> + Send>>;

/// A registered publication.
#[derive(Clone)]
pub(crate) struct Publisher(Arc<dyn Fn(Subscription, Vec<Value>) -> Outcome + Send + Sync>);

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

    pub(crate) fn universal<F, T, R>(handler: F) -> Self
    where
        F: Fn(Subscription) -> T + Send + Sync + 'static,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: Into<Publication>,
    {
        Self::new(move |sub, _: Vec<Value>| handler(sub))
    }

    /// Runs the handler for a subscription, and reports to its session.
    pub(crate) async fn run(self, sub: Subscription, params: Vec<Value>) {
        let context = sub.clone();
        let outcome = task::guarded(async { (self.0)(context, params).await }).await;
        let outcome = outcome.unwrap_or_else(|task::Panicked| {
            tracing::error!(publication = sub.name(), "a publication panicked");
            Err(Error::internal())
        });
        if let Err(error) = outcome.and_then(|publication| publication.publish(&sub)) {
            sub.error(error);
        }
        sub.returned();
    }
}
