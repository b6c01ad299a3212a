//! Serving DDP and nothing else on a port.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::http_service::{Body, not_found};
use crate::server::Server;

/// How long to wait after the listener failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Server {
    /// Serves all that [`handle`](Server::handle) does until `shutdown` is ready, then
    /// [shuts down](Server::shutdown). Other paths are not found.
    pub async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => self.spawn_connection(socket, peer),
                    Err(error) => {
                        tracing::warn!(%error, "could not accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                () = &mut shutdown => break,
            }
        }
        drop(listener);
        self.shutdown().await;
    }

    fn spawn_connection(&self, socket: TcpStream, peer: SocketAddr) {
        // a message waits for nothing: it is small, and somebody waits for it
        let _not_fatal = socket.set_nodelay(true);
        let server = self.clone();
        tokio::spawn(async move {
            if let Err(error) = server.serve_connection(socket, peer).await {
                tracing::debug!(%peer, %error, "an HTTP connection failed");
            }
        });
    }

    async fn serve_connection(&self, socket: TcpStream, peer: SocketAddr) -> hyper::Result<()> {
        let service =
            service_fn(
                |request| async move { Ok::<_, Infallible>(self.answer(request, peer).await) },
            );
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = &mut connection => return ended,
            () = self.ended() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let answer = self.handle(request, peer).await;
        answer.unwrap_or_else(|_request| not_found())
    }
}
