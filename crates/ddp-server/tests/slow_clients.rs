//! What a client that reads slowly or not at all costs, itself and the others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddp_server::ejson::Value;
use ddp_server::{Config, MethodContext, Publication, Server, Subscription, fields, live};
use serde_json::json;
use support::{Frame, Running, soon};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{mpsc, oneshot};

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped() {
    let (news, view) = live::collection("news");
    let (on_stop, mut stopped) = mpsc::unbounded_channel();
    let server = Server::builder()
        .config(Config {
            max_outgoing_bytes: 256 * 1024,
            // the client reads again in the end
            close_timeout: Duration::from_secs(20),
            ..Config::default()
        })
        .method("alive", |_: MethodContext, _: Vec<Value>| async {
            Ok(true)
        })
        .publish("news", move |sub: Subscription, _: Vec<Value>| {
            let (all, on_stop) = (view.find(), on_stop.clone());
            sub.on_stop(move || on_stop.send(()).unwrap());
            async { Ok(Publication::from(all)) }
        })
        .build();
    let running = Running::start(server).await;
    let mut deaf = running.connected().await;
    deaf.subscribe("news").await;
    let mut other = running.connected().await;

    let flood = async {
        for n in 0u32.. {
            if stopped.try_recv().is_ok() {
                return;
            }
            news.set("latest", fields! { "n": n, "text": "x".repeat(64 * 1024) });
            tokio::task::yield_now().await;
        }
    };
    soon("the end of the deaf client's session", flood).await;
    assert_eq!(other.call("alive", json!([])).await["result"], true);
    let closed = loop {
        if let closed @ Frame::Closed(_) = deaf.next().await {
            break closed;
        }
    };
    assert_eq!(closed, Frame::Closed(Some(1013)), "it may try again");
}

#[tokio::test]
async fn a_client_is_heard_while_it_does_not_read() {
    let (heard, hears) = oneshot::channel();
    let heard = Arc::new(Mutex::new(Some(heard)));
    let server = Server::builder()
        .config(Config {
            max_outgoing_bytes: 1024,
            ..Config::default()
        })
        .method("long", |_: MethodContext, _: Vec<Value>| async {
            Ok("x".repeat(64 << 20))
        })
        .method("mark", move |_: MethodContext, _: Vec<Value>| {
            heard.lock().unwrap().take().unwrap().send(()).unwrap();
            async { Ok(()) }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    client
        .send(&json!({ "msg": "method", "id": "1", "method": "long" }))
        .await;
    assert_eq!(client.recv().await["msg"], "updated");
    // the answer is on its way, and far longer than what a socket holds
    soon("the begin of the answer", client.0.get_mut().read_u8())
        .await
        .unwrap();
    client
        .send(&json!({ "msg": "method", "id": "2", "method": "mark" }))
        .await;
    soon("the second call", hears).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_client_that_does_not_read() {
    let server = Server::builder()
        .config(Config {
            close_timeout: Duration::from_millis(20),
            ..Config::default()
        })
        .method("long", |_: MethodContext, _: Vec<Value>| async {
            Ok("x".repeat(64 << 20))
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    client
        .send(&json!({ "msg": "method", "id": "1", "method": "long" }))
        .await;
    assert_eq!(client.recv().await["msg"], "updated");
    soon("the begin of the answer", client.0.get_mut().read_u8())
        .await
        .unwrap();
    running.stop().await;
}

const CHANGES: u32 = 1000;

/// How many changes of one document a client hears that does not read while they happen.
async fn changes_heard(drain_bytes: usize) -> u32 {
    let (news, view) = live::collection("news");
    news.set("latest", fields! { "n": 0 });
    let (heard, mut hears) = mpsc::unbounded_channel();
    let server = Server::builder()
        .config(Config {
            drain_bytes,
            max_outgoing_bytes: usize::MAX,
            ..Config::default()
        })
        .method("long", |_, ()| async { Ok("x".repeat(15 << 20)) })
        .method("mark", move |_, ()| {
            heard.send(()).unwrap();
            async { Ok(()) }
        })
        .publish("news", move |_, ()| {
            let all = view.find();
            async { Ok(all) }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    client.subscribe("news").await;
    // far more than what sockets hold
    for name in ["long", "long", "long", "mark"] {
        client
            .send(&json!({ "msg": "method", "id": name, "method": name }))
            .await;
    }
    soon("the last call", hears.recv()).await.unwrap();
    for n in 1..=CHANGES {
        news.set("latest", fields! { "n": n });
    }
    let mut changes = 0;
    loop {
        let message = client.recv().await;
        changes += u32::from(message["msg"] == "changed");
        if message["fields"]["n"] == CHANGES {
            return changes;
        }
    }
}

#[tokio::test]
async fn a_slow_client_is_told_what_is_true_then() {
    assert_eq!(changes_heard(usize::MAX).await, CHANGES);
    assert_eq!(changes_heard(1000).await, 1);
}
