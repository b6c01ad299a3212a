//! SockJS sessions over HTTP of an upstream that leaves: they go on there until they are sent away, and no other
//! upstream ever sees them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use launcher_proxy::{Config, Replica, Route, RouteTable};
use parking_lot::Mutex;
use support::*;

const GO_AWAY: &str = "c[3000,\"Go away!\"]\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

const LONG: Duration = Duration::from_secs(3600);

/// An app that answers requests of sessions with its name, but holds `/s/held/xhr` before the head of its answer and
/// `/s/open/…` after it.
struct App {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl App {
    async fn start(name: &'static str) -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&seen);
        let address = upstream(move |mut wire| {
            let heard = Arc::clone(&heard);
            async move {
                while let Some(head) = wire.head_or_end().await {
                    let path = head.split(' ').nth(1).unwrap().to_owned();
                    heard.lock().push(path.clone());
                    if path.contains("/held/") {
                        wire.rest_bytes().await;
                    } else if path.contains("/open/") {
                        wire.send(CHUNKED).await;
                        wire.send("4\r\nhhh\n\r\n").await;
                        wire.rest_bytes().await;
                    } else {
                        wire.send(&ok(name)).await;
                    }
                }
            }
        })
        .await;
        Self { address, seen }
    }

    fn has_seen(&self, path: &str) -> bool {
        self.seen.lock().iter().any(|seen| seen == path)
    }
}

fn request(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a.test\r\nOrigin: http://b.test\r\nContent-Length: 0\r\n\r\n"
    )
}

/// An app with a session each of these names, whose place another takes within `draining`.
async fn replaced(draining: Duration, sessions: &[&str]) -> (World, App, App) {
    let (old, new) = (App::start("old").await, App::start("new").await);
    let config = Config {
        draining,
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", old.address)).await;
    for session in sessions {
        let path = format!("/sockjs/s/{session}/xhr");
        assert_eq!(world.connect().await.ask(&request(&path)).await.body, "old");
    }
    replace(&world, &old, &new);
    (world, old, new)
}

fn replace(world: &World, old: &App, new: &App) {
    let [to, from] = [new, old].map(|app| Replica::from(at(app.address)));
    let route = Route::switched([to], [from]);
    world.publish(RouteTable::builder().route("a.test", route).build());
}

#[tokio::test]
async fn a_session_goes_on_where_it_is_and_new_ones_begin_elsewhere() {
    let (world, old, new) = replaced(LONG, &["here"]).await;
    let mut client = world.connect().await;
    for path in ["xhr_send", "xhr", "xhr_send", "xhr"] {
        let path = format!("/sockjs/s/here/{path}");
        assert_eq!(client.ask(&request(&path)).await.body, "old");
    }
    assert_eq!(
        client.ask(&request("/sockjs/s/other/xhr")).await.body,
        "new"
    );
    assert_eq!(client.ask(&get("/")).await.body, "new");
    assert!(!new.has_seen("/sockjs/s/here/xhr"));
    let stats = world.upstream_stats(old.address).unwrap();
    assert_eq!((stats.sessions, stats.serving), (1, false));
}

#[tokio::test]
async fn the_next_poll_is_told_and_what_is_sent_finds_nothing() {
    let (world, old, new) = replaced(Duration::ZERO, &["here"]).await;
    world
        .until(|_| {
            world
                .upstream_stats(old.address)
                .is_none_or(|stats| stats.sessions == 0)
        })
        .await;
    let mut client = world.connect().await;
    // Its answer may have been lost: it is told as often as it asks.
    for _ in 0..2 {
        let told = client.ask(&request("/sockjs/s/here/xhr")).await;
        assert_eq!((told.status(), &*told.body), (200, GO_AWAY));
        let header = |name| told.header(name).unwrap();
        assert_eq!(
            header("content-type"),
            "application/javascript; charset=UTF-8"
        );
        assert_eq!(header("access-control-allow-origin"), "http://b.test");
        assert_eq!(header("access-control-allow-credentials"), "true");
    }
    let sent = client.ask(&request("/sockjs/s/here/xhr_send")).await;
    assert_eq!(sent.status(), 404);
    let preflight = request("/sockjs/s/here/xhr").replace("POST", "OPTIONS");
    assert_eq!(client.ask(&preflight).await.body, "new");
    assert_eq!(
        client.ask(&request("/sockjs/s/other/xhr")).await.body,
        "new"
    );
    assert_eq!(old.seen.lock().len(), 1);
    assert_eq!(new.seen.lock().len(), 2);
    let refusals = world.traffic().refusals;
    assert_eq!(refusals, [("session-moved", 3)]);
}

#[tokio::test]
async fn a_poll_that_waits_is_told_at_once_and_so_is_a_stream() {
    let (old, new) = (App::start("old").await, App::start("new").await);
    let config = Config {
        draining: Duration::ZERO,
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", old.address)).await;
    let [mut poll, mut stream] = [world.connect().await, world.connect().await];
    poll.send(&request("/sockjs/s/held/xhr")).await;
    stream.send(&request("/sockjs/s/open/xhr_streaming")).await;
    stream.up_to("hhh\n\r\n").await;
    world.until(|_| old.has_seen("/sockjs/s/held/xhr")).await;
    assert_eq!(world.upstream_stats(old.address).unwrap().sessions, 2);
    replace(&world, &old, &new);
    let told = poll.answer().await;
    assert_eq!((told.status(), &*told.body), (200, GO_AWAY));
    let chunk = format!("{:X}\r\n{GO_AWAY}\r\n0\r\n\r\n", GO_AWAY.len());
    assert_eq!(stream.up_to("0\r\n\r\n").await, chunk);
    world.until_open(old.address, (0, 0)).await;
}

#[tokio::test]
async fn a_session_whose_upstream_is_gone_is_not_sent_there() {
    let (world, _old, new) = replaced(LONG, &["here"]).await;
    world.publish(table("a.test", new.address));
    let mut client = world.connect().await;
    assert_eq!(client.ask(&request("/sockjs/s/here/xhr")).await.body, "new");
}
