//! Who asked, and what upstreams are told of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use launcher_proxy::Config;
use support::*;

const CLAIMS: &str = "GET / HTTP/1.1\r\nHost: inside.test\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n\
     X-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test\r\nX-Forwarded-Port: 8443\r\n\r\n";

async fn world(trusted: &str) -> World {
    let config = Config {
        trusted_proxies: trusted.parse().unwrap(),
        ..Config::default()
    };
    World::with_config(config, table("a.test", echoing_heads().await)).await
}

#[tokio::test]
async fn a_trusted_proxy_tells_who_asked_and_for_what() {
    let world = world("127.0.0.0/8").await;
    let answer = world.connect().await.ask(CLAIMS).await;
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "a.test"),
        ("x-forwarded-port", "8443"),
        ("host", "a.test"),
    ] {
        assert_eq!(header(&answer.body, name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn nobody_else_does() {
    let world = world("192.0.2.0/24").await;
    let mut client = world.connect().await;
    assert_eq!(
        client.ask(CLAIMS).await.status(),
        404,
        "inside.test has no route"
    );
    let answer = client.ask(&CLAIMS.replace("inside.test", "a.test")).await;
    assert_eq!(header(&answer.body, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header(&answer.body, "x-forwarded-proto"), Some("http"));
    let port = world.address.port().to_string();
    assert_eq!(header(&answer.body, "x-forwarded-port"), Some(&*port));
}

async fn behind_a_proxy() -> World {
    let config = Config {
        trusted_proxies: "127.0.0.1".parse().unwrap(),
        proxy_protocol: true,
        ..Config::default()
    };
    World::with_config(config, table("a.test", echoing_heads().await)).await
}

#[tokio::test]
async fn the_proxy_protocol_tells_who_connected() {
    let world = behind_a_proxy().await;
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\xdc\x04\x01\xbb";
    for header_bytes in [&b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n"[..], binary] {
        for cut in [0, 5, 20] {
            let mut client = world.connect().await;
            client.send_bytes(&header_bytes[..cut]).await;
            client.send_bytes(&header_bytes[cut..]).await;
            for _ in 0..2 {
                let answer = client.ask(&get("/")).await;
                assert_eq!(header(&answer.body, "x-forwarded-for"), Some("192.0.2.7"));
                assert_eq!(header(&answer.body, "x-forwarded-port"), Some("443"));
            }
            // Who connected is no trusted proxy.
            let answer = client.ask(&CLAIMS.replace("inside.test", "a.test")).await;
            assert_eq!(header(&answer.body, "x-forwarded-for"), Some("192.0.2.7"));
        }
    }
}

#[tokio::test]
async fn a_proxy_that_speaks_for_itself_is_answered() {
    let world = behind_a_proxy().await;
    let mut client = world.connect().await;
    client.send("PROXY UNKNOWN\r\n").await;
    let answer = client.ask(&get("/")).await;
    assert_eq!(header(&answer.body, "x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_trusted_proxy_that_does_not_say_who_connected_is_not_served() {
    let world = behind_a_proxy().await;
    for begin in [
        &*get("/"),
        "PROXY TCP4 nonsense\r\n",
        "\r\n\r\n\0\r\nQUIT\n\x11",
    ] {
        let mut client = world.connect().await;
        client.send(begin).await;
        client.shutdown().await;
        assert_eq!(client.head_or_end().await, None, "{begin:?}");
    }
    world.until(|stats| stats.open_connections == 0).await;
}

#[tokio::test]
async fn nobody_else_is_asked_who_connected() {
    let config = Config {
        trusted_proxies: "192.0.2.1".parse().unwrap(),
        proxy_protocol: true,
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", echoing_heads().await)).await;
    assert_eq!(world.connect().await.ask(&get("/")).await.status(), 200);
    let mut liar = world.connect().await;
    liar.send("PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n")
        .await;
    assert_eq!(liar.ask(&get("/")).await.status(), 400);
}
