//! HTTP/2 by prior knowledge: the same service, by other frames.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use launcher_proxy::Config;
use support::*;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

type Body = BoxBody<Bytes, std::convert::Infallible>;

/// A client, and the task of its connection, which ends with it.
async fn connect(world: &World) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(TcpStream::connect(world.address).await.unwrap());
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    (sender, tokio::spawn(connection))
}

fn request(path: &str) -> http::request::Builder {
    Request::builder().uri(format!("http://a.test{path}"))
}

fn nothing() -> Body {
    Empty::new().boxed()
}

async fn text(response: Response<Incoming>) -> String {
    let body = patiently(response.into_body().collect()).await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_becomes_one_of_http_1() {
    let world = World::to(echoing_heads().await).await;
    let (mut client, _connection) = connect(&world).await;
    let request = request("/x?y")
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    let request = request.header("te", "trailers").body(nothing()).unwrap();
    let answer = patiently(client.send_request(request)).await.unwrap();
    assert_eq!(
        (answer.status(), answer.version()),
        (StatusCode::OK, Version::HTTP_2)
    );
    let head = text(answer).await;
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    for (name, value) in [
        ("host", "a.test"),
        ("cookie", "a=1; b=2"),
        ("te", "trailers"),
        ("via", "2.0 meteor-launcher"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
    ] {
        assert_eq!(header(&head, name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn bodies_and_trailers_pass_both_ways_as_they_come() {
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n";
        wire.send(head).await;
        let chunk = wire.up_to("first\r\n").await;
        wire.send(&chunk).await;
        let last = wire.up_to("0\r\nx-sum: 5\r\n\r\n").await;
        wire.send(&last).await;
    })
    .await;
    let world = World::to(upstream).await;
    let (mut client, _connection) = connect(&world).await;
    let (mut body, outgoing) = Channel::new(1);
    let request = request("/")
        .method("POST")
        .header("te", "trailers")
        .header("trailer", "x-sum");
    let request = request.body(outgoing.boxed()).unwrap();
    body.send_data(Bytes::from_static(b"first")).await.unwrap();
    let mut answer = patiently(client.send_request(request)).await.unwrap();
    let first = patiently(answer.frame()).await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "5".parse().unwrap());
    body.send_trailers(trailers).await.unwrap();
    drop(body);
    let last = patiently(answer.frame()).await.unwrap().unwrap();
    assert_eq!(last.into_trailers().unwrap()["x-sum"], "5");
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let upstream = echoing_heads().await;
    let world = World::to(upstream).await;
    let (client, connection) = connect(&world).await;
    let requests = (0..300).map(|number| {
        let mut client = client.clone();
        tokio::spawn(async move {
            let path = format!("/{number}");
            client.ready().await.unwrap();
            let answer = client
                .send_request(request(&path).body(nothing()).unwrap())
                .await;
            assert!(
                text(answer.unwrap())
                    .await
                    .starts_with(&format!("GET {path} "))
            );
        })
    });
    for request in requests.collect::<Vec<_>>() {
        patiently(request).await.unwrap();
    }
    assert_eq!(world.stats().open_connections, 1);
    drop(client);
    patiently(connection).await.unwrap().unwrap();
    world.until(|stats| stats.open_connections == 0).await;
    world.until_open(upstream, (0, 0)).await;
}

#[tokio::test]
async fn the_proxys_own_pages_end_no_connection() {
    let world = World::to(nobody().await).await;
    let (mut client, _connection) = connect(&world).await;
    for (uri, host, status) in [
        ("http://no.test/", None, StatusCode::NOT_FOUND),
        ("http://a.test/", Some("b.test"), StatusCode::BAD_REQUEST),
        ("http://u@a.test/", None, StatusCode::BAD_REQUEST),
        ("http://a.test/", None, StatusCode::BAD_GATEWAY),
    ] {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let answer = patiently(client.send_request(request.body(nothing()).unwrap()))
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{uri}");
        assert!(!answer.headers().contains_key("connection"), "{uri}");
        assert!(!text(answer).await.is_empty(), "{uri}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_gets_431() {
    let config = Config {
        max_header_bytes: 4000,
        max_headers: 20,
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", echoing_heads().await)).await;
    let many = (0..21).fold(request("/"), |request, number| {
        request.header(format!("x-{number}"), "1")
    });
    let long = request("/").header("x-long", "x".repeat(4000));
    for request in [many, long] {
        let (mut client, _connection) = connect(&world).await;
        let answer = patiently(client.send_request(request.body(nothing()).unwrap())).await;
        assert_eq!(answer.unwrap().status(), 431);
    }
}

#[tokio::test]
async fn who_says_nothing_is_told_to_leave() {
    let config = Config {
        idle_keep_alive: Duration::from_millis(30),
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", echoing_heads().await)).await;
    let (_client, connection) = connect(&world).await;
    patiently(connection).await.unwrap().unwrap();
    world.until(|stats| stats.open_connections == 0).await;
}

#[tokio::test]
async fn a_shutdown_lets_an_answer_in_flight_finish() {
    let (go_on, told) = tokio::sync::watch::channel(false);
    let upstream = upstream(move |mut wire| {
        let mut told = told.clone();
        async move {
            wire.head().await;
            told.wait_for(|go_on| *go_on).await.unwrap();
            wire.send(&ok("late")).await;
        }
    })
    .await;
    let world = World::to(upstream).await;
    let (mut client, connection) = connect(&world).await;
    let body = Full::new(Bytes::from_static(b"x")).boxed();
    let answer = client.send_request(request("/").method("POST").body(body).unwrap());
    world.until_open(upstream, (1, 0)).await;
    let stopped = world.stop();
    go_on.send(true).unwrap();
    assert_eq!(text(patiently(answer).await.unwrap()).await, "late");
    patiently(stopped).await.unwrap();
    patiently(connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_only_begins_like_http_2_is_refused() {
    let world = World::to(nobody().await).await;
    for begin in [
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "PRI * HTTP/2.0\r\nHost: a.test\r\n\r\n",
    ] {
        let mut client = world.connect().await;
        assert_eq!(client.ask(begin).await.status(), 400);
        assert_eq!(client.rest().await, "");
    }
    let mut client = world.connect().await;
    client
        .send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nno frames at all, whatever they say")
        .await;
    let mut answer = Vec::new();
    let _ = patiently(tokio::io::AsyncReadExt::read_to_end(
        &mut client.stream,
        &mut answer,
    ))
    .await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"));
    world.until(|stats| stats.open_connections == 0).await;
}
