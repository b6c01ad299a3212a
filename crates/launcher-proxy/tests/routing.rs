//! The table in force, connections that are kept, and the pages of the proxy's own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use launcher_proxy::{Route, RouteTable, Site};
use support::*;
use tokio::sync::Notify;

#[tokio::test]
async fn a_new_table_counts_from_the_next_request() {
    let one = answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none").await;
    let two = answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo").await;
    let world = World::to(one).await;
    let mut client = world.connect().await;
    assert_eq!(client.ask(&get("/")).await.body, "one");
    world.publish(table("a.test", two));
    assert_eq!(client.ask(&get("/")).await.body, "two");
    world.publish(RouteTable::default());
    assert_eq!(client.ask(&get("/")).await.status(), 404);
    assert_eq!(world.stats().open_connections, 1);
}

#[tokio::test]
async fn the_last_table_stays_when_nobody_writes_any_more() {
    let mut world =
        World::to(answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await).await;
    drop(world.routes.take());
    assert_eq!(world.connect().await.ask(&get("/")).await.status(), 200);
}

/// An upstream that answers each request with the number of its connection.
async fn numbering() -> std::net::SocketAddr {
    let connections = AtomicUsize::new(0);
    upstream(move |mut wire| {
        let number = connections.fetch_add(1, Relaxed).to_string();
        async move {
            while wire.head_or_end().await.is_some() {
                wire.send(&ok(&number)).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_connection_to_an_upstream_is_used_again_also_after_a_new_table() {
    let upstream = numbering().await;
    let world = World::to(upstream).await;
    assert_eq!(world.connect().await.ask(&get("/")).await.body, "0");
    assert_eq!(world.connect().await.ask(&get("/")).await.body, "0");
    world.publish(table("a.test", upstream));
    assert_eq!(world.connect().await.ask(&get("/")).await.body, "0");
}

#[tokio::test]
async fn a_connection_that_its_upstream_closed_is_not_used_again() {
    let closed = Arc::new(Notify::new());
    let closes = Arc::clone(&closed);
    let upstream = upstream(move |mut wire| {
        let closes = Arc::clone(&closes);
        async move {
            wire.head().await;
            wire.send(&ok("once")).await;
            drop(wire);
            closes.notify_one();
        }
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    for _ in 0..50 {
        let post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(client.ask(post).await.body, "once");
        patiently(closed.notified()).await;
    }
}

/// An upstream that answers the first request on each connection and closes at the second.
async fn closing_at_the_second() -> std::net::SocketAddr {
    upstream(|mut wire| async move {
        wire.head().await;
        wire.send(&ok("first")).await;
        wire.head_or_end().await;
    })
    .await
}

#[tokio::test]
async fn a_request_that_may_be_repeated_survives_a_connection_that_closes_under_it() {
    let world = World::to(closing_at_the_second().await).await;
    let mut client = world.connect().await;
    for _ in 0..3 {
        assert_eq!(client.ask(&get("/")).await.body, "first");
    }
}

#[tokio::test]
async fn a_request_that_was_sent_and_may_not_be_repeated_is_not() {
    let world = World::to(closing_at_the_second().await).await;
    let mut client = world.connect().await;
    let post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.ask(post).await.status(), 200);
    assert_eq!(client.ask(post).await.status(), 502);
}

#[tokio::test]
async fn an_answer_that_is_not_read_to_its_end_does_not_spoil_the_next() {
    let upstream = upstream(|mut wire| async move {
        while let Some(head) = wire.head_or_end().await {
            let cut = head.starts_with("GET /cut");
            let answer = if cut {
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin"
            } else {
                &ok("ok")
            };
            wire.send(answer).await;
        }
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    client.send(&get("/cut")).await;
    client.head().await;
    client.exactly(5).await;
    drop(client);
    world.until(|stats| stats.open_connections == 0).await;
    assert_eq!(world.connect().await.ask(&get("/")).await.body, "ok");
}

#[tokio::test]
async fn an_unknown_hostname_gets_a_page_that_says_so() {
    let world = World::new(RouteTable::default()).await;
    let answer = world
        .connect()
        .await
        .ask("GET / HTTP/1.1\r\nHost: no.test:80\r\n\r\n")
        .await;
    assert_eq!(answer.status(), 404);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(answer.body.contains("no.test"), "{}", answer.body);
}

#[tokio::test]
async fn a_head_request_gets_the_head_of_the_page() {
    let world = World::new(RouteTable::default()).await;
    let mut client = world.connect().await;
    client
        .send("HEAD / HTTP/1.1\r\nHost: no.test\r\nConnection: close\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(status(&head), 404);
    assert!(header(&head, "content-length").is_some());
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn an_app_that_is_not_running_gets_503() {
    let table = RouteTable::builder()
        .route("a.test", Route::unavailable("stopped"))
        .build();
    let world = World::new(table).await;
    let answer = world.connect().await.ask(&get("/")).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert!(answer.body.contains("stopped"));
}

#[tokio::test]
async fn an_upstream_that_refuses_gets_502_and_stays_unnamed() {
    let upstream = nobody().await;
    let world = World::to(upstream).await;
    let answer = world.connect().await.ask(&get("/")).await;
    assert_eq!(answer.status(), 502);
    let said = format!("{}{}", answer.head, answer.body);
    assert!(
        !said.contains("127.0.0.1") && !said.contains(&upstream.port().to_string()),
        "{said}"
    );
}

#[tokio::test]
async fn an_upstream_that_dies_or_babbles_before_its_answer_gets_502() {
    for babble in ["", "HTTP/1.1 200 OK\r\nContent-Le", "hello\r\n\r\n"] {
        let upstream = upstream(move |mut wire| async move {
            wire.head().await;
            wire.send(babble).await;
        })
        .await;
        let world = World::to(upstream).await;
        assert_eq!(
            world.connect().await.ask(&get("/")).await.status(),
            502,
            "{babble:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_the_client_connection_off() {
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin")
            .await;
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    client.send(&get("/")).await;
    client.head().await;
    assert_eq!(client.rest().await, "begin");
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_gets_504() {
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        wire.head_or_end().await;
    })
    .await;
    let config = with_site(|site| site.response = std::time::Duration::from_millis(20));
    let world = World::with_config(config, table("a.test", upstream)).await;
    assert_eq!(world.connect().await.ask(&get("/")).await.status(), 504);
}

#[tokio::test]
async fn pages_are_json_for_those_who_prefer_it() {
    let world = World::new(RouteTable::default()).await;
    let request = "GET / HTTP/1.1\r\nHost: no.test\r\nAccept: application/json\r\n\r\n";
    let answer = world.connect().await.ask(request).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.body,
        r#"{"error":"unknown-hostname","reason":"No app is served at no.test."}"#
    );
}

#[tokio::test]
async fn what_a_server_must_refuse_gets_400_and_reaches_nobody() {
    let world = World::to(nobody().await).await;
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a test\r\n\r\n",
        "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-Folded: 1\r\n 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a.test\r\n\r\n",
    ] {
        let mut client = world.connect().await;
        assert_eq!(client.ask(request).await.status(), 400, "{request}");
        assert_eq!(client.rest().await, "", "{request}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_one_gets_400() {
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        wire.rest().await;
    })
    .await;
    let world = World::to(upstream).await;
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = world
        .connect()
        .await
        .ask(&format!("{head}no number\r\n"))
        .await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn an_old_client_that_names_no_host_is_told_so() {
    let world = World::new(RouteTable::default()).await;
    let answer = world.connect().await.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(answer.status(), 404);
    assert!(answer.body.contains("names no host"), "{}", answer.body);
}

#[tokio::test]
async fn tunnels_are_not_opened() {
    let world = World::to(nobody().await).await;
    let request = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n";
    assert_eq!(world.connect().await.ask(request).await.status(), 501);
}

/// What an upstream was asked, which it answers with.
async fn asked(world: &World, host: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    world.connect().await.ask(&request).await.body
}

#[tokio::test]
async fn paths_wildcards_and_the_default_lead_to_sites_of_their_own() {
    let one = answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1").await;
    let two = answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2").await;
    let three = answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3").await;
    let four = answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4").await;
    let table = RouteTable::builder()
        .route("a.test", to(one))
        .route("a.test/docs", to(two))
        .route("*.a.test", to(three))
        .default_site(to(four));
    let world = World::new(table.build()).await;
    for (host, path, answer) in [
        ("a.test", "/", "1"),
        ("a.test", "/docs?x=/", "2"),
        ("a.test", "/docs/1", "2"),
        ("a.test", "/docs1", "1"),
        ("x.A.test:80", "/docs", "3"),
        ("b.test", "/", "4"),
    ] {
        assert_eq!(asked(&world, host, path).await, answer, "{host}{path}");
    }
}

#[tokio::test]
async fn an_upstream_gets_the_whole_path_unless_the_site_strips_its_prefix() {
    let echo = upstream(|mut wire| async move {
        while let Some(head) = wire.head_or_end().await {
            let target = head.split(' ').nth(1).unwrap_or_default();
            let prefix = header(&head, "x-forwarded-prefix").unwrap_or("-");
            wire.send(&ok(&format!("{target} {prefix}"))).await;
        }
    })
    .await;
    let table = RouteTable::builder()
        .site("a.test/docs", Site::new(to(echo)).stripping_prefix())
        .route("a.test/whole", to(echo));
    let world = World::new(table.build()).await;
    for (path, got) in [
        ("/docs", "/ /docs"),
        ("/docs/a?b=c", "/a?b=c /docs"),
        ("/docs?b", "/?b /docs"),
        ("/whole/a", "/whole/a -"),
    ] {
        assert_eq!(asked(&world, "a.test", path).await, got);
    }
}
