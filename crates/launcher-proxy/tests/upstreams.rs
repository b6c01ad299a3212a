//! Routes with several upstreams: who gets a request, and who gets it when that one fails.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use launcher_proxy::Config;
use support::*;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};

const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
const UPGRADE: &str =
    "GET /upgrade HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: test/1\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test/1\r\n\r\n";

/// An upstream that answers with its name: `/slow` when `go_on` has a permit for it, `/upgrade` by
/// switching protocols. Bodies have five bytes.
async fn named(name: &'static str, go_on: Arc<Semaphore>) -> SocketAddr {
    upstream(move |mut wire| {
        let go_on = Arc::clone(&go_on);
        async move {
            while let Some(head) = wire.head_or_end().await {
                if head.starts_with("POST") {
                    wire.text(5).await;
                }
                if head.starts_with("GET /slow") {
                    go_on.acquire().await.unwrap().forget();
                }
                if head.starts_with("GET /upgrade") {
                    wire.send(SWITCHING).await;
                    wire.rest().await;
                    return;
                }
                wire.send(&ok(name)).await;
            }
        }
    })
    .await
}

async fn two() -> (SocketAddr, SocketAddr, Arc<Semaphore>) {
    let go_on = Arc::new(Semaphore::new(0));
    let (one, two) = tokio::join!(
        named("one", Arc::clone(&go_on)),
        named("two", Arc::clone(&go_on))
    );
    (one, two, go_on)
}

#[tokio::test]
async fn upstreams_that_are_equally_busy_take_turns() {
    let (one, two, _) = two().await;
    let world = World::new(switched(&[one, two], &[])).await;
    let mut client = world.connect().await;
    for _ in 0..3 {
        assert_eq!(client.ask(&get("/")).await.body, "one");
        assert_eq!(client.ask(&get("/")).await.body, "two");
    }
    let totals = [one, two].map(|upstream| world.upstream_stats(upstream).unwrap().requests_total);
    assert_eq!(totals, [3, 3]);
}

#[tokio::test]
async fn an_upstream_with_an_open_request_or_websocket_is_left_alone_while_another_has_none() {
    let (one, two, go_on) = two().await;
    let world = World::new(switched(&[one, two], &[])).await;
    let (mut slow, mut quick) = (world.connect().await, world.connect().await);
    slow.send(&get("/slow")).await;
    world.until_open(one, (1, 0)).await;
    for _ in 0..3 {
        assert_eq!(quick.ask(&get("/")).await.body, "two");
    }
    go_on.add_permits(1);
    assert_eq!(slow.answer().await.body, "one");
    world.until_open(one, (0, 0)).await;

    let mut upgraded = world.connect().await;
    upgraded.send(UPGRADE).await;
    upgraded.head().await;
    let (busy, name) = match world.open(one) {
        (_, 1) => (one, "two"),
        _ => (two, "one"),
    };
    world.until_open(busy, (0, 1)).await;
    for _ in 0..3 {
        assert_eq!(quick.ask(&get("/")).await.body, name);
    }
    drop(upgraded);
    world.until_open(busy, (0, 0)).await;
}

#[tokio::test]
async fn what_a_refusing_upstream_does_not_get_another_one_gets_body_and_all() {
    let (one, _, _) = two().await;
    let world = World::new(switched(&[nobody().await, one], &[])).await;
    let mut client = world.connect().await;
    for request in [POST, &get("/"), POST, UPGRADE] {
        client.send(request).await;
        let head = client.head().await;
        assert!([200, 101].contains(&status(&head)), "{head}");
        if status(&head) == 200 {
            assert_eq!(client.text(3).await, "one");
        }
    }
}

/// An upstream that is never connected to: its backlog is full. The streams fill it.
async fn full() -> (SocketAddr, impl Sized) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut streams = Vec::new();
    let moment = Duration::from_millis(200);
    while let Ok(stream) = tokio::time::timeout(moment, TcpStream::connect(address)).await {
        streams.push(stream.unwrap());
    }
    (address, (listener, streams))
}

#[tokio::test]
async fn an_upstream_that_cannot_be_connected_to_in_time_costs_the_first_request_that_time() {
    let (one, _, _) = two().await;
    let (full, _streams) = full().await;
    let config = Config {
        avoid_failed: Duration::from_secs(3600),
        ..with_site(|site| site.connect = Duration::from_millis(50))
    };
    let world = World::with_config(config, switched(&[full, one], &[])).await;
    let mut client = world.connect().await;
    for _ in 0..4 {
        assert_eq!(client.ask(POST).await.body, "one");
    }
    let tried = world.upstream_stats(full).unwrap().requests_total;
    assert_eq!(tried, 1, "it comes last from then on");
    world.publish(switched(&[full], &[]));
    assert_eq!(
        client.ask(&get("/")).await.status(),
        504,
        "alone it is tried"
    );
    assert_eq!(world.open(full), (0, 0));
}

#[tokio::test]
async fn an_upstream_that_failed_is_tried_at_once_when_it_is_the_only_one() {
    let address = nobody().await;
    let config = Config {
        avoid_failed: Duration::from_secs(3600),
        ..Config::default()
    };
    let world = World::with_config(config, switched(&[address], &[])).await;
    let mut client = world.connect().await;
    assert_eq!(client.ask(&get("/")).await.status(), 502);
    let listener = TcpListener::bind(address).await.unwrap();
    client.send(&get("/")).await;
    let mut upstream = Wire::new(patiently(listener.accept()).await.unwrap().0);
    upstream.head().await;
    upstream.send(&ok("back")).await;
    assert_eq!(client.answer().await.body, "back");
}

/// An upstream that tells of each request, and closes the connection when it is told to.
async fn breaking() -> (SocketAddr, mpsc::Receiver<()>, Arc<Semaphore>) {
    let (got, has_got) = mpsc::channel(8);
    let close = Arc::new(Semaphore::new(0));
    let closes = Arc::clone(&close);
    let address = upstream(move |mut wire| {
        let (got, closes) = (got.clone(), Arc::clone(&closes));
        async move {
            wire.head().await;
            got.send(()).await.unwrap();
            closes.acquire().await.unwrap().forget();
        }
    })
    .await;
    (address, has_got, close)
}

#[tokio::test]
async fn a_request_that_breaks_its_upstream_is_not_given_to_the_next() {
    let (one, _, _) = two().await;
    let (broken, _got, close) = breaking().await;
    close.add_permits(8);
    let world = World::new(switched(&[broken, one], &[])).await;
    for request in [&get("/"), POST] {
        let mut client = world.connect().await;
        let mut answers = [0; 2];
        for answer in &mut answers {
            *answer = client.ask(request).await.status();
        }
        answers.sort_unstable();
        assert_eq!(answers, [200, 502], "{request}");
    }
}

#[tokio::test]
async fn what_a_drained_upstream_left_unanswered_is_asked_again_unless_that_could_do_harm() {
    let (one, _, _) = two().await;
    for (request, status) in [(&*get("/"), 200), (POST, 502)] {
        let (broken, mut got, close) = breaking().await;
        let world = World::to(broken).await;
        let mut client = world.connect().await;
        client.send(request).await;
        patiently(got.recv()).await.unwrap();
        world.publish(switched(&[one], &[broken]));
        close.add_permits(1);
        assert_eq!(client.answer().await.status(), status, "{request}");
    }
}
