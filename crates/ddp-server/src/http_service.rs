use std::error::Error;
use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};

use crate::endpoints::Way;
use crate::server::Server;
use crate::upgrade;

/// The body of an answer. axum takes it as `axum::body::Body::new(body)`.
pub type Body = Either<Full<Bytes>, sockjs::Body>;

impl Server {
    /// Answers everything that concerns DDP, on all transports: raw WebSockets at `/websocket`,
    /// `/websocket/` and `/sockjs/websocket`, and SockJS below `/sockjs` (see
    /// [`Transports`](crate::Transports)). `peer` is the other end of the socket. Must be called
    /// in a tokio runtime, with a connection served `with_upgrades`.
    ///
    /// What is no valid request is answered as Meteor does (`packages/ddp-server/stream_server.js`).
    /// New connections are refused with 503 when there are too many and while the server shuts
    /// down, and with 429 when there are too many from one address; where a client
    /// polls, the refusal is a close with code 1013.
    ///
    /// In axum it is a fallback. A server that ends calls [`shutdown`](Self::shutdown), for whose
    /// end axum's own graceful shutdown waits.
    ///
    /// ```no_run
    /// use std::net::SocketAddr;
    ///
    /// use axum::Router;
    /// use axum::extract::{ConnectInfo, Request};
    /// use axum::http::StatusCode;
    /// use axum::response::IntoResponse;
    ///
    /// # async fn example(interrupted: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    /// let server = ddp_server::Server::builder().build();
    /// let ddp = server.clone();
    /// let site = Router::new().fallback(
    ///     |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| async move {
    ///         match ddp.handle(request, peer).await {
    ///             Ok(response) => response.map(axum::body::Body::new),
    ///             Err(_request) => StatusCode::NOT_FOUND.into_response(),
    ///         }
    ///     },
    /// );
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(listener, site.into_make_service_with_connect_info::<SocketAddr>())
    ///     .with_graceful_shutdown(async move {
    ///         interrupted.await;
    ///         server.shutdown().await;
    ///     })
    ///     .await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The request itself, untouched, if its path is another.
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
        let endpoints = self.endpoints();
        match endpoints.way(request.uri().path()) {
            None => Err(request),
            Some(Way::NotFound) => Ok(not_found()),
            Some(Way::WebSocket(framing)) => {
                Ok(whole(self.upgrade_framed(&mut request, peer, framing)))
            }
            Some(Way::SockJs) => {
                let answer = endpoints.sockjs.handle(request, peer).await?;
                Ok(answer.map(Either::Right))
            }
        }
    }
}

/// The answer where there is nothing.
pub(crate) fn not_found() -> Response<Body> {
    whole(upgrade::plain(
        StatusCode::NOT_FOUND,
        "404 Error: Page not found\n",
    ))
}

fn whole(response: Response<String>) -> Response<Body> {
    response.map(|text| Either::Left(Full::from(text)))
}
