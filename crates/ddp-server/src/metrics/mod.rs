//! What a server counts: sessions, messages, methods with their times, subscriptions, what waits,
//! and who was dropped.
//!
//! [`Server::metrics`](crate::Server::metrics) gives a [`Snapshot`] of it, for people by
//! `Display` and for Prometheus by [`Snapshot::to_prometheus`]. Only names that the server offers
//! are counted by name, so clients cannot make it remember more.
//!
//! Whoever serves HTTP beside DDP can answer a scrape with it; on a port of its own, as the numbers
//! are nobody else's business:
//!
//! ```
//! use ddp_server::Server;
//! use ddp_server::metrics::Snapshot;
//! use http::{Response, header};
//!
//! fn scraped(server: &Server) -> http::Result<Response<String>> {
//!     Response::builder()
//!         .header(header::CONTENT_TYPE, Snapshot::CONTENT_TYPE)
//!         .body(server.metrics().to_prometheus())
//! }
//! # assert!(scraped(&Server::builder().build()).is_ok_and(|it| it.body().ends_with("# EOF\n")));
//! ```

mod exposition;
mod meter;
mod recorder;
mod snapshot;
mod timing;

pub(crate) use self::meter::Meter;
pub(crate) use self::recorder::Recorder;
pub use self::snapshot::{MethodSnapshot, Snapshot};
pub(crate) use self::timing::Timing;
pub use self::timing::{BUCKETS, Histogram};
