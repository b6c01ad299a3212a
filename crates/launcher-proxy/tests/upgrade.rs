//! WebSockets and other protocols that begin as HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use launcher_proxy::Config;
use support::*;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

/// A WebSocket server that sends every message back.
async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() || message.is_binary() {
                        socket.send(message).await.unwrap();
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_websocket_echoes_through_the_proxy() {
    let world = World::to(echo_server().await).await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut socket, answer) = tokio_tungstenite::client_async("ws://a.test/websocket", stream)
        .await
        .unwrap();
    assert_eq!(answer.status(), 101);
    let large = "x".repeat(3_000_000);
    for text in ["", "hello", &large] {
        socket.send(Message::text(text)).await.unwrap();
        let echo = patiently(socket.next()).await.unwrap().unwrap();
        assert!(
            echo == Message::text(text),
            "an echo of {} bytes",
            text.len()
        );
    }
    world.until(|stats| stats.upgraded == 1).await;
    socket.close(None).await.unwrap();
    while patiently(socket.next()).await.is_some() {}
    drop(socket);
    world
        .until(|stats| (stats.upgraded, stats.open_connections) == (0, 0))
        .await;
}

const UPGRADE: &str =
    "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: test/1\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test/1\r\n\r\n";

#[tokio::test]
async fn bytes_that_follow_the_heads_at_once_are_not_lost() {
    let upstream = upstream(|mut wire| async move {
        let head = wire.head().await;
        assert_eq!(header(&head, "upgrade"), Some("test/1"));
        wire.send(&format!("{SWITCHING}early answer")).await;
        assert_eq!(wire.text(13).await, "early request");
        wire.send("done").await;
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    client.send(&format!("{UPGRADE}early request")).await;
    let head = client.head().await;
    assert_eq!(
        (status(&head), header(&head, "upgrade")),
        (101, Some("test/1"))
    );
    assert_eq!(header(&head, "connection"), Some("Upgrade"));
    assert_eq!(client.rest().await, "early answerdone");
}

#[tokio::test]
async fn a_client_that_has_said_all_still_hears_the_answer() {
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        wire.send(SWITCHING).await;
        let said = wire.rest().await;
        wire.send(&format!("you said {said}")).await;
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    client.send(UPGRADE).await;
    client.head().await;
    client.send("all").await;
    client.shutdown().await;
    assert_eq!(client.rest().await, "you said all");
    world.until(|stats| stats.open_connections == 0).await;
}

#[tokio::test]
async fn an_upstream_that_has_said_all_still_hears_the_client() {
    let (heard, has_heard) = tokio::sync::mpsc::channel(1);
    let upstream = upstream(move |mut wire| {
        let heard = heard.clone();
        async move {
            wire.head().await;
            wire.send(SWITCHING).await;
            wire.shutdown().await;
            heard.send(wire.rest().await).await.unwrap();
        }
    })
    .await;
    let mut has_heard = has_heard;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    client.send(UPGRADE).await;
    client.head().await;
    assert_eq!(client.rest().await, "");
    client.send("still here").await;
    client.shutdown().await;
    assert_eq!(patiently(has_heard.recv()).await.unwrap(), "still here");
}

/// Of which the proxy must hold back what the client does not take, and lose none of it.
#[tokio::test]
async fn a_client_that_pauses_loses_nothing() {
    const CHUNKS: usize = 512;
    let (sent, mut has_sent) = tokio::sync::watch::channel(0);
    let upstream = upstream(move |mut wire| {
        let sent = sent.clone();
        async move {
            wire.head().await;
            wire.send(SWITCHING).await;
            for number in 0..CHUNKS {
                wire.send_bytes(&chunk(number)).await;
                sent.send_replace(number);
            }
        }
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    client.send(UPGRADE).await;
    client.head().await;
    assert!(
        stalled(&mut has_sent).await < CHUNKS - 1,
        "too little to stall"
    );
    for number in 0..CHUNKS {
        assert!(
            client.exactly(CHUNK).await == chunk(number),
            "chunk {number}"
        );
    }
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_client_that_neither_speaks_nor_leaves_is_not_kept_for_ever() {
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        wire.send(SWITCHING).await;
    })
    .await;
    let config = with_site(|site| site.half_closed = Duration::from_millis(20));
    let world = World::with_config(config, table("a.test", upstream)).await;
    let mut client = world.connect().await;
    client.send(UPGRADE).await;
    client.head().await;
    assert_eq!(client.rest().await, "");
    world.until(|stats| stats.open_connections == 0).await;
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let world = World::to(answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno").await).await;
    let mut client = world.connect().await;
    for _ in 0..2 {
        let answer = client.ask(UPGRADE).await;
        assert_eq!((answer.status(), &*answer.body), (200, "no"));
    }
    assert_eq!(world.stats().upgraded, 0);
}

#[tokio::test]
async fn a_list_of_protocols_is_asked_without_the_upgrade() {
    let world = World::to(echoing_heads().await).await;
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: a, b\r\n\r\n";
    let seen = world.connect().await.ask(request).await.body;
    assert_eq!(
        (header(&seen, "upgrade"), header(&seen, "connection")),
        (None, None)
    );
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_gets_502() {
    let world = World::to(answering(SWITCHING).await).await;
    assert_eq!(world.connect().await.ask(&get("/")).await.status(), 502);
}

#[tokio::test]
async fn a_shutdown_closes_upgraded_connections_at_once() {
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        wire.send(SWITCHING).await;
        wire.stream.read_u8().await.unwrap_or_default();
    })
    .await;
    let config = Config {
        drain: Duration::from_secs(3600),
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", upstream)).await;
    let mut client = world.connect().await;
    client.send(UPGRADE).await;
    client.head().await;
    world.until(|stats| stats.upgraded == 1).await;
    let stopped = world.stop();
    assert_eq!(client.rest().await, "");
    patiently(stopped).await.unwrap();
}
