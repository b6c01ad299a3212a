//! A proxy with many hostnames that lead to one server, to be measured or to be tried by hand.
//!
//! ```console
//! $ cargo run --release -p launcher-proxy --example forward -- 127.0.0.1:8000 127.0.0.1:3000 1000
//! $ curl -H 'Host: app7.test' http://127.0.0.1:8000/
//! ```

use std::net::SocketAddr;

use launcher_proxy::{Config, Proxy, Route, RouteTable, Upstream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "where to listen, where to forward to (both IP:PORT), and how many hostnames";
    let listen: SocketAddr = arguments.next().ok_or(usage)?.parse()?;
    let upstream: SocketAddr = arguments.next().ok_or(usage)?.parse()?;
    let hostnames: usize = arguments.next().map_or(Ok(1), |number| number.parse())?;

    let (proxy, routes) = Proxy::new(Config::default());
    let upstream = Upstream::new(upstream.ip().to_string(), upstream.port());
    let mut table = RouteTable::builder();
    for number in 0..hostnames {
        table = table.route(&format!("app{number}.test"), Route::to(upstream.clone()));
    }
    routes.publish(table.build());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let stopped = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
    proxy.run(listener, stopped).await;
    Ok(())
}
