use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use ddp_protocol::Session;
use ddp_protocol::merge_box::{Framing, Strategies};
use ddp_protocol::session::{Names, SessionConfig};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use crate::builder::Builder;
use crate::command::Command;
use crate::config::Config;
use crate::connection::{Connection, client_address};
use crate::driver::Driver;
use crate::endpoints::Endpoints;
use crate::handlers::Handlers;
use crate::id::random_id;
use crate::inbox::Commands;
use crate::metrics::Snapshot;
use crate::rate_limit::RateLimiter;
use crate::sessions::{Place, Refusal, Sessions};
use crate::upgrade;
use crate::wire::{CloseCode, Polling, Socket, WebSocket, Wire};

/// A DDP server: methods, publications, and the sessions that use them. Clones are the same
/// server.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    config: Config,
    session_config: Arc<SessionConfig>,
    handlers: Arc<Handlers>,
    sessions: Arc<Sessions>,
    endpoints: OnceLock<Endpoints>,
}

impl Server {
    /// Begins with a server that offers nothing.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(config: Config, strategies: Strategies, handlers: Handlers) -> Self {
        let session_config = SessionConfig {
            strategies: Arc::new(strategies),
            ..config.session()
        };
        Self(Arc::new(Inner {
            config,
            session_config: Arc::new(session_config),
            handlers: Arc::new(handlers),
            sessions: Arc::default(),
            endpoints: OnceLock::new(),
        }))
    }

    /// Answers a WebSocket upgrade and runs a session on the connection, whatever the path is; see
    /// [`handle`](Self::handle) for all of Meteor's. Must be called in a tokio runtime, with a
    /// connection served `with_upgrades`.
    ///
    /// What is no valid upgrade is answered as Meteor does: 400, or 405 where the request is no
    /// GET. New connections are refused with 503 when there are too many and while the server
    /// shuts down, and with 429 when there are too many from one address.
    pub fn upgrade<B>(&self, request: &mut Request<B>, peer: SocketAddr) -> Response<String> {
        self.upgrade_framed(request, peer, Framing::WebSocket)
    }

    pub(crate) fn upgrade_framed<B>(
        &self,
        request: &mut Request<B>,
        peer: SocketAddr,
        framing: Framing,
    ) -> Response<String> {
        let response = upgrade::answer(request);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        match self.0.admit(peer, request.headers()) {
            Ok(place) => {
                let caller = (request.headers().clone(), peer);
                let socket = hyper::upgrade::on(request);
                let serve = Arc::clone(&self.0).serve(socket, framing, caller, place);
                self.0.sessions.tasks.spawn(serve);
                response
            }
            Err(refusal) => upgrade::plain(refusal.status(), refusal.text()),
        }
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        self.0.endpoints.get_or_init(|| {
            let server = Arc::downgrade(&self.0);
            Endpoints::new(&self.0.config, move |connection| {
                if let Some(server) = server.upgrade() {
                    server.accept(connection);
                }
            })
        })
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.0.sessions.len()
    }

    /// What the server has counted, and what it has, at this moment.
    pub fn metrics(&self) -> Snapshot {
        let handlers = self.handlers();
        let methods = handlers.method_times().collect();
        Snapshot::of(&handlers.metrics, self.sessions(), methods)
    }

    /// The rules that limit how often clients call and subscribe.
    pub fn rate_limiter(&self) -> &RateLimiter {
        &self.0.handlers.rate_limiter
    }

    /// Waits until no method runs. The answers of those that ran are sent before
    /// [`shutdown`](Self::shutdown), called after this, closes their sessions. Clients may go on
    /// calling meanwhile: bound the time, or let methods refuse.
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
        if let Some(endpoints) = self.0.endpoints.get() {
            endpoints.sockjs.shutdown().await;
        }
        self.0.sessions.ended.cancel();
    }

    pub(crate) fn handlers(&self) -> &Handlers {
        &self.0.handlers
    }

    /// Says something to every session.
    pub(crate) fn tell_all(&self, command: impl Fn() -> Command) {
        self.0.sessions.tell_all(command);
    }

    /// Ready when the server has shut down. Until then clients that poll must be answered.
    pub(crate) async fn ended(&self) {
        self.0.sessions.ended.cancelled().await;
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
        framing: Framing,
        (headers, peer): (HeaderMap, SocketAddr),
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
                let heartbeat = self.config.transports.sockjs_heartbeat;
                let wire = match framing {
                    Framing::WebSocket => wire,
                    Framing::SockJs => wire.with_sockjs(heartbeat, Instant::now()),
                };
                // a task of its own is as small as it can be, and lives as long as the session
                let driver = self.driver(wire, &headers, peer, place);
                self.sessions.tasks.spawn(driver);
            }
            Err(error) => tracing::debug!(%peer, %error, "the upgrade was not finished"),
        }
    }

    /// Runs a session on a connection that came over HTTP.
    fn accept(&self, mut connection: sockjs::Connection) {
        let (headers, peer) = (connection.take_headers(), connection.peer());
        match self.admit(peer, &headers) {
            Ok(place) => {
                let driver = self.driver(Polling::new(connection), &headers, peer, place);
                self.sessions.tasks.spawn(driver);
            }
            Err(refusal) => connection.close(CloseCode::TryAgainLater.number(), refusal.text()),
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
        let metrics = Arc::clone(&self.handlers.metrics);
        let connection = Connection::new(id.clone(), peer, headers, forwarded, commands, metrics);
        let names = Arc::clone(&self.handlers) as Arc<dyn Names>;
        let session = Session::new(Arc::clone(&self.session_config), names, id, Instant::now());
        let (handlers, patience) = (Arc::clone(&self.handlers), self.config.close_timeout);
        Driver::new(wire, session, inbox, handlers, connection, patience, place)
    }
}
