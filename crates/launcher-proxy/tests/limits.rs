//! Slow, idle and too many clients, and how the proxy ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use launcher_proxy::{Config, RouteTable, SiteSettings};
use support::*;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(30);

#[tokio::test]
async fn a_client_that_sends_its_head_slowly_is_cut() {
    let config = Config {
        header_read: SOON,
        idle_keep_alive: NEVER,
        ..Config::default()
    };
    let world = World::with_config(config, RouteTable::default()).await;
    for (begin, told) in [
        ("", false),
        ("GET / HT", true),
        ("GET / HTTP/1.1\r\nHost: a.test\r\n", true),
    ] {
        let mut client = world.connect().await;
        client.send(begin).await;
        let Some(head) = client.head_or_end().await else {
            assert!(!told, "{begin:?}");
            continue;
        };
        assert!(told && status(&head) == 408, "{begin:?}: {head}");
        assert_eq!(header(&head, "connection"), Some("close"));
        let page = client.rest().await;
        let length = header(&head, "content-length").unwrap();
        assert_eq!(length, page.len().to_string());
        assert!(page.ends_with("</main>\n"), "{page}");
    }
    assert_eq!(world.traffic().refusals, [("head-too-slow", 2)]);
}

#[tokio::test]
async fn a_slow_head_is_cut_also_when_it_is_the_second_one() {
    let config = Config {
        header_read: SOON,
        idle_keep_alive: NEVER,
        ..Config::default()
    };
    let world = World::with_config(config, RouteTable::default()).await;
    let mut client = world.connect().await;
    assert_eq!(client.ask(&get("/")).await.status(), 404);
    client.send("GET / HT").await;
    assert_eq!(status(&client.head().await), 408);
    client.rest().await;
}

/// So many that are never done with their heads, while as many others are served as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_slow_heads_keep_nobody_from_being_served() {
    const SLOW: usize = 2_000;
    const GOOD: usize = 100;
    let config = Config {
        header_read: NEVER,
        ..Config::default()
    };
    let world = World::with_config(config, RouteTable::default()).await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut client = world.connect().await;
        client
            .send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: ")
            .await;
        slow.push(client);
    }
    world.until(|stats| stats.open_connections == SLOW).await;
    let mut good = Vec::new();
    for _ in 0..GOOD {
        good.push(world.connect().await);
    }
    let (done, mut over) = tokio::sync::watch::channel(());
    let trickle = tokio::spawn(async move {
        while !over.has_changed().unwrap_or(true) {
            for client in &mut slow {
                client.send("x").await;
            }
            over.mark_unchanged();
            tokio::task::yield_now().await;
        }
        slow
    });
    for _ in 0..20 {
        for client in &mut good {
            assert_eq!(client.ask(&get("/")).await.status(), 404);
        }
    }
    drop(done);
    let slow = patiently(trickle).await.unwrap();
    assert_eq!(
        world.stats().open_connections,
        SLOW + GOOD,
        "nobody was cut"
    );
    drop((slow, good));
    world.until(|stats| stats.open_connections == 0).await;
}

#[tokio::test]
async fn an_idle_client_is_given_its_own_time() {
    let config = Config {
        header_read: NEVER,
        idle_keep_alive: SOON,
        ..Config::default()
    };
    let world = World::with_config(config, RouteTable::default()).await;
    let mut client = world.connect().await;
    assert_eq!(client.ask(&get("/")).await.status(), 404);
    assert_eq!(client.head_or_end().await, None);
}

