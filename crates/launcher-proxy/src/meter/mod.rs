//! What goes through a site or an upstream, counted: nothing here locks or looks anything up, and only the first
//! request of each allocates.

mod figures;
mod histogram;
mod record;
mod refusals;

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;

pub use self::figures::{Figures, TrafficFigures, UpstreamFigures};
use self::histogram::Histogram;
pub use self::histogram::Times;
pub(crate) use self::record::{Bill, Record, UpgradedRecord};
pub(crate) use self::refusals::Refusals;

/// Counts of one site or upstream, which need no memory before something is counted.
#[derive(Default)]
pub(crate) struct Meter(OnceLock<Box<Counts>>);

struct Counts {
    /// The place among all that count something, by the time of their first request.
    place: u64,
    statuses: [AtomicU64; 5],
    refused: AtomicU64,
    unanswered: AtomicU64,
    retried: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    upgraded: AtomicU64,
    upgrades_ended: AtomicU64,
    to_head: Histogram,
    to_end: Histogram,
}

static PLACES: AtomicU64 = AtomicU64::new(0);

impl Meter {
    /// The head of an answer came from an upstream.
    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        let counts = self.counts();
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        add(&counts.statuses[class], 1);
        counts.to_head.record(took);
    }

    /// All of an answer has been passed on, or as much as the client took.
    pub(crate) fn ended(&self, took: Duration) {
        self.counts().to_end.record(took);
    }

    /// The proxy gave the answer itself.
    pub(crate) fn refused(&self) {
        add(&self.counts().refused, 1);
    }

    /// An upstream was asked, and there is no answer from it.
    pub(crate) fn unanswered(&self) {
        add(&self.counts().unanswered, 1);
    }

    /// A request came once more, or after another upstream was tried.
    pub(crate) fn retried(&self) {
        add(&self.counts().retried, 1);
    }

    pub(crate) fn received(&self, bytes: u64) {
        add(&self.counts().bytes_in, bytes);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        add(&self.counts().bytes_out, bytes);
    }

    pub(crate) fn messages_received(&self, messages: u64) {
        add(&self.counts().messages_in, messages);
    }

    pub(crate) fn messages_sent(&self, messages: u64) {
        add(&self.counts().messages_out, messages);
    }

    pub(crate) fn upgraded(&self) {
        add(&self.counts().upgraded, 1);
    }

    pub(crate) fn upgrade_ended(&self) {
        add(&self.counts().upgrades_ended, 1);
    }

    fn counts(&self) -> &Counts {
        self.0.get_or_init(|| Box::new(Counts::new()))
    }

    /// `None` if nothing was counted.
    pub(crate) fn figures(&self) -> Option<Figures> {
        self.0.get().map(|counts| counts.figures())
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Meter")
    }
}

impl Counts {
    fn new() -> Self {
        Self {
            place: PLACES.fetch_add(1, Relaxed),
            statuses: [const { AtomicU64::new(0) }; 5],
            refused: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            messages_in: AtomicU64::new(0),
            messages_out: AtomicU64::new(0),
            upgraded: AtomicU64::new(0),
            upgrades_ended: AtomicU64::new(0),
            to_head: Histogram::new(),
            to_end: Histogram::new(),
        }
    }

    fn figures(&self) -> Figures {
        // What ended is read first, so that it is never more than what began.
        let ended = read(&self.upgrades_ended);
        let upgraded = read(&self.upgraded);
        Figures {
            place: self.place,
            statuses: self.statuses.each_ref().map(read),
            refused: read(&self.refused),
            unanswered: read(&self.unanswered),
            retried: read(&self.retried),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            messages_in: read(&self.messages_in),
            messages_out: read(&self.messages_out),
            upgraded,
            open_upgraded: upgraded.saturating_sub(ended),
            to_head: self.to_head.times(),
            to_end: self.to_end.times(),
        }
    }
}

fn add(to: &AtomicU64, number: u64) {
    to.fetch_add(number, Relaxed);
}

fn read(from: &AtomicU64) -> u64 {
    from.load(Relaxed)
}
