//! What is offered by a server that already runs.

use std::future::Future;

use crate::command::Command;
use crate::error::Error;
use crate::method::Method;
use crate::method_context::MethodContext;
use crate::params::FromParams;
use crate::publication::Publication;
use crate::publisher::Publisher;
use crate::result::IntoResult;
use crate::server::Server;
use crate::subscription::Subscription;

impl Server {
    /// Offers a method from now on, as [`Builder::method`](crate::Builder::method) does.
    pub fn method<F, P, T, R>(&self, name: impl Into<String>, handler: F)
    where
        F: Fn(MethodContext, P) -> T + Send + Sync + 'static,
        P: FromParams,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: IntoResult,
    {
        let methods = &self.handlers().methods;
        methods.write().insert(name.into(), Method::new(handler));
    }

    /// Offers a publication from now on, as [`Builder::publish`](crate::Builder::publish) does.
    pub fn publish<F, P, T, R>(&self, name: impl Into<String>, handler: F)
    where
        F: Fn(Subscription, P) -> T + Send + Sync + 'static,
        P: FromParams,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: Into<Publication>,
    {
        let publishers = &self.handlers().publishers;
        publishers
            .write()
            .insert(name.into(), Publisher::new(handler));
    }

    /// Gives a publication to every client, those that are connected included; see
    /// [`Builder::publish_universal`](crate::Builder::publish_universal).
    pub fn publish_universal<F, T, R>(&self, handler: F)
    where
        F: Fn(Subscription) -> T + Send + Sync + 'static,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: Into<Publication>,
    {
        let universal = &self.handlers().universal;
        universal.write().push(Publisher::universal(handler));
        self.tell_all(|| Command::StartUniversal);
    }
}