#[tokio::test]
async fn a_long_answer_is_not_idleness() {
    let (go_on, told) = oneshot::channel::<()>();
    let told = std::sync::Mutex::new(Some(told));
    let upstream = upstream(move |mut wire| {
        let told = told.lock().unwrap().take();
        async move {
            wire.head().await;
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbe")
                .await;
            told.unwrap().await.unwrap();
            wire.send("en").await;
        }
    })
    .await;
    let config = Config {
        header_read: SOON,
        idle_keep_alive: SOON,
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", upstream)).await;
    let mut client = world.connect().await;
    client.send(&get("/")).await;
    client.head().await;
    tokio::time::sleep(SOON * 4).await;
    go_on.send(()).unwrap();
    assert_eq!(client.text(4).await, "been");
}

#[tokio::test]
async fn a_head_that_is_too_large_gets_431() {
    let config = Config {
        max_header_bytes: 1000,
        max_headers: 20,
        ..Config::default()
    };
    let world = World::with_config(config, RouteTable::default()).await;
    let many = "X-Short: 1\r\n".repeat(21);
    let long = format!("X-Long: {}\r\n", "x".repeat(1000));
    for lines in [many, long] {
        let mut client = world.connect().await;
        let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n");
        assert_eq!(client.ask(&request).await.status(), 431, "{lines}");
        assert_eq!(client.head_or_end().await, None);
    }
}

#[tokio::test]
async fn a_client_beyond_the_limit_waits_for_its_turn() {
    let config = Config {
        max_connections: 1,
        ..Config::default()
    };
    let world = World::with_config(config, RouteTable::default()).await;
    let mut first = world.connect().await;
    assert_eq!(first.ask(&get("/")).await.status(), 404);
    let mut second = world.connect().await;
    second.send(&get("/")).await;
    // The first is still served, and alone.
    assert_eq!(first.ask(&get("/")).await.status(), 404);
    assert_eq!(world.stats().open_connections, 1);
    drop(first);
    assert_eq!(second.answer().await.status(), 404);
}

#[tokio::test]
async fn a_shutdown_lets_an_answer_in_flight_finish() {
    let (go_on, told) = oneshot::channel::<()>();
    let told = std::sync::Mutex::new(Some(told));
    let upstream = upstream(move |mut wire| {
        let told = told.lock().unwrap().take();
        async move {
            wire.head().await;
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbe")
                .await;
            told.unwrap().await.unwrap();
            wire.send("en").await;
        }
    })
    .await;
    let config = Config {
        drain: NEVER,
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", upstream)).await;
    let address = world.address;
    let mut idle = world.connect().await;
    assert_eq!(
        idle.ask("GET / HTTP/1.1\r\nHost: no.test\r\n\r\n")
            .await
            .status(),
        404
    );
    let mut busy = world.connect().await;
    busy.send(&get("/")).await;
    busy.head().await;

    let stopped = world.stop();
    assert_eq!(
        idle.head_or_end().await,
        None,
        "an idle connection is closed"
    );
    let refused = tokio::net::TcpStream::connect(address).await;
    assert!(refused.is_err(), "nothing is accepted any more");
    go_on.send(()).unwrap();
    assert_eq!(busy.rest().await, "been");
    patiently(stopped).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_cuts_what_does_not_finish() {
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbe")
            .await;
        wire.head_or_end().await;
    })
    .await;
    let config = Config {
        drain: SOON,
        ..Config::default()
    };
    let world = World::with_config(config, table("a.test", upstream)).await;
    let mut client = world.connect().await;
    client.send(&get("/")).await;
    client.head().await;
    patiently(world.stop()).await.unwrap();
    assert_eq!(client.rest().await, "be");
}

/// The process has file descriptors for all its tests, so the one that runs out of them is another:
/// this program again, under `ulimit`, with nothing but [`out_of_descriptors`].
#[test]
fn running_out_of_descriptors_is_survived() {
    let tests = std::env::current_exe().unwrap();
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            r#"ulimit -n 64; exec "$0" --exact out_of_descriptors --ignored"#,
        ])
        .arg(tests)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "run by running_out_of_descriptors_is_survived"]
async fn out_of_descriptors() {
    let world = World::new(RouteTable::default()).await;
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    files.pop();
    // Takes the last descriptor; the kernel completes the connection, the proxy cannot accept it.
    let mut client = world.connect().await;
    world.until(|stats| stats.accept_errors >= 2).await;
    drop(files);
    assert_eq!(client.ask(&get("/")).await.status(), 404);
    // Each failure is followed by a pause that doubles from 10 ms: hundreds would mean spinning.
    assert!(world.stats().accept_errors < 50, "{:?}", world.stats());
}

/// `a.test` led to `upstream`, with `settings`.
async fn site(upstream: std::net::SocketAddr, settings: SiteSettings) -> World {
    let config = Config {
        site: Arc::new(settings),
        ..Config::default()
    };
    World::with_config(config, table("a.test", upstream)).await
}

fn post(framing: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.test\r\n{framing}")
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_reaches_nobody() {
    let settings = SiteSettings {
        body_bytes: Some(5),
        ..SiteSettings::default()
    };
    let world = site(nobody().await, settings).await;
    let mut client = world.connect().await;
    let answer = client.ask(&post("Content-Length: 6\r\n\r\n")).await;
    assert_eq!(answer.status(), 413);
    assert_eq!(client.rest().await, "");
    let mut client = world.connect().await;
    let answer = client.ask(&post("Content-Length: 5\r\n\r\n12345")).await;
    assert_eq!(
        answer.status(),
        502,
        "it was given to the upstream, which there is not"
    );
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_cut() {
    let settings = SiteSettings {
        body_bytes: Some(5),
        ..SiteSettings::default()
    };
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        wire.up_to("0\r\n\r\n").await;
        wire.send(&ok("all")).await;
    })
    .await;
    let world = site(upstream, settings).await;
    let chunked = |chunks: &str| post(&format!("Transfer-Encoding: chunked\r\n\r\n{chunks}"));
    let answer = world
        .connect()
        .await
        .ask(&chunked("5\r\n12345\r\n0\r\n\r\n"))
        .await;
    assert_eq!(answer.body, "all");
    let answer = world
        .connect()
        .await
        .ask(&chunked("5\r\n12345\r\n1\r\n6\r\n0\r\n\r\n"))
        .await;
    assert_eq!(answer.status(), 413);
    world.until_open(upstream, (0, 0)).await;
}

