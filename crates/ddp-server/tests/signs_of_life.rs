//! What clients of SockJS on a WebSocket are asked for besides DDP's own heartbeat.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use ddp_server::{Config, Heartbeat, Transports};
use futures_util::StreamExt as _;
use support::{Client, Running, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const PATH: &str = "/sockjs/123/abcdefgh/websocket";

async fn server(interval: Duration, timeout: Duration) -> Running {
    let transports = Transports {
        sockjs_heartbeat: Heartbeat { interval, timeout },
        ..Transports::default()
    };
    let config = Config {
        transports,
        close_timeout: Duration::from_millis(20),
        ..Config::default()
    };
    Running::test_service(config).await
}

#[tokio::test]
async fn a_socket_of_sockjs_that_answers_no_ping_is_closed() {
    let short = Duration::from_millis(20);
    let running = server(short, short).await;
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut told = Vec::new();
    let end = socket.read_to_end(&mut told);
    soon("the end", end).await.unwrap();
    // the text `o`, a ping, a text, and the close with its code 1000
    let frames = [
        &b"\r\n\r\n\x81\x01o\x89\x00\x81\x24"[..],
        br#"c[3000,"No response from heartbeat"]"#,
        b"\x88\x10\x03\xe8Normal closure",
    ];
    let frames = frames.concat();
    assert!(told.ends_with(&frames), "{}", told.escape_ascii());
}

#[tokio::test]
async fn a_socket_of_sockjs_that_answers_pings_lives_on() {
    let running = server(Duration::from_millis(5), Duration::from_secs(60)).await;
    let (mut client, _) = Client::open(running.address, PATH, &[]).await.unwrap();
    let mut next = async || soon("a frame", client.0.next()).await.unwrap().unwrap();
    assert_eq!(next().await, Message::text("o"));
    // there is a next ping only when the last one was answered, which reading on does
    for _ in 0..5 {
        assert!(next().await.is_ping());
    }
}
