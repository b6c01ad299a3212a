//! What is counted of sites and upstreams.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use launcher_proxy::{Config, Figures, Route, RouteTable, TrafficFigures};
use support::*;

/// The figures of the site at `address`.
fn site(traffic: &TrafficFigures, address: &str) -> Option<Figures> {
    let mut sites = traffic.sites.iter();
    let (_, figures) = sites.find(|(known, _)| **known == *address)?;
    Some(figures.clone())
}

fn host(name: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n")
}

/// Waits until what `of` finds is as `wanted`. What ends is counted just after the client has all of it.
async fn until<T: PartialEq>(world: &World, wanted: T, of: impl Fn(TrafficFigures) -> T) {
    world.until(|_| of(world.traffic()) == wanted).await;
}

#[tokio::test]
async fn answers_are_counted_by_class_for_their_site_and_their_upstream() {
    let fine = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    let gone = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").await;
    let table = RouteTable::builder().route("a.test", to(fine));
    let table = table.route("a.test/gone", to(gone)).build();
    let world = World::new(table).await;
    assert!(world.traffic().sites.is_empty() && world.traffic().upstreams.is_empty());
    let mut wire = world.connect().await;
    for path in ["/", "/gone", "/", "/gone/too"] {
        wire.ask(&get(path)).await;
    }
    until(&world, Some(2), |all| {
        Some(site(&all, "a.test/gone")?.to_end.count())
    })
    .await;
    let all = world.traffic();
    let (whole, below) = (
        site(&all, "a.test").unwrap(),
        site(&all, "a.test/gone").unwrap(),
    );
    assert_eq!((whole.statuses, whole.bytes_out), ([0, 2, 0, 0, 0], 10));
    assert_eq!((below.statuses, below.bytes_out), ([0, 0, 0, 2, 0], 4));
    assert_eq!((whole.to_head.count(), whole.to_end.count()), (2, 2));
    assert_eq!(all.sites.len(), 2);
    let ports: Vec<_> = all
        .upstreams
        .iter()
        .map(|known| known.upstream.port())
        .collect();
    assert_eq!(ports, [fine.port(), gone.port()], "by their first requests");
    assert_eq!(all.upstreams[1].figures.statuses, below.statuses);
    assert_eq!(all.upstreams[1].figures.bytes_out, 4);
}

#[tokio::test]
async fn bytes_of_bodies_count_in_both_directions() {
    let echo = upstream(|mut wire| async move {
        wire.head().await;
        let body = wire.text(100_000).await;
        wire.send(&ok(&body)).await;
    });
    let world = World::to(echo.await).await;
    let mut wire = world.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n")
        .await;
    assert_eq!(wire.ask(&"x".repeat(100_000)).await.body.len(), 100_000);
    let all = world.traffic();
    let figures = [
        site(&all, "a.test").unwrap(),
        all.upstreams[0].figures.clone(),
    ];
    for figures in figures {
        assert_eq!((figures.bytes_in, figures.bytes_out), (100_000, 100_000));
    }
}

#[tokio::test]
async fn what_the_proxy_answers_itself_counts_by_host_and_by_reason() {
    let table = RouteTable::builder()
        .route("a.test", Route::unavailable("stopped"))
        .route("b.test", to(nobody().await));
    let world = World::new(table.build()).await;
    let mut wire = world.connect().await;
    for name in ["a.test", "b.test", "x.test", "y.test"] {
        wire.ask(&host(name)).await;
    }
    let all = world.traffic();
    let refused = |address| site(&all, address).unwrap().refused;
    assert_eq!(
        [refused("a.test"), refused("b.test"), refused("(unknown)")],
        [1, 1, 2]
    );
    assert_eq!(
        all.sites.len(),
        3,
        "hosts that nobody knows share one entry"
    );
    let expected = [
        ("not-running", 1),
        ("bad-gateway", 1),
        ("unknown-hostname", 2),
    ];
    assert_eq!(all.refusals, expected);
    assert_eq!(all.upstreams[0].figures.unanswered, 1);
    assert_eq!(site(&all, "a.test").unwrap().to_head.count(), 0);
}

