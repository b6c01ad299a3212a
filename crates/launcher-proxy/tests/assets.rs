//! Scripts and styles of one release of an app for clients whose replica is of another.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use launcher_proxy::{Config, Replica, Route, RouteTable, Site};
use support::*;

const SCRIPT: &str = "/0123456789abcdef0123456789abcdef01234567.js";
const PUBLIC: &str = "Cache-Control: public, max-age=31536000\r\nVary: Accept-Encoding, User-Agent\r\n\
    ETag: W/\"1\"\r\nContent-Type: application/javascript\r\n";

/// An upstream that has `SCRIPT`, whatever its query, with `lines` among its headers; of all else it says 404.
async fn having(script: &'static str, lines: &'static str) -> SocketAddr {
    upstream(move |mut wire| async move {
        while let Some(head) = wire.head_or_end().await {
            let body = if head.starts_with("HEAD") { "" } else { script };
            let length = script.len();
            match head.contains(SCRIPT) {
                true => {
                    let lines = format!("{lines}Content-Length: {length}\r\n");
                    wire.send(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n{body}"))
                        .await;
                }
                false => wire.send(MISSING).await,
            }
        }
    })
    .await
}

const MISSING: &str =
    "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nnone";
const PAGE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 4\r\n\r\npage";
/// What webapp says for a style that it has not.
const STOPGAP: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/css; charset=utf-8\r\nCache-Control: no-cache\r\n\
    Content-Length: 40\r\n\r\n.meteor-css-not-found-error { width: 0px;}";

/// `a.test` at `new` of release 2, while `old` of release 1 drain.
fn deploying(new: SocketAddr, old: &[SocketAddr]) -> RouteTable {
    let old = old.iter().map(|old| Replica::new(at(*old), "1"));
    site(Route::switched([Replica::new(at(new), "2")], old))
}

/// `a.test` at an upstream of release 1.
fn first(upstream: SocketAddr) -> RouteTable {
    site(Route::to_any([Replica::new(at(upstream), "1")]))
}

fn site(route: Route) -> RouteTable {
    let site = Site::new(route).of_app("app");
    RouteTable::builder().site("a.test", site).build()
}

async fn ask(world: &World, method: &str, path: &str, lines: &str) -> Answer {
    let mut client = world.connect().await;
    client
        .send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{lines}\r\n"
        ))
        .await;
    let head = client.head().await;
    let body = client.rest().await;
    Answer { head, body }
}

async fn fetch(world: &World, path: &str) -> Answer {
    ask(world, "GET", path, "").await
}

fn counts(world: &World) -> (u64, u64) {
    let stats = world.stats();
    (stats.assets_bridged, stats.assets_from_cache)
}

fn requests(world: &World, upstream: SocketAddr) -> u64 {
    let stats = world.upstream_stats(upstream);
    stats.map_or(0, |stats| stats.requests_total)
}

#[tokio::test]
async fn an_asset_that_a_replica_has_not_comes_from_one_of_another_release_that_drains() {
    let old = having("old", PUBLIC).await;
    for miss in [MISSING, PAGE] {
        let new = answering(miss).await;
        let world = World::new(deploying(new, &[old])).await;
        let answer = fetch(&world, SCRIPT).await;
        assert_eq!((answer.status(), &*answer.body), (200, "old"));
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(counts(&world), (1, 0));
        world.until_open(old, (0, 0)).await;
        world.until_open(new, (0, 0)).await;
        let page = fetch(&world, "/").await;
        assert_eq!(page.head.split("\r\n").next(), miss.split("\r\n").next());
        assert_eq!(requests(&world, old), 1, "it gets nothing else");
    }
}

#[tokio::test]
async fn a_style_that_webapp_has_not_is_known_by_its_stopgap() {
    let style = "/a.css?meteor_css_resource=true";
    let old = answering(
        "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nETag: \"1\"\r\nContent-Length: 3\r\n\r\nold",
    );
    let new = answering(STOPGAP).await;
    let world = World::new(deploying(new, &[old.await])).await;
    assert_eq!(fetch(&world, style).await.body, "old");
    let other = fetch(&world, "/a.css").await;
    assert!(other.body.starts_with(".meteor-css-not-found"));
    world.publish(deploying(new, &[]));
    assert_eq!(fetch(&world, style).await.body, "old", "from the cache");
}

