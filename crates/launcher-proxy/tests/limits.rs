//! Slow, idle and too many clients, and how the proxy ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use launcher_proxy::{Config, RouteTable};
use support::*;
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
    for begin in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: a.test\r\n"] {
        let mut client = world.connect().await;
        client.send(begin).await;
        assert_eq!(
            client.head_or_end().await.map(|head| status(&head)),
            None,
            "{begin:?}"
        );
    }
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
    assert_eq!(client.head_or_end().await, None);
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
