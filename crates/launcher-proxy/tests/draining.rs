//! Upstreams that are taken out of service, and that no request fails meanwhile.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get as on_get;
use launcher_proxy::RouteTable;
use support::*;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

const UPGRADE: &str =
    "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: test/1\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test/1\r\n\r\n";

/// An upstream that answers every request on a connection and tells when the proxy closes it.
async fn telling_of_its_end() -> (SocketAddr, mpsc::Receiver<()>) {
    let (ended, has_ended) = mpsc::channel(8);
    let address = upstream(move |mut wire| {
        let ended = ended.clone();
        async move {
            while wire.head_or_end().await.is_some() {
                wire.send(&ok("old")).await;
            }
            ended.send(()).await.unwrap();
        }
    })
    .await;
    (address, has_ended)
}

#[tokio::test]
async fn unused_connections_to_a_draining_upstream_are_closed_at_once() {
    let (old, mut ended) = telling_of_its_end().await;
    let new = answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew").await;
    for draining in [&[old][..], &[]] {
        let config = launcher_proxy::Config {
            upstream_idle: std::time::Duration::from_secs(3600),
            ..launcher_proxy::Config::default()
        };
        let world = World::with_config(config, table("a.test", old)).await;
        let mut client = world.connect().await;
        assert_eq!(client.ask(&get("/")).await.body, "old");
        world.publish(switched(&[new], draining));
        patiently(ended.recv()).await.unwrap();
        assert_eq!(client.ask(&get("/")).await.body, "new");
    }
}

#[tokio::test]
async fn a_request_to_a_draining_upstream_counts_to_its_end_and_its_connection_is_closed_then() {
    let (go_on, told) = oneshot::channel::<()>();
    let (ended, has_ended) = oneshot::channel::<()>();
    let once = Mutex::new(Some((told, ended)));
    let old = upstream(move |mut wire| {
        let (told, ended) = once.lock().unwrap().take().unwrap();
        async move {
            wire.head().await;
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbe")
                .await;
            told.await.unwrap();
            wire.send("en").await;
            assert_eq!(wire.head_or_end().await, None);
            ended.send(()).unwrap();
        }
    })
    .await;
    let world = World::to(old).await;
    let mut client = world.connect().await;
    client.send(&get("/")).await;
    client.head().await;
    world.publish(switched(
        &[answering("HTTP/1.1 204 None\r\n\r\n").await],
        &[old],
    ));
    let stats = world.upstream_stats(old).unwrap();
    assert_eq!((stats.open_requests, stats.serving), (1, false));
    go_on.send(()).unwrap();
    assert_eq!(client.text(4).await, "been");
    patiently(has_ended).await.unwrap();
    world.until_open(old, (0, 0)).await;
    assert_eq!(world.upstream_stats(old).unwrap().requests_total, 1);
    assert_eq!(client.ask(&get("/")).await.status(), 204);
}

#[tokio::test]
async fn a_websocket_is_counted_until_it_ends_wherever_the_route_leads_by_then() {
    let old = upstream(|mut wire| async move {
        wire.head().await;
        wire.send(SWITCHING).await;
        let said = wire.text(5).await;
        wire.send(&said).await;
        wire.rest().await;
    })
    .await;
    let world = World::to(old).await;
    let mut client = world.connect().await;
    client.send(UPGRADE).await;
    client.head().await;
    world.until_open(old, (0, 1)).await;
    world.publish(RouteTable::default());
    assert_eq!(world.open(old), (0, 1));
    client.send("hello").await;
    assert_eq!(client.text(5).await, "hello");
    drop(client);
    world.until(|_| world.upstream_stats(old).is_none()).await;
}

/// A server as apps have them. Told to stop, it closes its listener and its unused connections at
/// once, and ends when all others have ended.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let echo = |body: String| async { body };
        let app = Router::new().route("/", on_get(|| async { "hello" }).post(echo));
        let serving = axum::serve(listener, app)
            .with_graceful_shutdown(async { stopped.await.unwrap_or_default() });
        let running = tokio::spawn(async { serving.await.unwrap() });
        Self {
            address,
            stop,
            running,
        }
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        patiently(self.running).await.unwrap();
    }
}

/// Clients that never pause: of each two one has a connection for each request.
struct Load {
    answers: Arc<AtomicUsize>,
    wrong: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    fn start(proxy: SocketAddr, requests: &'static [&'static str]) -> Self {
        let mut load = Self {
            answers: Arc::default(),
            wrong: Arc::default(),
            ended: Arc::default(),
            clients: JoinSet::new(),
        };
        for number in 0..8 {
            let (answers, wrong) = (Arc::clone(&load.answers), Arc::clone(&load.wrong));
            let ended = Arc::clone(&load.ended);
            let connect = move || async move {
                let stream = tokio::net::TcpStream::connect(proxy).await;
                Wire::new(stream.unwrap())
            };
            load.clients.spawn(async move {
                let mut client = connect().await;
                for request in requests.iter().cycle() {
                    if ended.load(Relaxed) {
                        return;
                    }
                    let answer = client.ask(request).await;
                    if (answer.status(), &*answer.body) != (200, "hello") {
                        wrong.lock().unwrap().push(answer.head);
                    }
                    answers.fetch_add(1, Relaxed);
                    if number % 2 == 0 {
                        client = connect().await;
                    }
                }
            });
        }
        load
    }

    /// Waits until the clients have had `number` more answers.
    async fn answers(&self, number: usize, world: &World) {
        let wanted = self.answers.load(Relaxed) + number;
        world
            .until(|_| self.answers.load(Relaxed) >= wanted || self.has_failed())
            .await;
    }

    fn has_failed(&self) -> bool {
        !self.wrong.lock().unwrap().is_empty()
    }

    async fn end(mut self) -> Vec<String> {
        self.ended.store(true, Relaxed);
        while let Some(client) = patiently(self.clients.join_next()).await {
            client.unwrap();
        }
        std::mem::take(&mut self.wrong.lock().unwrap())
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";

/// Switches ten times from two servers to two others under load. The old ones are told to stop right
/// after the switch, or when nothing is open there any more.
async fn switch_under_load(requests: &'static [&'static str], when_unused: bool) -> Vec<String> {
    let mut serving = [Server::start().await, Server::start().await];
    let addresses = |servers: &[Server; 2]| [servers[0].address, servers[1].address];
    let world = World::new(switched(&addresses(&serving), &[])).await;
    let load = Load::start(world.address, requests);
    for _ in 0..10 {
        load.answers(100, &world).await;
        let new = [Server::start().await, Server::start().await];
        let old = std::mem::replace(&mut serving, new);
        world.publish(switched(&addresses(&serving), &addresses(&old)));
        for server in old {
            if when_unused {
                world.until_open(server.address, (0, 0)).await;
            }
            server.end().await;
        }
    }
    load.answers(100, &world).await;
    for server in &serving {
        assert!(world.upstream_stats(server.address).unwrap().requests_total > 0);
    }
    load.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_when_servers_are_replaced_and_stop_when_nothing_is_open() {
    assert_eq!(
        switch_under_load(&[GET, POST], true).await,
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_may_be_repeated_fails_when_servers_stop_as_soon_as_they_are_replaced() {
    assert_eq!(switch_under_load(&[GET], false).await, Vec::<String>::new());
}
