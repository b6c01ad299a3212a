use std::fmt;
use std::future::Future;

use ddp_protocol::merge_box::{Strategies, Strategy};

use crate::config::Config;
use crate::connection::Connection;
use crate::error::Error;
use crate::handlers::Handlers;
use crate::method::Method;
use crate::method_context::MethodContext;
use crate::params::FromParams;
use crate::publication::Publication;
use crate::publisher::Publisher;
use crate::rate_limit::Rule;
use crate::result::IntoResult;
use crate::server::Server;
use crate::subscription::Subscription;

/// Puts a [`Server`] together.
#[derive(Default)]
pub struct Builder {
    config: Config,
    strategies: Strategies,
    handlers: Handlers,
}

impl Builder {
    /// Sets times and limits.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Offers a method. A later one of the same name replaces it.
    ///
    /// The arguments are read as the handler's second parameter says, see [`FromParams`]; the
    /// result is anything serializable, see [`IntoResult`]; any error can be returned with `?`,
    /// see [`Error`]. The handler begins in the session's task; when it waits for something, it
    /// goes on in one of its own. If it panics, the caller gets `500 Internal server error`.
    ///
    /// ```
    /// # use ddp_server::Server;
    /// Server::builder().method("add", |_ctx, (a, b): (f64, f64)| async move { Ok(a + b) });
    /// ```
    #[must_use]
    pub fn method<F, P, T, R>(mut self, name: impl Into<String>, handler: F) -> Self
    where
        F: Fn(MethodContext, P) -> T + Send + Sync + 'static,
        P: FromParams,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: IntoResult,
    {
        let methods = self.handlers.methods.get_mut();
        methods.insert(name.into(), Method::new(handler));
        self
    }

    /// Offers a publication. A later one of the same name replaces it.
    ///
    /// The handler returns queries of live collections, or speaks through its [`Subscription`]
    /// and returns `()`. Its arguments are read as those of a [`method`](Self::method).
    ///
    /// ```
    /// # use ddp_server::{Server, live};
    /// let (_tasks, tasks) = live::collection("tasks");
    /// Server::builder().publish("tasks", move |_sub, (list,): (String,)| {
    ///     let on_list = tasks.find().equals("list", list);
    ///     async move { Ok(on_list) }
    /// });
    /// ```
    #[must_use]
    pub fn publish<F, P, T, R>(mut self, name: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Subscription, P) -> T + Send + Sync + 'static,
        P: FromParams,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: Into<Publication>,
    {
        let publishers = self.handlers.publishers.get_mut();
        publishers.insert(name.into(), Publisher::new(handler));
        self
    }

    /// Offers a publication that every client gets without asking (`Meteor.publish(null, …)`).
    /// Clients are not told when it is ready or over.
    ///
    /// ```
    /// # use ddp_server::{Server, live};
    /// let (_users, users) = live::collection("users");
    /// Server::builder().publish_universal(move |sub| {
    ///     let own = sub.user_id().map(|id| users.find_one(id).include(["username"]));
    ///     async move { Ok(own) }
    /// });
    /// ```
    #[must_use]
    pub fn publish_universal<F, T, R>(mut self, handler: F) -> Self
    where
        F: Fn(Subscription) -> T + Send + Sync + 'static,
        T: Future<Output = Result<R, Error>> + Send + 'static,
        R: Into<Publication>,
    {
        let universal = self.handlers.universal.get_mut();
        universal.push(Publisher::universal(handler));
        self
    }

    /// Calls back for each client that connects, before any of its messages is served.
    #[must_use]
    pub fn on_connection(mut self, callback: impl Fn(&Connection) + Send + Sync + 'static) -> Self {
        self.handlers.on_connection.push(Box::new(callback));
        self
    }

    /// How it is remembered what clients have of a collection. Default:
    /// [`Strategy::ServerMerge`], the only one that suits every client.
    #[must_use]
    pub fn publication_strategy(mut self, collection: &str, strategy: Strategy) -> Self {
        self.strategies.set(collection, strategy);
        self
    }

    /// Limits how often clients call and subscribe; see [`rate_limit`](crate::rate_limit).
    #[must_use]
    pub fn rate_limit(self, rule: Rule) -> Self {
        self.handlers.rate_limiter.add(rule);
        self
    }

    /// The server. It does nothing until it is given connections.
    pub fn build(self) -> Server {
        Server::new(self.config, self.strategies, self.handlers)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
