//! What a server counts: sessions, messages, methods with their times, subscriptions, what waits,
//! and who was dropped.
//!
//! [`Server::metrics`](crate::Server::metrics) gives a [`Snapshot`] of it, for people by
//! `Display` and for Prometheus by [`Snapshot::to_prometheus`]. Only names that the server offers
//! are counted by name, so clients cannot make it remember more.

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