#[tokio::test]
async fn replicas_of_two_releases_that_serve_have_each_others_assets() {
    let (new, old) = (answering(MISSING).await, having("old", PUBLIC).await);
    let both = [Replica::new(at(new), "2"), Replica::new(at(old), "1")];
    let world = World::new(site(Route::to_any(both))).await;
    for _ in 0..4 {
        assert_eq!(fetch(&world, SCRIPT).await.body, "old");
    }
    assert!(counts(&world).0 <= 1, "then it is in the cache");
    let config = Config {
        asset_cache_bytes: 0,
        ..Config::default()
    };
    let both = [Replica::new(at(new), "2"), Replica::new(at(old), "1")];
    let world = World::with_config(config, site(Route::to_any(both))).await;
    for _ in 0..4 {
        assert_eq!(fetch(&world, SCRIPT).await.body, "old");
    }
    assert_eq!(counts(&world), (2, 0));
}

#[tokio::test]
async fn where_nobody_has_it_the_first_answer_counts() {
    let old = answering(MISSING).await;
    for (new, body) in [
        (answering(PAGE).await, "page"),
        (answering(MISSING).await, "none"),
    ] {
        for old in [old, nobody().await, breaking().await] {
            let world = World::new(deploying(new, &[old])).await;
            assert_eq!(fetch(&world, SCRIPT).await.body, body);
            assert_eq!(counts(&world), (0, 0));
            world.until_open(new, (0, 0)).await;
        }
    }
}

/// An upstream that ends instead of answering.
async fn breaking() -> SocketAddr {
    upstream(|mut wire| async move { drop(wire.head().await) }).await
}

#[tokio::test]
async fn at_most_one_further_replica_is_asked_and_none_for_what_is_no_asset_or_no_miss() {
    let olds = [answering(MISSING).await, answering(MISSING).await];
    let world = World::new(deploying(answering(MISSING).await, &olds)).await;
    fetch(&world, SCRIPT).await;
    let asked = || olds.map(|old| requests(&world, old)).iter().sum::<u64>();
    assert_eq!(asked(), 1);
    fetch(&world, "/app.js").await;
    ask(&world, "POST", SCRIPT, "Content-Length: 0\r\n").await;
    assert_eq!(asked(), 1);
    let failing = answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    world.publish(deploying(failing, &olds));
    assert_eq!(fetch(&world, SCRIPT).await.status(), 503);
    assert_eq!(asked(), 1);
}

#[tokio::test]
async fn the_connection_of_the_answer_that_nobody_gets_is_used_again() {
    let (tell, mut connections) = tokio::sync::mpsc::unbounded_channel();
    let new = upstream(move |mut wire| {
        tell.send(()).unwrap();
        async move {
            while wire.head_or_end().await.is_some() {
                wire.send(MISSING).await;
            }
        }
    })
    .await;
    let world = World::new(deploying(new, &[having("old", PUBLIC).await])).await;
    for path in [SCRIPT, SCRIPT, "/"] {
        fetch(&world, path).await;
        world.until_open(new, (0, 0)).await;
    }
    assert_eq!(counts(&world), (1, 1));
    connections.recv().await.unwrap();
    assert!(connections.try_recv().is_err(), "one connection for all");
}

