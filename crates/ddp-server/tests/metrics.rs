//! What a server counts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use ddp_server::{Config, Error, Server};
use serde_json::json;
use support::{Frame, Running};
use tokio::sync::Notify;

#[tokio::test]
async fn calls_are_counted_by_the_names_that_are_offered() {
    let server = Server::builder()
        .method("good", |_, ()| async { Ok(1) })
        .method("bad", |_, ()| async { Err::<(), _>(Error::internal()) })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    for name in ["good", "good", "bad", "made up", "made up too"] {
        client.call(name, json!([])).await;
    }
    let metrics = running.server.metrics();
    let count = |name: &str| {
        let method = &metrics.methods[name];
        (method.times.count(), method.errors)
    };
    assert_eq!((count("good"), count("bad")), ((2, 0), (1, 1)));
    assert_eq!((metrics.methods.len(), metrics.unknown_methods), (2, 2));
    // connect, five calls; connected, five results, five times updated
    assert_eq!((metrics.messages_in, metrics.messages_out), (6, 11));
    assert!(
        metrics.bytes_in > 100 && metrics.bytes_out > 100,
        "{metrics}"
    );
    let text = metrics.to_prometheus();
    assert!(
        text.contains("ddp_method_time_seconds_count{method=\"good\"} 2\n"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_open_and_what_was_is_counted() {
    let running = Running::test_service(Config::default()).await;
    let mut client = running.connected().await;
    client.subscribe("tenDocs").await;
    client.subscribe("empty").await;
    client
        .send(&json!({ "msg": "sub", "id": "x", "name": "made up" }))
        .await;
    client.recv_until("nosub").await;
    client.send(&json!({ "msg": "unsub", "id": "empty" })).await;
    client.recv_until("nosub").await;
    let metrics = running.server.metrics();
    assert_eq!((metrics.sessions, metrics.sessions_opened), (1, 1));
    assert_eq!(
        (metrics.subscriptions, metrics.subscriptions_started),
        (1, 2)
    );
    assert_eq!(metrics.unknown_publications, 1);
    client
        .send(&json!({ "msg": "method", "id": "m", "method": "closeMe" }))
        .await;
    assert_eq!(client.next().await, Frame::Closed(Some(1000)));
    let server = running.server.clone();
    running.stop().await;
    let metrics = server.metrics();
    assert_eq!((metrics.sessions, metrics.sessions_opened), (0, 1));
    assert_eq!((metrics.subscriptions, metrics.queued_bytes), (0, 0));
    assert_eq!(metrics.sessions_closed["application"], 1);
}

#[tokio::test]
async fn messages_that_wait_for_their_turn_are_counted() {
    let release = Arc::new(Notify::new());
    let held = Arc::clone(&release);
    let server = Server::builder()
        .method("held", move |_, ()| {
            let held = Arc::clone(&held);
            async move {
                held.notified().await;
                Ok(())
            }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    for id in ["1", "2", "3"] {
        let call = json!({ "msg": "method", "id": id, "method": "held" });
        client.send(&call).await;
    }
    client.send(&json!({ "msg": "ping" })).await;
    assert_eq!(client.recv().await["msg"], "pong");
    assert_eq!(running.server.metrics().queued_messages, 2);
    for _ in 0..3 {
        release.notify_one();
        client.recv_until("result").await;
    }
    assert_eq!(running.server.metrics().queued_messages, 0);
}
