//! What is told of connections, and how handlers end them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddp_server::ejson::Value;
use ddp_server::{Config, Connection, Server};
use serde_json::json;
use support::{Running, soon};
use tokio::sync::mpsc;

#[tokio::test]
async fn each_client_that_connects_is_told_of() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let config = Config {
        close_timeout: Duration::from_millis(20),
        ..Config::default()
    };
    let server = Server::builder()
        .config(config)
        .on_connection(|_| panic!("this test wants a panic"))
        .on_connection(move |connection| told.send(connection.id().to_owned()).unwrap())
        .build();
    let running = Running::start(server).await;
    let _not_connected = running.client().await;
    let client = running.connected().await;
    let id = soon("a connection", tells.recv()).await;
    assert_eq!(id.map(|id| id.len()), Some(17));
    drop(client);
    running.stop().await;
    assert_eq!(tells.recv().await, None, "nobody else has connected");
}

#[tokio::test]
async fn the_end_of_a_connection_is_told_after_that_of_its_subscriptions() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let (stopped, closed) = (told.clone(), told);
    let server = Server::builder()
        .on_connection(move |connection| {
            let closed = closed.clone();
            connection.on_close(|| panic!("this test wants a panic"));
            connection.on_close(move || closed.send("closed").unwrap());
        })
        .publish("docs", move |sub, ()| {
            let stopped = stopped.clone();
            sub.on_stop(|| panic!("this test wants a panic"));
            sub.on_stop(move || stopped.send("stopped").unwrap());
            sub.ready();
            async { Ok(()) }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    client.subscribe("docs").await;
    drop(client);
    assert_eq!(soon("the first", tells.recv()).await, Some("stopped"));
    assert_eq!(soon("the second", tells.recv()).await, Some("closed"));
}

#[tokio::test]
async fn a_method_that_closes_its_connection_is_not_answered() {
    let connections = Arc::new(Mutex::new(Vec::<Connection>::new()));
    let remembered = Arc::clone(&connections);
    let count = Arc::new(AtomicUsize::new(0));
    let late = Arc::clone(&count);
    let server = Server::builder()
        .method("close", move |ctx, _: Vec<Value>| {
            remembered.lock().unwrap().push(ctx.connection().clone());
            ctx.connection().close();
            async { Ok("never seen") }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    client
        .send(&json!({ "msg": "method", "id": "m", "method": "close" }))
        .await;
    assert_eq!(client.next_until_closed().await, Some(1000));
    running.stop().await;
    let connection = connections.lock().unwrap().pop().unwrap();
    assert!(connection.is_closed());
    connection.on_close(move || {
        late.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(count.load(Ordering::Relaxed), 1);
}
