use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Buf;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Admission, Permit};
use crate::body::Body;
use crate::builder::Builder;
use crate::config::Config;
use crate::connection::Connection;
use crate::iframe::Iframe;
use crate::path::{Endpoint, Transport};
use crate::registry::Registry;
use crate::shared::Shared;
use crate::{receive, response, send, socket};

pub(crate) type Handler =
    Box<dyn Fn(Connection) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A SockJS service at one prefix. Clones are the same service.
#[derive(Clone)]
pub struct SockJs(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    prefix: String,
    pub(crate) config: Config,
    pub(crate) sessions: Registry,
    pub(crate) admission: Arc<Admission>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    handler: Handler,
    iframe: Iframe,
    connections: AtomicU64,
}

impl SockJs {
    /// Begins with the path below which everything is, such as `/echo`; `/` and the empty path are
    /// the same.
    pub fn builder(prefix: impl Into<String>) -> Builder {
        Builder::new(prefix)
    }

    pub(crate) fn new(prefix: String, config: Config, handler: Handler) -> Self {
        Self(Arc::new(Inner {
            admission: Admission::new(config.max_sessions, config.max_sessions_per_address),
            iframe: Iframe::new(&config.sockjs_url),
            prefix,
            config,
            sessions: Registry::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            handler,
            connections: AtomicU64::new(0),
        }))
    }

    /// What a path (without its query string) is for, or none if it is not below the prefix.
    ///
    /// A server that serves WebSockets itself looks here first, and leaves the rest to
    /// [`handle`](Self::handle); [`frame`](crate::frame) has what goes over a framed one.
    pub fn endpoint<'a>(&self, path: &'a str) -> Option<Endpoint<'a>> {
        Endpoint::of(&self.0.prefix, path)
    }

    /// Answers a request. Must be called in a tokio runtime; for WebSockets the HTTP connection must
    /// be served `with_upgrades`. `peer` is the other end of the socket.
    ///
    /// What is answered, in which order, and with which texts, is sockjs-node's (`lib/sockjs.js`,
    /// `generate_dispatcher`).
    ///
    /// # Errors
    ///
    /// The request itself, untouched, if its path is not below the prefix.
    pub async fn handle<B>(
        &self,
        mut request: Request<B>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Request<B>>
    where
        B: http_body::Body,
        B::Data: Buf,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let uri = request.uri().clone();
        let Some(endpoint) = self.endpoint(uri.path()) else {
            return Err(request);
        };
        if let Some(answer) = self.0.without_session(endpoint, &request) {
            return Ok(answer);
        }
        let server = &self.0;
        Ok(match endpoint {
            Endpoint::RawWebSocket => {
                socket::answer(server, &mut request, Transport::RawWebSocket, peer)
            }
            Endpoint::Receive(Transport::WebSocket, _) => {
                socket::answer(server, &mut request, Transport::WebSocket, peer)
            }
            Endpoint::Receive(transport, session) => {
                let place = (transport, session);
                receive::answer(server, request.headers(), uri.query(), place, peer)
            }
            Endpoint::XhrSend(session) => send::xhr(server, request, session).await,
            Endpoint::JsonpSend(session) => send::jsonp(server, request, session).await,
            _ => response::not_found(),
        })
    }

    /// How many connections there are, with those that are closed but still tell so.
    pub fn sessions(&self) -> usize {
        self.0.admission.count()
    }

    /// Takes no new connections (they are answered 503), closes all with
    /// `1001 "The server is shutting down"`, and waits until their handlers have returned.
    ///
    /// Clients between two requests hear of it with their next one, as long as requests are
    /// answered.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl fmt::Debug for SockJs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJs")
            .field("prefix", &self.0.prefix)
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// A place for a new connection, if there is one.
    pub(crate) fn admit(&self, peer: SocketAddr) -> Option<Permit> {
        if self.stop.is_cancelled() {
            return None;
        }
        let permit = self.admission.admit(peer.ip());
        if permit.is_none() {
            tracing::warn!(%peer, "too many connections");
        }
        permit
    }

    /// Gives a new connection to the application.
    pub(crate) fn connect(
        &self,
        session: &Arc<Shared>,
        transport: Transport,
        headers: HeaderMap,
        peer: SocketAddr,
    ) {
        let id = self.connections.fetch_add(1, Ordering::Relaxed);
        let session = Arc::clone(session);
        let connection = Connection::new(session, id, peer, transport, headers);
        self.tasks.spawn((self.handler)(connection));
    }

    /// The answer, where it needs no session.
    fn without_session<B>(
        &self,
        endpoint: Endpoint<'_>,
        request: &Request<B>,
    ) -> Option<Response<Body>> {
        let (method, headers) = (request.method(), request.headers());
        let allowed = endpoint.methods();
        let may = allowed.split(", ").any(|allowed| method == allowed);
        match endpoint {
            Endpoint::Unknown => Some(response::not_found()),
            Endpoint::Iframe if !self.config.iframe => Some(response::not_found()),
            _ if !may => Some(response::method_not_allowed(allowed)),
            _ if method == Method::OPTIONS => Some(self.preflight(endpoint, headers)),
            Endpoint::Greeting => Some(greeting()),
            Endpoint::Info => Some(self.info(headers)),
            Endpoint::Iframe => Some(self.iframe.answer(headers)),
            _ => None,
        }
    }

    fn preflight(&self, endpoint: Endpoint<'_>, request: &HeaderMap) -> Response<Body> {
        let methods = match endpoint {
            Endpoint::Info => "OPTIONS, GET",
            _ => "OPTIONS, POST",
        };
        let mut response = response::preflight(methods);
        self.cookie(request, response.headers_mut());
        self.cross_origin(request, response.headers_mut());
        response
    }

    fn info(&self, request: &HeaderMap) -> Response<Body> {
        let origins = if self.config.cors {
            "\"origins\":[\"*:*\"],"
        } else {
            ""
        };
        let info = format!(
            "{{\"websocket\":{},{origins}\"cookie_needed\":{},\"entropy\":{}}}",
            self.config.enabled(Transport::WebSocket),
            self.config.cookie_needed,
            rand::random::<u32>(),
        );
        let mut response = response::typed(StatusCode::OK, response::JSON, Body::whole(info));
        self.cross_origin(request, response.headers_mut());
        response::not_cacheable(response.headers_mut());
        response
    }

    pub(crate) fn cross_origin(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if self.config.cors {
            response::cross_origin(request, response);
        }
    }

    pub(crate) fn cookie(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if self.config.cookie_needed {
            response::sticky(request, response);
        }
    }
}

fn greeting() -> Response<Body> {
    let greeting = Body::whole("Welcome to SockJS!\n");
    response::typed(StatusCode::OK, response::TEXT, greeting)
}

/// Closes a session when the server shuts down; for the task that watches over it.
pub(crate) fn shut_down(session: &Shared) {
    let closing = crate::session::Closing::new(1001, "The server is shutting down");
    session.with(|session| session.close(closing, Instant::now()));
}
