use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use ddp_protocol::Session;
use ddp_protocol::session::{Names, SessionConfig};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use crate::config::Config;
use crate::connection::{Connection, client_address};
use crate::driver::Driver;
use crate::error::Error;
use crate::handlers::Handlers;
use crate::id::random_id;
use crate::inbox::Commands;
use crate::method::{Method, MethodContext};
use crate::params::FromParams;
use crate::publication::{Publication, Publisher, Subscription};
use crate::result::IntoResult;
use crate::sessions::{Place, Refusal, Sessions};
use crate::upgrade;
use crate::wire::{Socket, WebSocket, Wire};

/// A DDP server: methods, publications, and the sessions that use them. Clones are the same
/// server.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    config: Config,
    session_config: Arc<SessionConfig>,
    handlers: Arc<Handlers>,
    sessions: Arc<Sessions>,
}

impl Server {
    /// Begins with a server that offers nothing.
    pub fn builder() -> Builder {
        Builder {
            config: Config::default(),
            handlers: Handlers::default(),
        }
    }

    /// Answers a WebSocket upgrade and runs a session on the connection. The caller chooses the
    /// paths (Meteor's are `/websocket` and `/sockjs/websocket`) and passes the other end of the
    /// socket. Must be called in a tokio runtime, with a connection served `with_upgrades`.
    ///
    /// What is no valid upgrade is answered as Meteor does: 400, or 405 where the request is no
    /// GET. A server that was shut down answers 503.
    pub fn upgrade<B>(&self, request: &mut Request<B>, peer: SocketAddr) -> Response<String> {
        let response = upgrade::answer(request);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        match self.0.admit(peer, request.headers()) {
            Ok(place) => {
                let headers = request.headers().clone();
                let socket = hyper::upgrade::on(request);
                let serve = Arc::clone(&self.0).serve(socket, headers, peer, place);
                self.0.sessions.tasks.spawn(serve);
                response
            }
            Err(refusal) => upgrade::plain(refusal.status(), refusal.text()),
        }
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.0.sessions.len()
    }

    /// Waits until no method runs. The answers of those that ran are sent before
    /// [`shutdown`](Self::shutdown), called after this, closes their sessions.
    pub async fn calls_ended(&self) {
        self.0.handlers.calls.close();
        self.0.handlers.calls.wait().await;
    }

    /// Closes all sessions at the configured pace, takes no new ones, and waits until all have
    /// ended. A client that does not answer is waited for as long as `close_timeout`.
    pub async fn shutdown(&self) {
        let Config {
            shutdown_pace,
            shutdown_timeout,
            ..
        } = self.0.config;
        self.0
            .sessions
            .shutdown(f64::from(shutdown_pace.max(1)), shutdown_timeout)
            .await;
    }

    /// Ready when the server shuts down.
    pub(crate) async fn stopping(&self) {
        self.0.sessions.stop.cancelled().await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn admit(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<Place, Refusal> {
        let forwarded = client_address(peer, headers, self.config.http_forwarded_count);
        let address = forwarded.and_then(|address| address.parse().ok());
        self.sessions
            .admit(address.or(Some(peer.ip())), &self.config)
    }

    async fn serve(
        self: Arc<Self>,
        socket: OnUpgrade,
        headers: HeaderMap,
        peer: SocketAddr,
        place: Place,
    ) {
        let upgraded = tokio::select! {
            upgraded = socket => upgraded,
            () = self.sessions.stop.cancelled() => return,
        };
        match upgraded {
            Ok(upgraded) => {
                let (socket, ahead) = Socket::new(upgraded);
                let wire = WebSocket::new(socket, ahead, self.config.max_message_bytes);
                // a task of its own is as small as it can be, and lives as long as the session
                let driver = self.driver(wire, &headers, peer, place);
                self.sessions.tasks.spawn(driver);
            }
            Err(error) => tracing::debug!(%peer, %error, "the upgrade was not finished"),
        }
    }

    fn driver<W: Wire>(
        &self,
        wire: W,
        headers: &HeaderMap,
        peer: SocketAddr,
        place: Place,
    ) -> Driver<W> {
        let (commands, inbox) = Commands::new();
        place.run(commands.clone());
        let id = random_id();
        let forwarded = self.config.http_forwarded_count;
        let connection = Connection::new(id.clone(), peer, headers, forwarded, commands);
        let names = Arc::clone(&self.handlers) as Arc<dyn Names>;
        let session = Session::new(Arc::clone(&self.session_config), names, id, Instant::now());
        let (handlers, patience) = (Arc::clone(&self.handlers), self.config.close_timeout);
        Driver::new(wire, session, inbox, handlers, connection, patience, place)
    }
}

/// Puts a [`Server`] together.
pub struct Builder {
    config: Config,
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
        self.handlers
            .methods
            .insert(name.into(), Method::new(handler));
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
        self.handlers
            .publishers
            .insert(name.into(), Publisher::new(handler));
        self
    }

    /// The server. It does nothing until it is given connections.
    pub fn build(self) -> Server {
        Server(Arc::new(Inner {
            session_config: Arc::new(self.config.session()),
            config: self.config,
            handlers: Arc::new(self.handlers),
            sessions: Arc::default(),
        }))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
