//! The service that Meteor's conversations in `tests/recordings` were recorded against, and that
//! Meteor's own client tests and load tests need.
//!
//! `cargo run -p ddp-server --example test_service -- --port 3000`. As the original it honours
//!
//! - `HB=interval,timeout`: heartbeats, in ms;
//! - `HTTP_FORWARDED_COUNT`: how many proxies there are;
//! - `UNIVERSAL=1`: a document for everybody;
//! - `ACCOUNTS=1`: logins, and `CLEAR_ERRORS=1`: with errors that say what was wrong.

#[path = "test_service/service.rs"]
mod service;

use std::io::{self, Write as _};
use std::time::Duration;

use ddp_server::{Config, Heartbeat};

#[tokio::main]
async fn main() -> io::Result<()> {
    let port = port().ok_or_else(|| io::Error::other("usage: test_service [--port PORT]"))?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let interrupted = async {
        let _no_signals_on_this_platform = tokio::signal::ctrl_c().await;
    };
    let server = service::server(config(), options());
    server.run(listener, interrupted).await;
    Ok(())
}

fn port() -> Option<u16> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Some(3000),
        (Some("--port"), Some(port)) => port.parse().ok(),
        _ => None,
    }
}

fn options() -> service::Options {
    let is_set = |name| std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0");
    service::Options {
        universal: is_set("UNIVERSAL"),
        accounts: is_set("ACCOUNTS"),
        clear_errors: is_set("CLEAR_ERRORS"),
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
