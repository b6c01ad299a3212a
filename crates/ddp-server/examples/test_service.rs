//! The service that Meteor's conversations in `tests/recordings` were recorded against.
//!
//! `cargo run -p ddp-server --example test_service -- --port 3000`. As the original it honours
//! `HB=interval,timeout` (heartbeats in ms) and `HTTP_FORWARDED_COUNT`.

#[path = "test_service/service.rs"]
mod service;

use std::io;
use std::time::Duration;

use ddp_server::{Config, Heartbeat};

#[tokio::main]
async fn main() -> io::Result<()> {
    let port = port().ok_or_else(|| io::Error::other("usage: test_service --port PORT"))?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let interrupted = async {
        let _no_signals_on_this_platform = tokio::signal::ctrl_c().await;
    };
    service::server(config()).run(listener, interrupted).await;
    Ok(())
}

fn port() -> Option<u16> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("--port"), Some(port)) => port.parse().ok(),
        _ => None,
    }
}

fn config() -> Config {
    let mut config = Config::default();
    if let Some(heartbeat) = std::env::var("HB").ok().as_deref().and_then(heartbeat) {
        config.heartbeat = heartbeat;
    }
    if let Ok(count) = std::env::var("HTTP_FORWARDED_COUNT") {
        config.http_forwarded_count = count.parse().unwrap_or(0);
    }
    config
}

fn heartbeat(text: &str) -> Option<Heartbeat> {
    let (interval, timeout) = text.split_once(',')?;
    let millis = |text: &str| text.trim().parse().ok().map(Duration::from_millis);
    Some(Heartbeat {
        interval: millis(interval)?,
        timeout: millis(timeout)?,
    })
}
