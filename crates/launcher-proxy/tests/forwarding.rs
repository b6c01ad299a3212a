//! What reaches the upstream, and what comes back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use launcher_proxy::Config;
use support::*;

#[tokio::test]
async fn a_get_is_answered_by_the_upstream() {
    let world = World::to(echoing_heads().await).await;
    let mut client = world.connect().await;
    let answer = client.ask(&get("/some/path?and=query")).await;
    assert_eq!(answer.status(), 200);
    assert!(
        answer
            .body
            .starts_with("GET /some/path?and=query HTTP/1.1\r\n"),
        "{}",
        answer.body
    );
    assert_eq!(header(&answer.body, "host"), Some("a.test"));
}

#[tokio::test]
async fn a_post_carries_its_body() {
    let upstream = upstream(|mut wire| async move {
        let head = wire.head().await;
        assert_eq!(header(&head, "content-length"), Some("5"));
        let body = wire.text(5).await;
        wire.send(&ok(&body.to_uppercase())).await;
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    let request = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(client.ask(request).await.body, "HELLO");
}

#[tokio::test]
async fn answers_without_a_body_keep_their_framing() {
    let upstream = upstream(|mut wire| async move {
        while let Some(head) = wire.head_or_end().await {
            let answer = match head.split(' ').nth(1) {
                Some("/not-modified") => "304 Not Modified\r\nContent-Length: 42",
                Some("/no-content") => "204 No Content",
                Some("/unknown-length") => "200 OK\r\nTransfer-Encoding: chunked",
                _ => "200 OK\r\nContent-Length: 42",
            };
            wire.send(&format!("HTTP/1.1 {answer}\r\n\r\n")).await;
        }
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    for (method, path, status_wanted, length) in [
        ("HEAD", "/", 200, Some("42")),
        ("GET", "/not-modified", 304, None),
        ("GET", "/no-content", 204, None),
        ("HEAD", "/unknown-length", 200, None),
        ("HEAD", "/", 200, Some("42")),
    ] {
        client
            .send(&format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"))
            .await;
        let head = client.head().await;
        assert_eq!(status(&head), status_wanted, "{path}");
        assert_eq!(header(&head, "content-length"), length, "{path}");
    }
}

#[tokio::test]
async fn hop_by_hop_headers_are_not_passed_on() {
    let upstream = upstream(|mut wire| async move {
        let head = wire.head().await;
        let answer = ok(&head).replacen(
            "\r\n",
            "\r\nConnection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\n",
            1,
        );
        wire.send(&answer).await;
    })
    .await;
    let world = World::to(upstream).await;
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n\
                   Keep-Alive: 300\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nX-Kept: 1\r\n\r\n";
    let answer = world.connect().await.ask(request).await;
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "x-mine",
    ] {
        assert_eq!(
            header(&answer.body, name),
            None,
            "{name} reached the upstream"
        );
    }
    assert_eq!(header(&answer.body, "x-kept"), Some("1"));
    assert_eq!(header(&answer.body, "via"), Some("1.1 meteor-launcher"));
    for name in ["connection", "x-secret", "keep-alive"] {
        assert_eq!(answer.header(name), None, "{name} reached the client");
    }
    assert_eq!(answer.header("x-kept"), Some("1"));
}

#[tokio::test]
async fn forged_forwarded_headers_are_replaced() {
    let world = World::to(echoing_heads().await).await;
    let request = "GET / HTTP/1.1\r\nHost: A.test:99\r\nX-Forwarded-For: 10.0.0.1\r\n\
                   X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\n\
                   X-Forwarded-Port: 1\r\nForwarded: for=10.0.0.1\r\n\r\n";
    let seen = world.connect().await.ask(request).await.body;
    assert_eq!(header(&seen, "host"), Some("A.test:99"));
    assert_eq!(header(&seen, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header(&seen, "x-forwarded-proto"), Some("http"));
    assert_eq!(header(&seen, "x-forwarded-host"), Some("A.test:99"));
    assert_eq!(
        header(&seen, "x-forwarded-port"),
        Some(&*world.address.port().to_string())
    );
    assert_eq!(header(&seen, "forwarded"), None);
    assert!(
        !seen.contains("10.0.0.1") && !seen.contains("evil"),
        "{seen}"
    );
}

#[tokio::test]
async fn an_absolute_target_is_sent_on_in_origin_form() {
    let world = World::to(echoing_heads().await).await;
    let request = "GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let seen = world.connect().await.ask(request).await.body;
    assert!(seen.starts_with("GET /x HTTP/1.1\r\n"), "{seen}");
}

#[tokio::test]
async fn an_http_1_0_client_gets_an_answer_it_understands() {
    let upstream = upstream(|mut wire| async move {
        let head = wire.head().await;
        assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .await;
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    assert_eq!(header(&head, "transfer-encoding"), None);
    assert_eq!(client.rest().await, "hello");
}

#[tokio::test]
async fn an_http_1_0_client_can_keep_its_connection() {
    let world = World::to(answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await).await;
    let mut client = world.connect().await;
    for _ in 0..2 {
        let request = "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n";
        assert_eq!(client.ask(request).await.body, "hi");
    }
}

#[tokio::test]
async fn an_http_1_0_upstream_is_understood() {
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.0 200 OK\r\n\r\nto the end").await;
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    client.send(&get("/")).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(
        client.up_to("0\r\n\r\n").await,
        "A\r\nto the end\r\n0\r\n\r\n"
    );
}

const EXPECTING: &str =
    "PUT / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

#[tokio::test]
async fn an_upstream_decides_that_a_body_may_be_sent() {
    let upstream = upstream(|mut wire| async move {
        let head = wire.head().await;
        assert_eq!(header(&head, "expect"), Some("100-continue"));
        wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        let body = wire.text(5).await;
        wire.send(&ok(&body)).await;
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    client.send(EXPECTING).await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.ask("hello").await.body, "hello");
}

#[tokio::test]
async fn an_upstream_can_refuse_a_body_before_it_is_sent() {
    let refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
    let world = World::to(answering(refusal).await).await;
    let mut client = world.connect().await;
    let answer = client.ask(EXPECTING).await;
    assert_eq!((answer.status(), &*answer.body), (413, "big"));
    assert_eq!(
        client.rest().await,
        "",
        "without the body, no next request can begin"
    );
}

#[tokio::test]
async fn an_upstream_that_ignores_the_question_gets_the_body() {
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        let body = wire.text(5).await;
        wire.send(&ok(&body)).await;
    })
    .await;
    let config = Config {
        continue_wait: Duration::from_millis(10),
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", upstream)).await;
    let mut client = world.connect().await;
    client.send(EXPECTING).await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.ask("hello").await.body, "hello");
}

#[tokio::test]
async fn trailers_are_kept_both_ways() {
    let upstream = upstream(|mut wire| async move {
        let head = wire.head().await;
        assert_eq!(header(&head, "te"), Some("trailers"));
        let body = wire.up_to("\r\n\r\n").await;
        assert_eq!(body.to_lowercase(), "2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n");
        wire.send(
            "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nho\r\n0\r\nX-Sum: 2\r\n\r\n",
        )
        .await;
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    client
        .send(
            "POST / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\n\
             Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
        )
        .await;
    let head = client.head().await;
    assert_eq!(header(&head, "trailer"), Some("X-Sum"));
    let body = client.up_to("\r\n\r\n").await;
    assert_eq!(body.to_lowercase(), "2\r\nho\r\n0\r\nx-sum: 2\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_answers() {
    let (go_on, told) = tokio::sync::watch::channel(false);
    let upstream = upstream(move |mut wire| {
        let mut told = told.clone();
        async move {
            while wire.head_or_end().await.is_some() {
                told.wait_for(|go_on| *go_on).await.unwrap();
                wire.send(&ok("late")).await;
            }
        }
    })
    .await;
    let world = World::to(upstream).await;
    let mut client = world.connect().await;
    client.send(&get("/").repeat(2)).await;
    client.shutdown().await;
    world.until_open(upstream, (1, 0)).await;
    go_on.send(true).unwrap();
    for _ in 0..2 {
        assert_eq!(client.answer().await.body, "late");
    }
    assert_eq!(client.rest().await, "");
}
