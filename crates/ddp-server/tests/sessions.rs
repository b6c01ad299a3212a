//! How sessions begin and end, and what they see of live collections.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ddp_server::ejson::Value;
use ddp_server::{Config, Error, Server, Subscription, fields, live};
use serde_json::json;
use support::{Client, Frame, Running, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

#[tokio::test]
async fn a_shutdown_closes_every_session_and_ends() {
    let running = Running::test_service(Config::default()).await;
    let mut clients = vec![running.connected().await, running.client().await];
    assert_eq!(running.server.sessions(), 2);
    let server = running.server.clone();
    let address = running.address;
    let (codes, ()) = tokio::join!(
        async {
            let mut codes = Vec::new();
            for client in &mut clients {
                codes.push(client.next().await);
            }
            codes
        },
        running.stop()
    );
    assert_eq!(
        codes,
        [Frame::Closed(Some(1000)), Frame::Closed(Some(1000))]
    );
    assert_eq!(server.sessions(), 0);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_client_that_leaves_leaves_nothing_behind() {
    let (_writer, view) = live::collection("docs");
    let (on_stop, mut stopped) = mpsc::unbounded_channel();
    let all = view.clone();
    let server = Server::builder()
        .publish("docs", move |sub: Subscription, _: Vec<Value>| {
            let (docs, on_stop) = (all.find(), on_stop.clone());
            async move {
                sub.on_stop(move || on_stop.send(()).unwrap());
                Ok::<_, Error>(docs)
            }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    client.subscribe("docs").await;
    assert_eq!(view.observers(), 1);
    drop(client);
    soon("the end of the subscription", stopped.recv())
        .await
        .unwrap();
    running.stop().await;
    assert_eq!(view.observers(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_is_lost_or_doubled_around_the_first_snapshot() {
    const LAST: u32 = 3000;
    let (counter, view) = live::collection("counter");
    counter.set("c", fields! { "n": 0 });
    let server = Server::builder()
        .publish("counter", move |_: Subscription, _: Vec<Value>| {
            let all = view.find();
            async { Ok::<_, Error>(all) }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    let count = std::thread::spawn(move || {
        for n in 1..=LAST {
            counter.set("c", fields! { "n": n });
        }
    });
    client
        .send(&json!({ "msg": "sub", "id": "s", "name": "counter" }))
        .await;
    let mut last = None;
    while last != Some(u64::from(LAST)) {
        let message = client.recv().await;
        if message["msg"] == "ready" {
            continue;
        }
        let n = message["fields"]["n"].as_u64().unwrap();
        assert_eq!(
            message["msg"],
            if last.is_none() { "added" } else { "changed" }
        );
        assert!(last.is_none_or(|last| n == last + 1), "{n} after {last:?}");
        last = Some(n);
    }
    count.join().unwrap();
}

#[tokio::test]
async fn one_document_can_be_published_before_it_exists() {
    let (docs, view) = live::collection("docs");
    let server = Server::builder()
        .publish("one", move |_: Subscription, _: Vec<Value>| {
            let one = view.find_one("b");
            async { Ok::<_, Error>(one) }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    docs.set("a", fields! { "n": 1 });
    client.subscribe("one").await;
    docs.set("a", fields! { "n": 2 });
    docs.set("b", fields! { "n": 1, "old": true });
    docs.set("b", fields! { "n": 1 });
    docs.set("b", fields! { "n": 1 });
    assert!(docs.remove("b"));
    assert!(!docs.remove("b"));
    let (collection, id) = ("docs", "b");
    let expected = [
        json!({ "msg": "added", "collection": collection, "id": id, "fields": { "n": 1, "old": true } }),
        json!({ "msg": "changed", "collection": collection, "id": id, "cleared": ["old"] }),
        json!({ "msg": "removed", "collection": collection, "id": id }),
    ];
    for message in expected {
        assert_eq!(client.recv().await, message);
    }
}

#[tokio::test]
async fn updated_waits_for_a_write_that_outlives_its_method() {
    let running = Running::test_service(Config::default()).await;
    let mut client = running.connected().await;
    let documents = json!([{ "c": "fence", "id": "f", "f": { "a": 1 } }]);
    let params = json!(["fence", documents]);
    client
        .send(&json!({ "msg": "sub", "id": "s", "name": "live", "params": params }))
        .await;
    client.recv_until("ready").await;
    client
        .send(&json!({ "msg": "method", "id": "m", "method": "fenced", "params": [5] }))
        .await;
    let kinds: Vec<_> = client.recv_until("updated").await;
    let kinds: Vec<_> = kinds
        .iter()
        .map(|message| message["msg"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["result", "changed", "updated"]);
}

#[tokio::test]
async fn meteors_paths_speak_websocket() {
    let running = Running::test_service(Config::default()).await;
    for path in [
        "/websocket",
        "/websocket/",
        "/sockjs/websocket",
        "/websocket?x=1",
    ] {
        let headers = [("sec-websocket-extensions", "permessage-deflate")];
        let (_, response) = Client::open(running.address, path, &headers).await.unwrap();
        assert_eq!(response.headers()["connection"], "Upgrade");
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
    }
    assert!(Client::open(running.address, "/foo", &[]).await.is_err());
}

#[tokio::test]
async fn plain_requests_are_told_what_is_wrong() {
    let running = Running::test_service(Config::default()).await;
    for (request, status, body) in [
        (
            "GET /websocket",
            "400 Bad Request",
            "Not a valid websocket request",
        ),
        ("POST /websocket", "405 Method Not Allowed", ""),
        ("GET /foo", "404 Not Found", "404 Error: Page not found\n"),
    ] {
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        soon("an answer", socket.read_to_string(&mut response))
            .await
            .unwrap();
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{response}"
        );
        assert!(response.ends_with(&format!("\r\n\r\n{body}")), "{response}");
        assert_eq!(
            response.contains("allow: GET"),
            status.starts_with("405"),
            "{response}"
        );
    }
}
