use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use ddp_protocol::Session;
use ddp_protocol::session::{Names, SessionConfig};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::command::Commands;
use crate::config::Config;
use crate::connection::Connection;
use crate::driver::Driver;
use crate::error::Error;
use crate::handlers::Handlers;
use crate::id::random_id;
use crate::method::{Method, MethodContext};
use crate::params::FromParams;
use crate::publication::{Publication, Publisher, Subscription};
use crate::result::IntoResult;
use crate::upgrade;

/// tungstenite's default of 128 KiB for each connection would be most of an idle session.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Frames are gathered up to here before they are given to the kernel.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// A DDP server: methods, publications, and the sessions that use them. Clones are the same
/// server.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    config: Config,
    session_config: Arc<SessionConfig>,
    handlers: Arc<Handlers>,
    sessions: TaskTracker,
    stop: CancellationToken,
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
        if self.0.stop.is_cancelled() {
            return upgrade::plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "The server is shutting down",
            );
        }
        let headers = request.headers().clone();
        let socket = hyper::upgrade::on(request);
        self.0
            .sessions
            .spawn(Arc::clone(&self.0).serve(socket, headers, peer));
        response
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

    /// Closes all sessions, takes no new ones, and waits until all have ended. That takes up to
    /// `close_timeout` where a client does not answer.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.sessions.close();
        self.0.sessions.wait().await;
    }

    /// Ready when the server shuts down.
    pub(crate) async fn stopping(&self) {
        self.0.stop.cancelled().await;
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
    async fn serve(self: Arc<Self>, socket: OnUpgrade, headers: HeaderMap, peer: SocketAddr) {
        let upgraded = tokio::select! {
            upgraded = socket => upgraded,
            () = self.stop.cancelled() => return,
        };
        match upgraded {
            Ok(upgraded) => {
                let driver = self.driver(upgraded, &headers, peer).await;
                driver.run(self.stop.clone()).await;
            }
            Err(error) => tracing::debug!(%peer, %error, "the upgrade was not finished"),
        }
    }

    async fn driver(
        &self,
        upgraded: Upgraded,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Driver<TokioIo<Upgraded>> {
        let (commands, receiver) = Commands::channel();
        let id = random_id();
        let forwarded = self.config.http_forwarded_count;
        let connection = Connection::new(id.clone(), peer, headers, forwarded, commands);
        let names = Arc::clone(&self.handlers) as Arc<dyn Names>;
        let session = Session::new(Arc::clone(&self.session_config), names, id, Instant::now());
        let socket = WebSocketStream::from_raw_socket(
            TokioIo::new(upgraded),
            Role::Server,
            Some(self.socket_config()),
        )
        .await;
        let handlers = Arc::clone(&self.handlers);
        Driver::new(
            socket,
            session,
            receiver,
            handlers,
            connection,
            self.config.close_timeout,
        )
    }

    fn socket_config(&self) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(self.config.max_message_bytes))
            .max_frame_size(Some(self.config.max_message_bytes))
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
    /// see [`Error`]. The handler runs in a task of its own. If it panics, the caller gets `500
    /// Internal server error`.
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
            sessions: TaskTracker::new(),
            stop: CancellationToken::new(),
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
