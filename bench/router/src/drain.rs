//! How clients move when the replica that they are connected to is taken out of service.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use launcher_proxy::{Config, Proxy, Replica, Route, RouteTable, Upstream};
use measure::{round, say};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Options;
use crate::candidate::Backend;

const CLIENTS: usize = 500;
/// Time that the replica is given.
const PERIOD: Duration = Duration::from_secs(30);
/// The longest time that a client waits before it connects again.
const PATIENCE: Duration = Duration::from_millis(100);
const HANDSHAKE: &[u8] = b"GET /websocket HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// When a client lost its connection, and when it had another.
type Moved = (Instant, Instant);

pub(crate) fn run(options: &Options, backend: &Backend) -> Result<Vec<Value>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (clients, period) = match options.quick {
        true => (CLIENTS / 10, PERIOD / 10),
        false => (CLIENTS, PERIOD),
    };
    let moved = runtime.block_on(drain(backend.ports, clients, period))?;
    let mut regained: Vec<_> = moved.iter().map(|(_, regained)| *regained).collect();
    regained.sort();
    let gap = moved
        .iter()
        .map(|(lost, regained)| regained.duration_since(*lost));
    let gap = gap.max().unwrap_or_default();
    Ok(vec![say(json!({
        "case": format!("{clients} clients leave in {} s", period.as_secs()), "server": "router",
        "moved": moved.len(), "most_per_second": most_per_second(&regained),
        "evenly_per_second": round(clients as f64 / period.as_secs_f64()),
        "longest_gap_ms": round(gap.as_secs_f64() * 1_000.0),
    }))])
}

/// The clients that have moved by the end of the period.
async fn drain(ports: [u16; 2], clients: usize, period: Duration) -> Result<Vec<Moved>> {
    let (proxy, writer) = Proxy::new(Config {
        draining: period,
        ..Config::default()
    });
    let [old, new] = ports.map(|port| Upstream::new("127.0.0.1", port));
    let table = |route: Route| RouteTable::builder().route("app.test", route).build();
    writer.publish(table(Route::to(old.clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { proxy.run(listener, std::future::pending()).await });

    let mut moving = JoinSet::new();
    for number in 0..clients {
        let connected = connect(address).await?;
        let pause = PATIENCE.mul_f64(number as f64 / clients as f64);
        moving.spawn(moves(connected, address, pause));
    }
    writer.publish(table(Route::switched([new], [Replica::from(old)])));
    let all = timeout(period + Duration::from_secs(5), moving.join_all());
    let all = all
        .await
        .map_err(|_| Error::other("some clients have not moved"))?;
    all.into_iter().collect()
}

/// Waits until the connection is closed, then opens another.
async fn moves(mut connected: TcpStream, address: SocketAddr, pause: Duration) -> Result<Moved> {
    let mut said = [0; 64];
    // The first that is said is the farewell; a broken connection says nothing.
    let _farewell_or_end = connected.read(&mut said).await;
    let lost = Instant::now();
    drop(connected);
    sleep(pause).await;
    let again = connect(address).await?;
    let regained = Instant::now();
    // Held until the end, so that those that have moved are not the least busy.
    tokio::spawn(async move {
        let mut again = again;
        again.read(&mut [0; 64]).await
    });
    Ok((lost, regained))
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(HANDSHAKE).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(Error::other("no WebSocket was opened"));
        }
    }
    match head.starts_with(b"HTTP/1.1 101") {
        true => Ok(stream),
        false => Err(Error::other(String::from_utf8_lossy(&head).into_owned())),
    }
}

/// In any second, wherever it begins.
fn most_per_second(times: &[Instant]) -> usize {
    let second = Duration::from_secs(1);
    let within = |(begin, first): (usize, &Instant)| {
        times[begin..].partition_point(|time| time.duration_since(*first) < second)
    };
    times.iter().enumerate().map(within).max().unwrap_or(0)
}
