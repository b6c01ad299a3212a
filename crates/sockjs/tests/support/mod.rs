//! A server on a port of its own, and clients that see each byte.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot talk has failed")]

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sockjs::{Connection, SockJs};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

/// Longer than any test, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// The services of the test server, as the protocol's own tests want them.
pub(crate) async fn test_server() -> SocketAddr {
    let service = |prefix| {
        SockJs::builder(prefix)
            .response_limit(4096)
            .disconnect_delay(PATIENCE)
    };
    serve(vec![
        service("/echo").build(echo),
        service("/close").build(|mut connection| async move {
            connection.close(3000, "Go away!");
        }),
        service("/disabled_websocket_echo")
            .websocket(false)
            .build(echo),
        service("/cookie_needed_echo")
            .cookie_needed(true)
            .build(echo),
    ])
    .await
}

pub(crate) async fn echo(connection: Connection) {
    let (back, heard) = connection.split();
    let _ended = heard.map(Ok).forward(back).await;
}

/// Serves until the test ends.
pub(crate) async fn serve(services: Vec<SockJs>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, peer) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let services = services.clone();
            let answer = service_fn(move |request| answer(request, peer, services.clone()));
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), answer)
                .with_upgrades();
            tokio::spawn(connection);
        }
    });
    address
}

async fn answer(
    mut request: http::Request<hyper::body::Incoming>,
    peer: SocketAddr,
    services: Vec<SockJs>,
) -> Result<Response<Either<sockjs::Body, Full<Bytes>>>, Infallible> {
    for service in services {
        match service.handle(request, peer).await {
            Ok(response) => return Ok(response.map(Either::Left)),
            Err(not_its) => request = not_its,
        }
    }
    let mut response = Response::new(Either::Right(Full::from("elsewhere")));
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    Ok(response)
}

/// A path to a session that no other test has.
pub(crate) fn session(service: &str) -> String {
    format!("{service}/000/{:016x}", rand::random::<u64>())
}

/// One HTTP connection.
pub(crate) struct Http(BufReader<TcpStream>);

/// The beginning of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Http {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    /// Sends a request and reads the head of its response.
    pub(crate) async fn ask(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Head {
        self.ask_by("1.1", line, headers, body).await
    }

    pub(crate) async fn ask_by(
        &mut self,
        version: &str,
        line: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Head {
        let mut request = format!("{line} HTTP/{version}\r\nHost: test\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !line.starts_with("GET") {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        let request = [request.as_bytes(), body].concat();
        self.0.write_all(&request).await.unwrap();
        self.head().await
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn head(&mut self) -> Head {
        let status_line = self.line().await;
        let (version, rest) = status_line.split_once(' ').unwrap();
        let status = rest[..3].parse().unwrap();
        let version = version.to_owned();
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(": ") else {
                return Head {
                    version,
                    status,
                    headers,
                };
            };
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
    }

    /// The next chunk; none after the last.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        let length = usize::from_str_radix(&self.line().await, 16).unwrap();
        let chunk = self.exactly(length).await;
        assert_eq!(self.line().await, "");
        (length > 0).then_some(chunk)
    }

    pub(crate) async fn exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// What comes until the server closes.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }

    pub(crate) async fn body(&mut self, head: &Head) -> String {
        if let Some(length) = head.headers.get("content-length") {
            let length = length.to_str().unwrap().parse().unwrap();
            return self.exactly(length).await;
        }
        let mut body = String::new();
        if head.headers.contains_key("transfer-encoding") {
            while let Some(chunk) = self.chunk().await {
                body += &chunk;
            }
        }
        body
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }
}

/// A request on a connection of its own, with its whole response.
pub(crate) async fn request(
    address: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut http = Http::connect(address).await;
    let head = http.ask(line, headers, body).await;
    let body = http.body(&head).await;
    let Head {
        status, headers, ..
    } = head;
    Reply {
        status,
        headers,
        body,
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Reply {
    request(address, &format!("GET {path}"), &[], b"").await
}

pub(crate) async fn post(address: SocketAddr, path: &str, body: &str) -> Reply {
    request(address, &format!("POST {path}"), &[], body.as_bytes()).await
}

/// A response of which the head has come.
pub(crate) async fn stream(address: SocketAddr, line: &str) -> (Http, Head) {
    let mut http = Http::connect(address).await;
    let head = http.ask(line, &[], b"").await;
    (http, head)
}

/// Reads frames of an XHR stream after its prelude.
pub(crate) async fn xhr_stream(address: SocketAddr, session: &str) -> Http {
    let (mut http, head) = stream(address, &format!("POST {session}/xhr_streaming")).await;
    assert_eq!(head.status, 200);
    assert_eq!(http.chunk().await.unwrap(), "h".repeat(2048) + "\n");
    http
}

/// A client's WebSocket.
pub(crate) struct WebSocket(pub(crate) WebSocketStream<TcpStream>);

impl WebSocket {
    pub(crate) async fn connect(address: SocketAddr, path: &str) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}{path}");
        let (socket, _) = tokio_tungstenite::client_async(url, socket).await.unwrap();
        Self(socket)
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next text.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for the close, and how it was said.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        let close = match self.0.next().await.unwrap().unwrap() {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("{other:?}"),
        };
        match self.0.next().await {
            None | Some(Err(tungstenite::Error::ConnectionClosed)) => close,
            other => panic!("{other:?}"),
        }
    }
}
