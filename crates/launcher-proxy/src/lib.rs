//! Hostname → route → upstream, and the forwarding of HTTP/1.1 and WebSockets between them.
//!
//! The crate knows no containers: whoever does builds a [`RouteTable`] and publishes it through the
//! [`RouteWriter`]; the [`Proxy`] reads the table without a lock, one look-up per request, and goes
//! on serving the last one when nobody publishes any more.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use launcher_proxy::{Config, Proxy, Route, RouteTable, Upstream};
//!
//! let (proxy, routes) = Proxy::new(Config::default());
//! routes.publish(
//!     RouteTable::builder()
//!         .route("app.example.com", Route::to(Upstream::new("127.0.0.1", 32768)))
//!         .route("big.example.com", Route::to_any([Upstream::new("::1", 32769), Upstream::new("::1", 32770)]))
//!         .draining(Upstream::new("::1", 32767))
//!         .route("old.example.com", Route::unavailable("stopped"))
//!         .build(),
//! );
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! proxy.run(listener, async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
//! # Ok(())
//! # }
//! ```
//!
//! A request passes through these files, in this order: `proxy` (accept), `head_timer` (how long its
//! head may take), `service` (the decision), `target` (which host it means), `route_table`,
//! `balance` (which upstream gets it), `headers` (what is passed on), `forward` and `upstream` (a
//! connection and the answer), then `body` or `upgrade` (the bytes), or `pages` when there is nothing
//! to forward. `load` counts what is open at an upstream; `registry` keeps upstreams, and with them
//! their counts and connections, from one table to the next, and lets those that are left out drain.
//!
//! A route may have several upstreams. A request goes to the one that has the least open; where that
//! one cannot be connected to, to the next. Nothing that an upstream may have worked on is sent twice,
//! except what is idempotent (RFC 9110 §9.2.2) and met a connection that was closed while it was
//! unused, or an upstream that is being taken out of service.

mod avoidance;
mod balance;
mod body;
mod config;
mod connections;
mod forward;
mod head_timer;
mod headers;
mod load;
mod pages;
mod progress;
mod proxy;
mod registry;
mod route_table;
mod service;
mod shutdown;
mod target;
mod upgrade;
mod upstream;

pub use balance::Upstreams;
pub use config::Config;
pub use load::UpstreamStats;
pub use proxy::{Proxy, RouteWriter, Stats};
pub use route_table::{Route, RouteTable, RouteTableBuilder};
pub use upstream::Upstream;
