//! Hostname → route → upstream, and the forwarding of HTTP and WebSockets between them.
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
//! A request passes through these files, in this order: `proxy` (accept), `connection` and `opening` (who
//! it is, and what he speaks), `http2`, or `client_stream`, `request_scanner` (what hyper must not
//! see) and `head_timer` (how long a head may take; `slow_head` says so), `service` (the decision), `target` (which host it means), `visitor` (who asked), `route_table`
//! (to which site that leads; `route` and `settings` say what a site is),
//! `redirect` (whether it is sent elsewhere),
//! `affinity`, `sockjs_path`, `sessions` (whose its client is), `admission` (whether there is room for one who comes to stay), `balance` (which upstream gets it), `headers` (what is passed on), `forward` and `upstream` (a
//! connection and the answer), then `body` or `upgrade` (the bytes), or `pages` when there is nothing
//! to forward. `assets` looks for files of one version of an app where the answer says that another is asked. `load` counts what is open at an upstream; `sockets` and `pacing` end what was upgraded and SockJS sessions over HTTP, `websocket` and `sockjs_farewell` say where that may be, and how; `registry` keeps upstreams, and with them
//! their counts and connections, from one table to the next, and lets those that are left out drain. `meter`
//! counts what went through each site and upstream, `access_log` tells of each request.
//!
//! A route may have several upstreams. A request goes to the one that has the least open; where that
//! one cannot be connected to, to the next. Nothing that an upstream may have worked on is sent twice,
//! except what is idempotent (RFC 9110 §9.2.2) and met a connection that was closed while it was
//! unused, or an upstream that is being taken out of service.

mod access_log;
mod admission;
mod affinity;
mod alarm;
mod assets;
mod avoidance;
mod balance;
mod body;
mod client_limits;
mod client_stream;
mod config;
mod connection;
mod connections;
mod forward;
mod head_timer;
mod headers;
mod hostname;
mod http2;
mod idle_alarm;
mod limited;
mod load;
mod meter;
mod opening;
mod pacing;
mod pages;
mod progress;
mod proxy;
mod proxy_protocol;
mod redirect;
mod registry;
mod request_scanner;
mod route;
mod route_table;
mod service;
mod sessions;
mod settings;
mod shutdown;
mod slow_head;
mod sockets;
mod sockjs_farewell;
mod sockjs_path;
mod target;
mod trusted_proxies;
mod upgrade;
mod upstream;
mod visitor;
mod websocket;

pub use access_log::{AccessLog, AccessLogFormat, AccessLogOutput, AccessLogWriter};
pub use admission::AdmissionSettings;
pub use affinity::Affinity;
pub use balance::Upstreams;
pub use config::Config;
pub use load::UpstreamStats;
pub use meter::{Figures, Times, TrafficFigures, UpstreamFigures};
pub use pages::{CustomPages, InvalidPage};
pub use proxy::{Proxy, RouteWriter, Stats};
pub use redirect::Redirect;
pub use route::{Outage, Replica, Route, Site};
pub use route_table::{RouteTable, RouteTableBuilder};
pub use settings::SiteSettings;
pub use trusted_proxies::{NoNetwork, TrustedProxies};
pub use upstream::Upstream;
