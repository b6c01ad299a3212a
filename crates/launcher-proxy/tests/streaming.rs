//! Bodies pass through as they come, however long they are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use launcher_proxy::Config;
use support::*;
use tokio::sync::oneshot;

const CHUNKS: usize = 512;

#[tokio::test]
async fn an_upload_arrives_while_it_is_sent() {
    let (arrived, has_arrived) = oneshot::channel();
    let mut arrived = Some(arrived);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::to(listener.local_addr().unwrap()).await;
    tokio::spawn(async move {
        let mut wire = Wire::new(listener.accept().await.unwrap().0);
        wire.head().await;
        for number in 0..CHUNKS {
            assert_eq!(wire.exactly(CHUNK).await, chunk(number));
            let _ = arrived.take().map(|arrived| arrived.send(()));
        }
        wire.send(&ok("all")).await;
    });
    let mut client = world.connect().await;
    let length = CHUNK * CHUNKS;
    client
        .send(&format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
    client.send_bytes(&chunk(0)).await;
    patiently(has_arrived).await.unwrap();
    for number in 1..CHUNKS {
        client.send_bytes(&chunk(number)).await;
    }
    assert_eq!(client.answer().await.body, "all");
}

#[tokio::test]
async fn a_download_arrives_while_it_is_sent() {
    let (arrived, has_arrived) = oneshot::channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::to(listener.local_addr().unwrap()).await;
    tokio::spawn(async move {
        let mut wire = Wire::new(listener.accept().await.unwrap().0);
        wire.head().await;
        let length = CHUNK * CHUNKS;
        wire.send(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
        wire.send_bytes(&chunk(0)).await;
        patiently(has_arrived).await.unwrap();
        for number in 1..CHUNKS {
            wire.send_bytes(&chunk(number)).await;
        }
    });
    let mut client = world.connect().await;
    client.send(&get("/")).await;
    client.head().await;
    let mut arrived = Some(arrived);
    for number in 0..CHUNKS {
        assert_eq!(client.exactly(CHUNK).await, chunk(number));
        let _ = arrived.take().map(|arrived| arrived.send(()));
    }
}

/// Nothing is buffered: who does not read makes the sender wait.
#[tokio::test]
async fn a_reader_that_pauses_pauses_the_sender() {
    let (sent, mut has_sent) = tokio::sync::watch::channel(0);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::to(listener.local_addr().unwrap()).await;
    tokio::spawn(async move {
        let mut wire = Wire::new(listener.accept().await.unwrap().0);
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
            .await;
        for number in 0..16 * 1024 {
            wire.send_bytes(&chunk(number)).await;
            sent.send_replace(number);
        }
    });
    let mut client = world.connect().await;
    client.send(&get("/")).await;
    client.head().await;
    let stalled_at = stalled(&mut has_sent).await;
    // Far less than 1 GiB fits into the sockets on the way.
    assert!(
        stalled_at < 1024,
        "{stalled_at} chunks were taken from the upstream"
    );
    client.exactly(CHUNK * (stalled_at + 1)).await;
    patiently(has_sent.wait_for(|sent| *sent > stalled_at))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_upstream_hears_that_its_client_has_left() {
    let (left, mut has_left) = tokio::sync::mpsc::channel(1);
    let upstream = upstream(move |mut wire| {
        let left = left.clone();
        async move {
            wire.head().await;
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                .await;
            assert_eq!(wire.head_or_end().await, None);
            left.send(()).await.unwrap();
        }
    })
    .await;
    let config = Config {
        half_closed_request: Duration::from_millis(30),
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", upstream)).await;
    let mut client = world.connect().await;
    client.send(&get("/")).await;
    client.head().await;
    drop(client);
    patiently(has_left.recv()).await.unwrap();
}

#[tokio::test]
async fn server_sent_events_are_not_held_back() {
    let (next, mut wanted) = tokio::sync::mpsc::channel::<()>(1);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::to(listener.local_addr().unwrap()).await;
    tokio::spawn(async move {
        let mut wire = Wire::new(listener.accept().await.unwrap().0);
        wire.head().await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
        wire.send(&format!("{head}Transfer-Encoding: chunked\r\n\r\n"))
            .await;
        while wanted.recv().await.is_some() {
            wire.send("9\r\ndata: 1\n\n\r\n").await;
        }
    });
    let mut client = world.connect().await;
    client.send(&get("/")).await;
    client.head().await;
    for _ in 0..5 {
        next.send(()).await.unwrap();
        assert_eq!(client.up_to("\n\n\r\n").await, "9\r\ndata: 1\n\n\r\n");
    }
}
