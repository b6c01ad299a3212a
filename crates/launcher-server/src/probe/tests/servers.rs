//! Apps of all kinds, on real sockets.

use std::{future::Future, sync::Arc, time::Duration};

use ddp_server::{Config, Server, Transports};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, split},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::sleep,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

pub(super) const INFO: &str =
    r#"{"websocket":true,"origins":["*:*"],"cookie_needed":false,"entropy":7}"#;

pub(super) const VERSION_PRE1: &str = r#""version":"pre1""#;

/// A DDP server, as an app's.
pub(super) async fn ddp(transports: Transports) -> (u16, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Config {
        transports,
        ..Config::default()
    };
    let server = Server::builder().config(config).build();
    let app = server.clone();
    tokio::spawn(async move { app.run(listener, std::future::pending()).await });
    (port, server)
}

/// Does with each connection what it is told to.
pub(super) async fn each<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    port
}

/// Answers each request by its path with what is given, byte by byte, and closes.
pub(super) async fn answers(answer: fn(&str) -> String) -> u16 {
    each(move |mut stream| async move {
        let head = head(&mut stream).await;
        let _gone = stream.write_all(answer(path(&head)).as_bytes()).await;
    })
    .await
}

/// Answers all requests alike, and tells the heads that it got.
pub(super) async fn records(answer: &'static str) -> (u16, mpsc::UnboundedReceiver<String>) {
    let (heads, seen) = mpsc::unbounded_channel();
    let port = each(move |mut stream| {
        let heads = heads.clone();
        async move {
            heads.send(head(&mut stream).await).unwrap();
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    (port, seen)
}

/// An answer by HTTP.
pub(super) fn http(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Gives back what it gets.
pub(super) async fn echo() -> u16 {
    each(|stream| async move {
        let (mut read, mut write) = split(stream);
        let _gone = copy(&mut read, &mut write).await;
    })
    .await
}

/// Sends the beginning, then a byte at a time for ever.
pub(super) async fn trickles(beginning: &'static str) -> u16 {
    each(move |mut stream| async move {
        head(&mut stream).await;
        let mut sent = stream.write_all(beginning.as_bytes()).await;
        while sent.is_ok() {
            sleep(Duration::from_millis(10)).await;
            sent = stream.write_all(b"x").await;
        }
    })
    .await
}

/// SockJS that says over its WebSocket what is given, one text per connection and line, and then
/// nothing more; `close` closes it, and [`VERSION_PRE1`] must have been in the client's `connect`.
pub(super) async fn says(scripts: &'static [&'static [&'static str]]) -> u16 {
    let scripts = Arc::new(parking_lot::Mutex::new(scripts.iter().cycle()));
    each(move |mut stream| {
        let scripts = Arc::clone(&scripts);
        async move {
            let mut start = [0; 18];
            while stream.peek(&mut start).await.unwrap() < start.len() {}
            if &start == b"GET /sockjs/info H" {
                head(&mut stream).await;
                stream.write_all(http(200, INFO).as_bytes()).await.unwrap();
                return;
            }
            let mut socket = accept_async(stream).await.unwrap();
            let Some(Ok(connect)) = socket.next().await else {
                return;
            };
            let script = *scripts.lock().next().unwrap();
            for text in script {
                match *text {
                    "close" => return,
                    VERSION_PRE1 => assert!(connect.to_text().unwrap().contains(VERSION_PRE1)),
                    text => socket.send(Message::text(text)).await.unwrap(),
                }
            }
            while let Some(Ok(_)) = socket.next().await {}
        }
    })
    .await
}

/// A port on which nobody listens.
pub(super) async fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// The head of a request, or as much of it as came.
pub(super) async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}