#[tokio::test]
async fn an_asset_that_has_passed_is_there_when_its_release_is_gone() {
    let old = having("the old script", PUBLIC).await;
    let world = World::new(first(old)).await;
    let passed = fetch(&world, SCRIPT).await;
    assert_eq!(passed.header("age"), None);
    world.until(|stats| stats.asset_cache_bytes > 0).await;
    world.publish(deploying(answering(PAGE).await, &[]));
    let kept = fetch(&world, SCRIPT).await;
    assert_eq!((kept.status(), &*kept.body), (200, "the old script"));
    assert_eq!(kept.header("etag"), Some("W/\"1\""));
    assert!(kept.header("age").unwrap().parse::<u64>().is_ok());
    let head = ask(&world, "HEAD", SCRIPT, "").await;
    assert_eq!((head.status(), &*head.body), (200, ""));
    assert_eq!(head.header("content-length"), Some("14"));
    let known = ask(&world, "GET", SCRIPT, "If-None-Match: \"1\"\r\n").await;
    assert_eq!((known.status(), &*known.body), (304, ""));
    assert_eq!(known.header("content-length"), None);
    let marked = fetch(&world, &format!("{SCRIPT}?meteor_js_resource=true")).await;
    assert_eq!(marked.body, "page", "its address is another one");
    assert_eq!(counts(&world), (0, 3));
    let site = &world.traffic().sites[0].1;
    assert_eq!(site.statuses, [0, 4, 1, 0, 0], "what clients got");
}

#[tokio::test]
async fn a_compressed_answer_of_unknown_length_is_for_those_who_take_its_coding() {
    let old = upstream(|mut wire| async move {
        while wire.head_or_end().await.is_some() {
            wire.send(&format!(
                "HTTP/1.1 200 OK\r\n{PUBLIC}Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            ))
            .await;
        }
    })
    .await;
    let world = World::new(first(old)).await;
    let gzip = "Accept-Encoding: gzip, br\r\n";
    ask(&world, "GET", SCRIPT, gzip).await;
    world.until(|stats| stats.asset_cache_bytes > 0).await;
    world.publish(deploying(answering(MISSING).await, &[]));
    let kept = ask(&world, "GET", SCRIPT, gzip).await;
    assert_eq!(
        (kept.header("content-encoding"), &*kept.body),
        (Some("gzip"), "abcde")
    );
    assert_eq!(kept.header("content-length"), Some("5"));
    assert_eq!(fetch(&world, SCRIPT).await.status(), 404);
}

#[tokio::test]
async fn what_may_not_be_kept_is_not_and_nothing_where_it_is_off() {
    let off = Config {
        asset_cache_bytes: 0,
        ..Config::default()
    };
    let off = World::with_config(off, first(having("x", PUBLIC).await)).await;
    let private = having("x", "Cache-Control: private\r\n").await;
    let private = World::new(first(private)).await;
    let unknown = World::to(having("x", PUBLIC).await).await;
    for world in [off, private, unknown] {
        assert_eq!(fetch(&world, SCRIPT).await.body, "x");
        assert_eq!(world.stats().asset_cache_bytes, 0);
        world.publish(deploying(answering(MISSING).await, &[]));
        assert_eq!(fetch(&world, SCRIPT).await.status(), 404);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_kept() {
    for head in [
        "Content-Length: 9\r\n\r\nshort",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "\r\nabc",
    ] {
        let old = upstream(move |mut wire| async move {
            wire.head().await;
            wire.send(&format!("HTTP/1.1 200 OK\r\n{PUBLIC}{head}"))
                .await;
        })
        .await;
        let world = World::new(first(old)).await;
        fetch(&world, SCRIPT).await;
        world.until_open(old, (0, 0)).await;
        assert_eq!(world.stats().asset_cache_bytes, 0, "{head}");
    }
}

#[tokio::test]
async fn an_asset_of_a_release_that_left_is_forgotten_in_time() {
    let config = Config {
        asset_cache_time: Duration::ZERO,
        ..Config::default()
    };
    let old = having("old", PUBLIC).await;
    let world = World::with_config(config, first(old)).await;
    fetch(&world, SCRIPT).await;
    world.until(|stats| stats.asset_cache_bytes > 0).await;
    let new = answering(MISSING).await;
    world.publish(deploying(new, &[old]));
    assert_eq!(
        fetch(&world, SCRIPT).await.body,
        "old",
        "its release drains"
    );
    assert_eq!(counts(&world), (0, 1));
    world.publish(deploying(new, &[]));
    assert_eq!(world.stats().asset_cache_bytes, 0);
    assert_eq!(fetch(&world, SCRIPT).await.status(), 404);
}
