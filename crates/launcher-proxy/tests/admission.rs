//! How an upstream that has just begun to serve takes those who come to stay.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use launcher_proxy::{AdmissionSettings, Affinity, Config, RouteTable};
use support::*;
use tokio::sync::watch;
use tokio::task::JoinSet;

const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const INFO: &str = "GET /sockjs/info HTTP/1.1\r\nHost: a.test\r\n\r\n";
const POLL: &str = "POST /sockjs/1/abc/xhr HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n";
const WEBSOCKET: &str =
    "GET /websocket HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// So many a second pass at first, and so many wait at the same time.
const FEW: usize = 5;

/// An app that answers newcomers when it is told to, and all others at once.
struct App {
    address: SocketAddr,
    is_quick: watch::Sender<bool>,
    newcomers: Arc<AtomicUsize>,
}

impl App {
    async fn start(is_quick: bool) -> Self {
        let (is_quick, told) = watch::channel(is_quick);
        let newcomers = Arc::<AtomicUsize>::default();
        let came = Arc::clone(&newcomers);
        let address = upstream(move |mut wire| {
            let (mut told, came) = (told.clone(), Arc::clone(&came));
            async move {
                while let Some(head) = wire.head_or_end().await {
                    let upgrade = head.contains("websocket");
                    if upgrade || head.contains("/info") {
                        came.fetch_add(1, Relaxed);
                        told.wait_for(|is_quick| *is_quick).await.unwrap();
                    }
                    let answer = if upgrade { SWITCHING.into() } else { ok("o") };
                    wire.send(&answer).await;
                }
            }
        })
        .await;
        Self {
            address,
            is_quick,
            newcomers,
        }
    }

    fn came(&self) -> usize {
        self.newcomers.load(Relaxed)
    }
}

/// A proxy that has routed before, so that what it is told now has just begun.
async fn world(settings: AdmissionSettings) -> World {
    let config = Config {
        admission: Some(settings),
        ..Config::default()
    };
    World::with_config(config, RouteTable::default()).await
}

fn few() -> AdmissionSettings {
    AdmissionSettings {
        first_rate: FEW as u32,
        waiting: FEW as u32,
        ..AdmissionSettings::default()
    }
}

/// Clients who come at once, each on a connection of its own.
async fn storm(world: &World, number: usize, request: &str) -> JoinSet<Answer> {
    let mut clients = JoinSet::new();
    for _ in 0..number {
        let mut client = world.connect().await;
        client.send(request).await;
        clients.spawn(async move { client.answer().await });
    }
    clients
}

async fn statuses(mut clients: JoinSet<Answer>) -> Vec<u16> {
    let mut statuses = Vec::new();
    while let Some(answer) = patiently(clients.join_next()).await {
        statuses.push(answer.unwrap().status());
    }
    statuses
}

#[tokio::test]
async fn a_storm_is_held_back_while_the_app_does_not_answer_and_all_else_goes_on() {
    let (app, world) = (App::start(false).await, world(few()).await);
    world.publish(table("a.test", app.address));
    assert_eq!(world.connect().await.ask(POLL).await.body, "o");
    let mut clients = storm(&world, 200, INFO).await;
    for _ in 0..200 - 4 * FEW {
        let answer = patiently(clients.join_next()).await.unwrap().unwrap();
        assert_eq!(answer.status(), 503);
        let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3).contains(&seconds));
    }
    assert!((FEW..=4 * FEW).contains(&app.came()), "{}", app.came());
    let mut client = world.connect().await;
    assert_eq!(client.ask(POLL).await.status(), 200, "its session is there");
    assert_eq!(client.ask(&get("/")).await.status(), 200, "a page");
    let mut upgrades = storm(&world, 50, WEBSOCKET).await;
    let upgraded = patiently(upgrades.join_next()).await.unwrap();
    assert_eq!(upgraded.unwrap().status(), 503);
    let refusals = world.traffic().refusals;
    let (code, counted) = refusals[0];
    assert_eq!(code, "not-admitted");
    assert!(counted > 180);
    app.is_quick.send_replace(true);
    assert!(statuses(clients).await.contains(&200), "they only waited");
}

#[tokio::test]
async fn an_app_that_answers_is_never_held_back() {
    let (app, world) = (App::start(true).await, world(few()).await);
    world.publish(table("a.test", app.address));
    for request in [INFO, WEBSOCKET] {
        let told = statuses(storm(&world, 300, request).await).await;
        assert!(told.iter().all(|status| *status != 503), "{told:?}");
    }
    assert_eq!(app.came(), 600);
}

#[tokio::test]
async fn who_finds_no_room_goes_to_a_replica_that_has_some() {
    let [slow, quick] = [App::start(false).await, App::start(true).await];
    let config = Config {
        admission: Some(few()),
        affinity: Affinity::new("stay", [7; 32]),
        ..Config::default()
    };
    let world = World::with_config(config, RouteTable::default()).await;
    world.publish(switched(&[slow.address, quick.address], &[]));
    let mut cookie = String::new();
    // Until it is the slow one's client.
    while world.upstream_stats(slow.address).unwrap().requests_total == 0 {
        let answer = world.connect().await.ask(&get("/")).await;
        cookie = answer.header("set-cookie").unwrap().to_owned();
    }
    let (cookie, _) = cookie.split_once(';').unwrap();
    let theirs = INFO.replace("\r\n\r\n", &format!("\r\nCookie: {cookie}\r\n\r\n"));
    let mut clients = storm(&world, 100, &theirs).await;
    while quick.came() < 100 - 4 * FEW {
        let answer = patiently(clients.join_next()).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
    }
    slow.is_quick.send_replace(true);
    assert!(statuses(clients).await.iter().all(|status| *status == 200));
}

#[tokio::test]
async fn it_is_lifted_in_time_and_an_app_that_was_there_before_is_settled() {
    let lasting = |lasts| AdmissionSettings { lasts, ..few() };
    let lifted = world(lasting(Duration::ZERO)).await;
    let long = lasting(Duration::from_secs(3600));
    for (world, is_settled) in [(lifted, false), (world(long).await, true)] {
        let app = App::start(false).await;
        match is_settled {
            true => world
                .routes
                .as_ref()
                .unwrap()
                .publish_settled(table("a.test", app.address)),
            false => world.publish(table("a.test", app.address)),
        }
        let clients = storm(&world, 50, INFO).await;
        world.until(|_| app.came() == 50).await;
        app.is_quick.send_replace(true);
        assert_eq!(statuses(clients).await, [200; 50]);
    }
}

#[tokio::test]
async fn an_app_that_comes_back_has_just_begun() {
    let (app, world) = (App::start(false).await, world(few()).await);
    let routes = world.routes.as_ref().unwrap();
    routes.publish_settled(table("a.test", app.address));
    world.publish(RouteTable::default());
    world.publish(table("a.test", app.address));
    let mut clients = storm(&world, 50, INFO).await;
    let answer = patiently(clients.join_next()).await.unwrap().unwrap();
    assert_eq!(answer.status(), 503);
}