#[tokio::test]
async fn a_body_that_stands_still_is_cut() {
    let settings = SiteSettings {
        body_idle: SOON,
        ..SiteSettings::default()
    };
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        let _ = wire.stream.read_u8().await;
        let _ = wire.stream.read_u8().await;
    })
    .await;
    let world = site(upstream, settings).await;
    let mut client = world.connect().await;
    let answer = client.ask(&post("Content-Length: 2\r\n\r\n1")).await;
    assert_eq!(answer.status(), 408);
    assert_eq!(client.rest().await, "");
    world.until_open(upstream, (0, 0)).await;
}

#[tokio::test]
async fn an_answer_that_stands_still_is_broken_off() {
    let settings = SiteSettings {
        body_idle: SOON,
        ..SiteSettings::default()
    };
    let upstream = upstream(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1")
            .await;
        wire.head_or_end().await;
    })
    .await;
    let world = site(upstream, settings).await;
    let mut client = world.connect().await;
    client.send(&get("/")).await;
    client.head().await;
    assert_eq!(client.rest().await, "1");
    world.until_open(upstream, (0, 0)).await;
}

#[tokio::test]
async fn a_site_can_have_smaller_heads() {
    let settings = SiteSettings {
        header_bytes: Some(100),
        ..SiteSettings::default()
    };
    let world = site(answering("HTTP/1.1 204 No Content\r\n\r\n").await, settings).await;
    let mut client = world.connect().await;
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n",
        "x".repeat(100)
    );
    assert_eq!(client.ask(&long).await.status(), 431);
    assert_eq!(client.ask(&get("/")).await.status(), 204);
}

/// Asks until the answer is 429; in the meantime it must be 204.
async fn ask_too_often(client: &mut Wire, request: &str) -> Answer {
    loop {
        let answer = client.ask(request).await;
        if answer.status() == 429 {
            return answer;
        }
        assert_eq!(answer.status(), 204);
    }
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_again() {
    let upstream = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let everywhere = Config {
        client_requests: Some(1),
        ..Config::default()
    };
    let at_the_site = Config {
        site: Arc::new(SiteSettings {
            client_requests: Some(1),
            ..SiteSettings::default()
        }),
        ..Config::default()
    };
    for config in [everywhere, at_the_site] {
        let world = World::with_config(config, table("a.test", upstream)).await;
        let answer = ask_too_often(&mut world.connect().await, &get("/")).await;
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=2).contains(&seconds), "{answer:?}");
        // Not the connection counts, but the address.
        ask_too_often(&mut world.connect().await, &get("/")).await;
    }
}

#[tokio::test]
async fn visitors_of_a_trusted_proxy_are_told_apart() {
    let config = Config {
        trusted_proxies: "127.0.0.1".parse().unwrap(),
        client_requests: Some(1),
        client_connections: Some(1),
        ..Config::default()
    };
    let upstream = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let world = World::with_config(config, table("a.test", upstream)).await;
    let of = |address: &str| {
        format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: {address}\r\n\r\n")
    };
    let mut client = world.connect().await;
    ask_too_often(&mut client, &of("192.0.2.1")).await;
    assert_eq!(client.ask(&of("192.0.2.2")).await.status(), 204);
    let mut more = world.connect().await;
    assert_eq!(more.ask(&of("192.0.2.3")).await.status(), 204);
}

#[tokio::test]
async fn a_client_with_too_many_connections_gets_no_more() {
    let config = Config {
        client_connections: Some(2),
        ..Config::default()
    };
    let upstream = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let world = World::with_config(config, table("a.test", upstream)).await;
    let (mut first, mut second) = (world.connect().await, world.connect().await);
    for client in [&mut first, &mut second] {
        assert_eq!(client.ask(&get("/")).await.status(), 204);
    }
    for _ in 0..3 {
        let mut third = world.connect().await;
        assert_eq!(third.ask(&get("/")).await.status(), 429);
        assert_eq!(third.head_or_end().await, None);
    }
    drop(first);
    world.until(|stats| stats.open_connections == 1).await;
    assert_eq!(world.connect().await.ask(&get("/")).await.status(), 204);
    assert_eq!(second.ask(&get("/")).await.status(), 204);
}

#[tokio::test]
async fn a_site_can_allow_fewer_connections() {
    let settings = SiteSettings {
        client_connections: Some(1),
        ..SiteSettings::default()
    };
    let world = site(answering("HTTP/1.1 204 No Content\r\n\r\n").await, settings).await;
    let mut first = world.connect().await;
    assert_eq!(first.ask(&get("/")).await.status(), 204);
    let mut second = world.connect().await;
    assert_eq!(second.ask(&get("/")).await.status(), 429);
    drop(second);
    world.until(|stats| stats.open_connections == 1).await;
    assert_eq!(first.ask(&get("/")).await.status(), 204);
}
