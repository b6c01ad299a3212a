//! The router alone, on one thread, with as many hostnames as are asked for.
//!
//! `router IP:PORT HOSTNAMES BACKEND_PORT BACKEND_PORT [CHANGES_PER_SECOND]`

use std::io::{Error, Result};
use std::time::Duration;

use launcher_proxy::{Affinity, Config, Proxy, Route, RouteTable, Upstream};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, hostnames, first, second, changes @ ..] = arguments.as_slice() else {
        return Err(Error::other("usage: see the source"));
    };
    let number = |text: &String| text.parse().map_err(Error::other);
    let ports = [number(first)?, number(second)?];
    let hostnames: usize = hostnames.parse().map_err(Error::other)?;
    let (proxy, writer) = Proxy::new(Config {
        affinity: Affinity::new("launcher_affinity", [0; 32]),
        ..Config::default()
    });
    writer.publish(table(hostnames, ports));
    if let Some(changes) = changes.first() {
        let changes: f64 = changes.parse().map_err(Error::other)?;
        let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / changes));
        tokio::spawn(async move {
            loop {
                for ports in [ports, [ports[1], ports[0]]] {
                    tick.tick().await;
                    writer.publish(table(hostnames, ports));
                }
            }
        });
    }
    let listener = TcpListener::bind(address).await?;
    proxy.run(listener, std::future::pending()).await;
    Ok(())
}

fn table(hostnames: usize, ports: [u16; 2]) -> RouteTable {
    let upstreams = || ports.map(|port| Upstream::new("127.0.0.1", port));
    let routes = (0..hostnames).map(|number| {
        (
            format!("app{number}.bench.test"),
            Route::to_any(upstreams()),
        )
    });
    routes
        .fold(RouteTable::builder(), |table, (hostname, route)| {
            table.route(&hostname, route)
        })
        .build()
}