#[tokio::test]
async fn counts_outlive_a_table_and_what_is_no_longer_in_it_has_none() {
    let fine = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let both = |table: launcher_proxy::RouteTableBuilder| {
        table
            .route("*.b.test", to(fine))
            .default_site(to(fine))
            .build()
    };
    let world = World::new(both(RouteTable::builder().route("a.test", to(fine)))).await;
    let mut wire = world.connect().await;
    for name in ["a.test", "x.b.test", "y.b.test", "c.test"] {
        wire.ask(&host(name)).await;
    }
    world.publish(both(
        RouteTable::builder().route("a.test", Route::unavailable("stopped")),
    ));
    wire.ask(&host("a.test")).await;
    wire.ask(&host("z.b.test")).await;
    let all = world.traffic();
    let requests = |address| site(&all, address).map(|figures| figures.requests());
    assert_eq!(requests("a.test"), Some(2));
    assert_eq!(requests("*.b.test"), Some(3));
    assert_eq!(requests("(default)"), Some(1));
    assert_eq!(all.upstreams[0].figures.requests(), 5);
    world.publish(both(RouteTable::builder()));
    assert_eq!(site(&world.traffic(), "a.test"), None);
    world.publish(both(RouteTable::builder().route("a.test", to(fine))));
    wire.ask(&host("a.test")).await;
    assert_eq!(site(&world.traffic(), "a.test").unwrap().requests(), 1);
}

#[tokio::test]
async fn a_request_that_goes_to_another_upstream_is_a_retry_there() {
    let fine = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let world = World::new(switched(&[nobody().await, fine], &[])).await;
    for _ in 0..2 {
        assert_eq!(world.connect().await.ask(&get("/")).await.status(), 200);
    }
    let all = world.traffic();
    let at = |port| {
        let mut all = all.upstreams.iter();
        all.find(|known| known.upstream.port() == port)
            .unwrap()
            .figures
            .clone()
    };
    assert_eq!(
        all.upstreams
            .iter()
            .map(|known| known.figures.unanswered)
            .sum::<u64>(),
        1
    );
    assert_eq!(
        (at(fine.port()).retried, at(fine.port()).statuses),
        (1, [0, 2, 0, 0, 0])
    );
    assert_eq!(site(&all, "a.test").unwrap().refused, 0);
}

#[tokio::test]
async fn an_answer_takes_from_its_request_to_its_end() {
    let slow = upstream(|mut wire| async move {
        wire.head().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
            .await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        wire.send("b").await;
    });
    let world = World::to(slow.await).await;
    world.connect().await.ask(&get("/")).await;
    until(&world, Some(1), |all| {
        Some(site(&all, "a.test")?.to_end.count())
    })
    .await;
    let figures = site(&world.traffic(), "a.test").unwrap();
    let (head, end) = (figures.to_head.quantile(0.5), figures.to_end.quantile(0.5));
    let millis = |millis: u64| Some(Duration::from_millis(millis) * 9 / 10);
    assert!(
        head >= millis(50) && end >= millis(200),
        "{head:?}, {end:?}"
    );
    assert!(figures.to_end.sum() >= figures.to_head.sum() + Duration::from_millis(150));
}

#[tokio::test]
async fn an_upgraded_connection_is_open_until_it_ends_and_its_bytes_count() {
    let switching = upstream(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            .await;
        let said = wire.text(4).await;
        wire.send(&said.repeat(2)).await;
        wire.head_or_end().await;
    });
    let world = World::with_config(Config::default(), table("a.test", switching.await)).await;
    let mut wire = world.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        .await;
    assert_eq!(status(&wire.head().await), 101);
    wire.send("ping").await;
    assert_eq!(wire.text(8).await, "pingping");
    let all = world.traffic();
    for figures in [
        site(&all, "a.test").unwrap(),
        all.upstreams[0].figures.clone(),
    ] {
        assert_eq!((figures.bytes_in, figures.bytes_out), (4, 8));
        assert_eq!(
            (figures.statuses[0], figures.upgraded, figures.open_upgraded),
            (1, 1, 1)
        );
    }
    drop(wire);
    until(&world, Some((1, 0)), |all| {
        let figures = site(&all, "a.test")?;
        Some((figures.upgraded, figures.open_upgraded))
    })
    .await;
}
