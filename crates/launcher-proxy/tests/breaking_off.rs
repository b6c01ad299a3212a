//! Clients and upstreams that break off anywhere, and clients that never come to an end: nothing is left
//! open, and the others are served.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use launcher_proxy::Config;
use support::*;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const REQUESTS: [&str; 3] = [
    "GET /x HTTP/1.1\r\nHost: a.test\r\nX-More: yes\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n12345",
    "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\nX-T: 1\r\n\r\n",
];

const ANSWERS: [&str; 3] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n123456789012345678901\r\n0\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
];

fn impatient() -> Config {
    Config {
        half_closed_request: Duration::from_millis(10),
        ..Config::default()
    }
}

/// Closes, or half-closes and waits for the end.
async fn leave(mut client: Wire, half: bool) {
    if half {
        client.shutdown().await;
        let mut rest = Vec::new();
        let _ = patiently(client.stream.read_to_end(&mut rest)).await;
    }
}

#[tokio::test]
async fn a_client_can_leave_at_every_byte_of_its_request() {
    let upstream = answering(ANSWERS[0]).await;
    let world = World::with_config(impatient(), table("a.test", upstream)).await;
    for request in REQUESTS {
        for length in 0..=request.len() {
            for half in [false, true] {
                let mut client = world.connect().await;
                client.send(&request[..length]).await;
                leave(client, half).await;
            }
        }
    }
    world.until(|stats| stats.open_connections == 0).await;
    world.until_open(upstream, (0, 0)).await;
    assert_eq!(world.connect().await.ask(REQUESTS[0]).await.body, "12345");
}

#[tokio::test]
async fn a_client_can_leave_at_every_byte_of_its_answer() {
    for answer in ANSWERS {
        let upstream = answering(answer).await;
        let world = World::with_config(impatient(), table("a.test", upstream)).await;
        let whole = world.connect().await.ask(REQUESTS[0]).await.head.len();
        for length in 0..=whole {
            let mut client = world.connect().await;
            client.send(REQUESTS[0]).await;
            client.exactly(length).await;
        }
        world.until(|stats| stats.open_connections == 0).await;
        world.until_open(upstream, (0, 0)).await;
    }
}

#[tokio::test]
async fn an_upstream_can_break_off_at_every_byte_of_its_answer() {
    for answer in ANSWERS {
        let length = Arc::new(AtomicUsize::new(0));
        let up_to = Arc::clone(&length);
        let upstream = upstream(move |mut wire| {
            let up_to = Arc::clone(&up_to);
            async move {
                if wire.head_or_end().await.is_some() {
                    wire.send(&answer[..up_to.load(Relaxed)]).await;
                }
            }
        })
        .await;
        let world = World::to(upstream).await;
        let head_end = answer
            .rfind("\r\n\r\n1")
            .map_or(answer.len(), |end| end + 4);
        let last = &answer[answer.len() - 5..];
        for cut in 0..answer.len() {
            length.store(cut, Relaxed);
            let mut client = world.connect().await;
            client
                .send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
                .await;
            let mut got = String::new();
            let _ = patiently(client.stream.read_to_string(&mut got)).await;
            if cut < head_end {
                assert!(got.starts_with("HTTP/1.1 502 "), "{cut}: {got}");
            } else {
                // It can only be broken off, be it before its head was written.
                assert!(!got.ends_with(last), "{cut}: {got}");
            }
        }
        world.until(|stats| stats.open_connections == 0).await;
        world.until_open(upstream, (0, 0)).await;
    }
}

#[tokio::test]
async fn a_websocket_can_end_at_every_byte_of_its_beginning() {
    let accepts = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x01x";
    let upstream = answering(accepts).await;
    let world = World::with_config(impatient(), table("a.test", upstream)).await;
    let asks = "GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x01x";
    for length in 0..=asks.len() {
        for half in [false, true] {
            let mut client = world.connect().await;
            client.send(&asks[..length]).await;
            leave(client, half).await;
        }
    }
    world
        .until(|stats| (stats.open_connections, stats.upgraded) == (0, 0))
        .await;
    world.until_open(upstream, (0, 0)).await;
}

#[tokio::test]
async fn slow_clients_by_the_thousand_keep_nobody_from_being_served() {
    let upstream = answering(ANSWERS[0]).await;
    let config = Config {
        header_read: Duration::from_secs(3600),
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", upstream)).await;
    let mut slow = Vec::new();
    for number in 0..400 {
        let stream = TcpStream::connect(world.address).await.unwrap();
        let mut wire = Wire::new(stream);
        wire.send(&REQUESTS[number % 3][..number % 30]).await;
        slow.push(wire);
    }
    world.until(|stats| stats.open_connections == 400).await;
    for _ in 0..100 {
        assert_eq!(world.connect().await.ask(REQUESTS[0]).await.body, "12345");
    }
    assert_eq!(slow.len(), 400);
    drop(slow);
    world.until(|stats| stats.open_connections == 0).await;
}
