//! The services that the tests of the SockJS project expect of a server: `/echo`, `/close`,
//! `/disabled_websocket_echo` and `/cookie_needed_echo`.
//!
//! ```console
//! $ cargo run -p sockjs --example test_server -- --port 8081
//! ```

#![allow(clippy::print_stdout, reason = "it tells where it listens")]

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sockjs::{Body, Builder, Connection, SockJs};
use tokio::net::{TcpListener, TcpStream};

/// The tests want streaming responses to end so early.
const RESPONSE_LIMIT: usize = 4096;

type AnyBody = Either<Body, Full<Bytes>>;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let options = Options::read()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let services = options.services();
    loop {
        let (socket, peer) = listener.accept().await?;
        tokio::spawn(serve(socket, peer, services.clone()));
    }
}

struct Options {
    port: u16,
    /// Where the iframe pages find the client library, if not at its default.
    sockjs_url: Option<String>,
}

impl Options {
    fn read() -> std::io::Result<Self> {
        let usage = || std::io::Error::other("usage: test_server [--port PORT] [--sockjs-url URL]");
        let mut options = Self {
            port: 8081,
            sockjs_url: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(usage)?;
            match flag.as_str() {
                "--port" => options.port = value.parse().map_err(std::io::Error::other)?,
                "--sockjs-url" => options.sockjs_url = Some(value),
                _ => return Err(usage()),
            }
        }
        Ok(options)
    }

    fn service(&self, prefix: &str) -> Builder {
        let builder = SockJs::builder(prefix).response_limit(RESPONSE_LIMIT);
        match &self.sockjs_url {
            Some(url) => builder.sockjs_url(url),
            None => builder,
        }
    }

    fn services(&self) -> Vec<SockJs> {
        vec![
            self.service("/echo").build(echo),
            self.service("/close").build(|mut connection| async move {
                connection.close(3000, "Go away!");
            }),
            self.service("/disabled_websocket_echo")
                .websocket(false)
                .build(echo),
            self.service("/cookie_needed_echo")
                .cookie_needed(true)
                .build(echo),
        ]
    }
}

/// Whatever comes goes back. If the client does not read, nothing more is heard of it.
async fn echo(connection: Connection) {
    let (back, heard) = connection.split();
    let _ended = heard.map(Ok).forward(back).await;
}

async fn serve(socket: TcpStream, peer: SocketAddr, services: Vec<SockJs>) {
    let _not_fatal = socket.set_nodelay(true);
    let service = service_fn(|request| {
        let services = services.clone();
        async move { Ok::<_, Infallible>(answer(request, peer, &services).await) }
    });
    let _client_gone = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades()
        .await;
}

async fn answer(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    services: &[SockJs],
) -> Response<AnyBody> {
    for service in services {
        match service.handle(request, peer).await {
            Ok(response) => return response.map(Either::Left),
            Err(not_its) => request = not_its,
        }
    }
    let mut response = Response::new(Either::Right(Full::from("There is nothing.\n")));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
