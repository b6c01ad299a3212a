//! Clients stay at their upstream: by cookie, and by the SockJS session in the path.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use launcher_proxy::{Affinity, Config};
use support::*;

/// A world with `a.test` at upstreams that answer with their numbers.
async fn world(upstreams: usize) -> (World, Vec<std::net::SocketAddr>) {
    let mut all = Vec::new();
    for number in 0..upstreams {
        let upstream = upstream(move |mut wire| async move {
            while let Some(head) = wire.head_or_end().await {
                let shared = if head.contains("/asset") {
                    "Cache-Control: public\r\n"
                } else {
                    ""
                };
                let body = number.to_string();
                let length = body.len();
                wire.send(&format!(
                    "HTTP/1.1 200 OK\r\n{shared}Content-Length: {length}\r\n\r\n{body}"
                ))
                .await;
            }
        });
        all.push(upstream.await);
    }
    let config = Config {
        affinity: Affinity::new("launcher_affinity", [7; 32]),
        ..Config::default()
    };
    (World::with_config(config, switched(&all, &[])).await, all)
}

async fn ask(world: &World, path: &str, cookie: Option<&str>) -> Answer {
    let cookie = cookie.map_or_else(String::new, |cookie| format!("Cookie: {cookie}\r\n"));
    let request = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{cookie}\r\n");
    world.connect().await.ask(&request).await
}

fn cookie(answer: &Answer) -> Option<String> {
    let cookie = answer.header("set-cookie")?;
    cookie.split(';').next().map(str::to_owned)
}

#[tokio::test]
async fn a_client_with_the_cookie_stays_and_one_without_takes_turns() {
    let (world, _) = world(3).await;
    let first = ask(&world, "/", None).await;
    let own = cookie(&first).unwrap();
    assert!(own.starts_with("launcher_affinity="), "{own}");
    for _ in 0..6 {
        let again = ask(&world, "/", Some(&format!("other=1; {own}"))).await;
        assert_eq!(again.body, first.body);
        assert_eq!(cookie(&again), None, "he has it already");
    }
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(ask(&world, "/", None).await.body);
    }
    others.sort();
    assert_eq!(others, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_forged_cookie_counts_as_none_and_is_replaced() {
    let (world, _) = world(2).await;
    for forged in [
        "launcher_affinity=0",
        "launcher_affinity=127.0.0.1",
        "launcher_affinity=",
    ] {
        assert!(
            cookie(&ask(&world, "/", Some(forged)).await).is_some(),
            "{forged}"
        );
    }
}

#[tokio::test]
async fn nobody_is_given_a_cookie_that_a_cache_would_give_to_all_or_where_there_is_no_choice() {
    let (several, _) = world(2).await;
    assert_eq!(cookie(&ask(&several, "/asset.js", None).await), None);
    let (one, _) = world(1).await;
    assert_eq!(cookie(&ask(&one, "/", None).await), None);
}

#[tokio::test]
async fn a_client_whose_upstream_is_gone_gets_another_one_and_its_cookie() {
    let (world, all) = world(3).await;
    let first = ask(&world, "/", None).await;
    let (own, number) = (
        cookie(&first).unwrap(),
        first.body.parse::<usize>().unwrap(),
    );
    let left: Vec<_> = (0..3)
        .filter(|at| *at != number)
        .map(|at| all[at])
        .collect();
    world.publish(switched(&left, &[all[number]]));
    let second = ask(&world, "/", Some(&own)).await;
    assert_ne!(second.body, first.body);
    let new = cookie(&second).unwrap();
    assert_ne!(new, own);
    assert_eq!(ask(&world, "/", Some(&new)).await.body, second.body);
}

#[tokio::test]
async fn a_client_whose_upstream_refuses_connections_gets_another_one_at_once() {
    let (world, all) = world(2).await;
    let first = ask(&world, "/", None).await;
    let number = first.body.parse::<usize>().unwrap();
    // The same addresses, but nobody listens at the one that the client has.
    let nobody = nobody().await;
    world.publish(switched(&[all[1 - number], nobody], &[]));
    let mut owned = None;
    // One who has no cookie is sent to both in turn, and gets that of whoever answered.
    for _ in 0..2 {
        let answer = ask(&world, "/", owned.as_deref()).await;
        assert_eq!(answer.body, (1 - number).to_string());
        owned = cookie(&answer).or(owned);
    }
}

#[tokio::test]
async fn requests_of_one_sockjs_session_reach_one_upstream_without_cookies() {
    let (world, all) = world(3).await;
    for session in ["000/aaaaaaaa", "001/bbbbbbbb", "002/cccccccc"] {
        let first = ask(&world, &format!("/sockjs/{session}/xhr"), None)
            .await
            .body;
        // Others come in between, and the table is replaced.
        ask(&world, "/", None).await;
        world.publish(switched(&all, &[]));
        for transport in ["xhr_send", "xhr", "xhr", "xhr_streaming"] {
            let answer = ask(&world, &format!("/sockjs/{session}/{transport}?t=1"), None).await;
            assert_eq!(answer.body, first, "{session} {transport}");
        }
    }
}

#[tokio::test]
async fn a_session_outweighs_a_cookie() {
    let (world, _) = world(2).await;
    let session = ask(&world, "/sockjs/1/a/xhr", None).await;
    let other = loop {
        let answer = ask(&world, "/", None).await;
        if answer.body != session.body {
            break cookie(&answer).unwrap();
        }
    };
    let again = ask(&world, "/sockjs/1/a/xhr", Some(&other)).await;
    assert_eq!(again.body, session.body);
}

#[tokio::test]
async fn two_proxies_with_one_key_agree() {
    let (first, all) = world(2).await;
    let config = Config {
        affinity: Affinity::new("launcher_affinity", [7; 32]),
        ..Config::default()
    };
    let second = World::with_config(config, switched(&all, &[])).await;
    for _ in 0..2 {
        let answer = ask(&first, "/", None).await;
        let own = cookie(&answer);
        assert_eq!(ask(&second, "/", own.as_deref()).await.body, answer.body);
    }
}
