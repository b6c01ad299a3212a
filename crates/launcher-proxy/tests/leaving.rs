//! How WebSockets of an upstream that leaves are ended: one by one, the idlest first, with a word of farewell, and
//! never within a frame.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use launcher_proxy::Config;
use parking_lot::Mutex;
use support::*;
use tokio::sync::Notify;

const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Close frames with 1001, to clients and to upstreams.
const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";
const MASKED_GOING_AWAY: &[u8] = b"\x88\x82\0\0\0\0\x03\xe9";
const SOCKJS_GO_AWAY: &[u8] = b"\x81\x12c[3000,\"Go away!\"]\x88\x02\x03\xe9";

/// What upstreams have heard after the upgrade, each in its own time.
type Heard = Arc<Mutex<Vec<Vec<u8>>>>;

/// An upstream that switches protocols, says `greeting`, and then listens to the end.
async fn listener(greeting: &'static [u8], heard: &Heard) -> SocketAddr {
    let heard = Arc::clone(heard);
    upstream(move |mut wire| {
        let heard = Arc::clone(&heard);
        async move {
            wire.head().await;
            wire.send(SWITCHING).await;
            wire.send_bytes(greeting).await;
            let all = wire.rest_bytes().await;
            heard.lock().push(all);
        }
    })
    .await
}

async fn world(upstream: SocketAddr, draining: Duration) -> World {
    let config = Config {
        draining,
        ..Config::default()
    };
    World::with_config(config, table("a.test", upstream)).await
}

async fn websocket(world: &World, path: &str) -> Wire {
    let mut client = world.connect().await;
    client
        .send(&format!(
            "GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        ))
        .await;
    assert_eq!(status(&client.head().await), 101);
    client
}

#[tokio::test]
async fn both_sides_are_told_that_the_upstream_goes_away() {
    let heard = Heard::default();
    let leaving = listener(b"", &heard).await;
    let world = world(leaving, Duration::ZERO).await;
    let mut client = websocket(&world, "/websocket").await;
    world.publish(table("a.test", nobody().await));
    assert_eq!(client.rest_bytes().await, GOING_AWAY);
    drop(client);
    world.until_open(leaving, (0, 0)).await;
    patiently(async {
        while heard.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(*heard.lock(), [MASKED_GOING_AWAY]);
}

#[tokio::test]
async fn a_sockjs_client_is_told_in_sockjs() {
    let leaving = listener(b"\x81\x01o", &Heard::default()).await;
    let world = world(leaving, Duration::ZERO).await;
    let mut client = websocket(&world, "/sockjs/1/abc/websocket").await;
    assert_eq!(client.exactly(3).await, b"\x81\x01o");
    world.publish(table("a.test", nobody().await));
    assert_eq!(client.rest_bytes().await, SOCKJS_GO_AWAY);
}

/// An upstream that says farewell itself as soon as it is told.
async fn polite() -> SocketAddr {
    upstream(|mut wire| async move {
        wire.head().await;
        wire.send(SWITCHING).await;
        wire.exactly(MASKED_GOING_AWAY.len()).await;
        wire.send_bytes(GOING_AWAY).await;
        wire.rest_bytes().await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_upstream_does_not_say_farewell_before_the_proxy_does() {
    for _ in 0..20 {
        let leaving = polite().await;
        let world = world(leaving, Duration::ZERO).await;
        let mut clients = Vec::new();
        for _ in 0..50 {
            clients.push(websocket(&world, "/sockjs/1/abc/websocket").await);
        }
        world.until_open(leaving, (0, 50)).await;
        world.publish(table("a.test", nobody().await));
        for mut client in clients {
            assert_eq!(client.rest_bytes().await, SOCKJS_GO_AWAY);
        }
    }
}

#[tokio::test]
async fn a_frame_that_has_begun_comes_to_its_end_first() {
    let go_on = Arc::new(Notify::new());
    let resumed = Arc::clone(&go_on);
    let leaving = upstream(move |mut wire| {
        let resumed = Arc::clone(&resumed);
        async move {
            wire.head().await;
            wire.send(SWITCHING).await;
            wire.send_bytes(b"\x81\x05he").await;
            resumed.notified().await;
            wire.send_bytes(b"llo\x81\x05never").await;
            wire.rest_bytes().await;
        }
    })
    .await;
    let world = world(leaving, Duration::ZERO).await;
    let mut client = websocket(&world, "/websocket").await;
    assert_eq!(client.exactly(4).await, b"\x81\x05he");
    world.publish(table("a.test", nobody().await));
    go_on.notify_one();
    let rest = client.rest_bytes().await;
    let expected = [&b"llo"[..], GOING_AWAY].concat();
    // The proxy may hear of its task only after it has passed on the second message.
    let late = [&b"llo\x81\x05never"[..], GOING_AWAY].concat();
    assert!(rest == expected || rest == late, "{rest:?}");
}

#[tokio::test]
async fn nobody_is_sent_away_before_his_time() {
    let leaving = listener(b"", &Heard::default()).await;
    let world = world(leaving, Duration::from_secs(3600)).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(websocket(&world, "/websocket").await);
    }
    world.until_open(leaving, (0, 3)).await;
    world.publish(table("a.test", nobody().await));
    // Twenty minutes until the first one goes: all of them still work.
    for client in &mut clients {
        client.send_bytes(b"\x81\x80\0\0\0\0").await;
    }
    assert_eq!(world.open(leaving), (0, 3));
}

#[tokio::test]
async fn an_upstream_that_serves_again_keeps_the_rest() {
    let leaving = listener(b"", &Heard::default()).await;
    let world = world(leaving, Duration::from_secs(3600)).await;
    let _client = websocket(&world, "/websocket").await;
    world.until_open(leaving, (0, 1)).await;
    world.publish(table("a.test", nobody().await));
    world.publish(table("a.test", leaving));
    assert_eq!(world.open(leaving), (0, 1));
}

#[tokio::test]
async fn a_proxy_that_ends_takes_leave_of_all() {
    let leaving = listener(b"", &Heard::default()).await;
    let world = world(leaving, Duration::from_secs(3600)).await;
    let mut client = websocket(&world, "/websocket").await;
    world.until_open(leaving, (0, 1)).await;
    let ended = world.stop();
    assert_eq!(client.rest_bytes().await, GOING_AWAY);
    drop(client);
    patiently(ended).await.unwrap();
}
