//! What one client can cost the others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use ddp_server::ejson::Value;
use ddp_server::{Config, Error, MessageRate, MethodContext, Publication, Server, Subscription};
use futures_util::SinkExt as _;
use http::{Request, Response};
use serde_json::json;
use support::{Client, Frame, Running, soon};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::{self, Message};

#[tokio::test]
async fn a_message_that_is_too_long_closes_with_1009() {
    let config = Config {
        max_message_bytes: 1000,
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    let mut client = running.connected().await;
    assert_eq!(
        client.call("echoOne", json!(["x".repeat(900)])).await["msg"],
        "result"
    );
    // far more than the sockets hold: the client can only send it all if the server reads on
    client.send(&json!({ "msg": "x".repeat(32 << 20) })).await;
    assert_eq!(client.next().await, Frame::Closed(Some(1009)));
}

#[tokio::test]
async fn a_client_that_says_too_much_is_closed_with_1008() {
    let config = Config {
        message_rate: MessageRate {
            per_second: 1,
            burst: 3,
        },
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    let mut client = running.connected().await;
    for _ in 0..100 {
        client.send(&json!({ "msg": "ping" })).await;
    }
    let closed = loop {
        match client.next().await {
            Frame::Message(pong) => assert_eq!(pong["msg"], "pong"),
            closed @ Frame::Closed(_) => break closed,
        }
    };
    assert_eq!(closed, Frame::Closed(Some(1008)));
}

#[tokio::test]
async fn a_connection_that_never_says_connect_is_closed() {
    let config = Config {
        connect_timeout: Duration::from_millis(20),
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    let mut client = running.client().await;
    assert_eq!(client.next().await, Frame::Closed(Some(1000)));
}

#[tokio::test]
async fn a_panic_is_an_internal_error_for_its_caller_only() {
    let server = Server::builder()
        .method("panics", |_: MethodContext, _: Vec<Value>| async { fail() })
        .method("panicsAtOnce", |_: MethodContext, params: Vec<Value>| {
            assert!(!params.is_empty(), "this test wants a panic");
            async { Ok(()) }
        })
        .method("works", |_: MethodContext, _: Vec<Value>| async {
            Ok("yes")
        })
        .publish("panics", |_: Subscription, _: Vec<Value>| async {
            fail().map(|()| Publication::manual())
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    for method in ["panics", "panicsAtOnce"] {
        assert_eq!(client.call(method, json!([])).await["error"]["error"], 500);
    }
    client
        .send(&json!({ "msg": "sub", "id": "s", "name": "panics" }))
        .await;
    let nosub = client.recv().await;
    assert_eq!(nosub["msg"], "nosub");
    assert_eq!(nosub["error"]["reason"], "Internal server error");
    assert_eq!(client.call("works", json!([])).await["result"], "yes");
}

fn fail() -> Result<(), Error> {
    panic!("this test wants a panic")
}

#[tokio::test]
async fn what_waits_too_long_in_line_is_answered_with_an_error() {
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let server = Server::builder()
        .config(Config {
            max_queued_messages: 1,
            ..Config::default()
        })
        .method("held", move |_: MethodContext, _: Vec<Value>| {
            let released = Arc::clone(&released);
            async move {
                released.notified().await;
                Ok(())
            }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    for id in ["runs", "waits", "refused"] {
        client
            .send(&json!({ "msg": "method", "id": id, "method": "held" }))
            .await;
    }
    let refusal = client.recv().await;
    assert_eq!(refusal["id"], "refused");
    assert_eq!(refusal["error"]["error"], "too-many-requests");
    assert_eq!(client.recv().await["methods"], json!(["refused"]));
    for id in ["runs", "waits"] {
        release.notify_one();
        assert_eq!(client.recv_until("result").await.last().unwrap()["id"], id);
    }
}

#[tokio::test]
async fn what_waits_in_line_may_only_have_so_many_bytes() {
    let config = Config {
        max_incoming_bytes: 1000,
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    let mut client = running.connected().await;
    client
        .send(&json!({ "msg": "sub", "id": "s", "name": "asyncReady", "params": [600_000] }))
        .await;
    for id in ["waits", "refused"] {
        let long = "x".repeat(2000);
        client
            .send(&json!({ "msg": "method", "id": id, "method": "echo", "params": [long] }))
            .await;
    }
    let refusal = client.recv().await;
    assert_eq!(refusal["id"], "refused");
    assert_eq!(refusal["error"]["error"], "too-many-requests");
}

#[tokio::test]
async fn so_many_methods_may_run_at_once() {
    let config = Config {
        max_running_calls: 1,
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    let mut client = running.connected().await;
    let slow = json!({ "msg": "method", "id": "1", "method": "slowUnblock", "params": [600_000] });
    client.send(&slow).await;
    let refusal = client.call("nothing", json!([])).await;
    assert_eq!(refusal["error"]["error"], "too-many-requests");
}

#[tokio::test]
async fn a_subscription_too_many_is_refused() {
    let config = Config {
        max_subscriptions: 1,
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    let mut client: Client = running.connected().await;
    client.subscribe("empty").await;
    client
        .send(&json!({ "msg": "sub", "id": "more", "name": "empty" }))
        .await;
    let refusal = client.recv().await;
    assert_eq!(
        (&refusal["msg"], &refusal["id"]),
        (&json!("nosub"), &json!("more"))
    );
    assert_eq!(refusal["error"]["error"], "too-many-subscriptions");
    client.send(&json!({ "msg": "unsub", "id": "empty" })).await;
    assert_eq!(client.recv().await["msg"], "nosub");
    client.subscribe("empty").await;
}

/// How the server refuses a client whose address is told by a proxy.
async fn refusal(running: &Running, address: &str) -> Option<(u16, String)> {
    let headers = [("x-forwarded-for", address)];
    match Client::open(running.address, "/websocket", &headers).await {
        Ok(_) => None,
        Err(tungstenite::Error::Http(response)) => {
            let body = String::from_utf8(response.body().clone().unwrap_or_default()).unwrap();
            Some((response.status().as_u16(), body))
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let config = Config {
        max_connections_per_address: 1,
        http_forwarded_count: 1,
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    let headers = [("x-forwarded-for", "9.8.7.6")];
    let first = Client::open(running.address, "/websocket", &headers).await;
    let text = "There are too many connections from your address".to_owned();
    assert_eq!(refusal(&running, "9.8.7.6").await, Some((429, text)));
    assert_eq!(refusal(&running, "9.8.7.5").await, None);

    drop(first);
    let free_again = async { while refusal(&running, "9.8.7.6").await.is_some() {} };
    soon("a free place", free_again).await;
}

#[tokio::test]
async fn connections_from_the_same_machine_are_not_counted() {
    let config = Config {
        max_connections_per_address: 0,
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    running.connected().await;
}

#[tokio::test]
async fn there_are_only_so_many_connections() {
    let config = Config {
        max_connections: 1,
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    let _first = running.connected().await;
    let text = "The server has too many connections".to_owned();
    assert_eq!(refusal(&running, "9.8.7.6").await, Some((503, text)));
}

/// The answer to a request to speak WebSocket.
fn upgrade(server: &Server) -> Response<String> {
    let request = Request::builder()
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let peer = ([127, 0, 0, 1], 1).into();
    server.upgrade(&mut request.body(()).unwrap(), peer)
}

#[tokio::test]
async fn a_shutdown_closes_sessions_at_a_pace_and_takes_no_new_ones() {
    let config = Config {
        shutdown_pace: 1,
        shutdown_timeout: Duration::from_secs(3600),
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    let mut clients = Vec::new();
    for _ in 0..30 {
        clients.push(running.connected().await);
    }
    let server = running.server.clone();
    let shutdown = tokio::spawn(async move { server.shutdown().await });
    let refused = async {
        while upgrade(&running.server).status() != 503 {
            tokio::task::yield_now().await;
        }
    };
    soon("the begin of the shutdown", refused).await;
    let refusal = upgrade(&running.server);
    assert_eq!(refusal.body(), "The server is shutting down");

    let mut served = 0;
    for client in &mut clients {
        let ping = json!({ "msg": "ping" }).to_string();
        let _closed_already = client.0.send(Message::text(ping)).await;
        served += usize::from(matches!(client.next().await, Frame::Message(_)));
    }
    assert!(served > 1, "all were closed at once");
    shutdown.abort();
}

#[tokio::test]
async fn a_shutdown_at_a_pace_has_an_end() {
    let config = Config {
        shutdown_pace: 1,
        shutdown_timeout: Duration::from_millis(20),
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    let mut clients = Vec::new();
    for _ in 0..30 {
        clients.push(running.connected().await);
    }
    let closed = async {
        for client in &mut clients {
            assert_eq!(client.next().await, Frame::Closed(Some(1000)));
        }
    };
    let server = running.server.clone();
    soon("the end of all sessions", async {
        tokio::join!(server.shutdown(), closed)
    })
    .await;
}
