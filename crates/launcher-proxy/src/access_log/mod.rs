//! A line about each request, for whoever wants one: made while the request is answered, written by a task of
//! its own. No request waits for that: what the writer cannot keep up with is left out and counted.

mod combined;
mod entry;
mod json;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

pub(crate) use self::entry::{Asked, Entry, Moved, Pending};
pub use self::writer::{AccessLogOutput, AccessLogWriter};

/// How the lines of an access log look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// The combined format of Apache.
    #[default]
    Combined,
    /// An object of JSON in each line.
    Json,
}

/// Where a proxy tells of each request when it is over: see
/// [`Config::access_log`](crate::Config::access_log). Clones are the same log.
#[derive(Clone)]
pub struct AccessLog(Arc<Shared>);

struct Shared {
    entries: mpsc::Sender<Box<Entry>>,
    with_query: bool,
    dropped: AtomicU64,
    warned: Mutex<Option<Instant>>,
    reopen: Notify,
}

/// How many requests may wait to be written; an entry takes some hundred bytes.
const MOST_WAITING: usize = 8 * 1024;

/// The least time between two warnings about lines that are missing.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

impl AccessLog {
    /// A log and what writes it. Queries, those in referrers too, are only in it if it is `with_query`: they
    /// may hold secrets.
    pub fn new(format: AccessLogFormat, with_query: bool) -> (Self, AccessLogWriter) {
        let (entries, waiting) = mpsc::channel(MOST_WAITING);
        let log = Self(Arc::new(Shared {
            entries,
            with_query,
            dropped: AtomicU64::new(0),
            warned: Mutex::default(),
            reopen: Notify::new(),
        }));
        let writer = AccessLogWriter::new(log.clone(), waiting, format);
        (log, writer)
    }

    /// Has the writer open its output anew, as when its file was renamed.
    pub fn reopen(&self) {
        self.0.reopen.notify_one();
    }

    /// How many requests are missing in it: more came than could be written, or writing failed.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    pub(crate) fn with_query(&self) -> bool {
        self.0.with_query
    }

    fn push(&self, entry: Box<Entry>) {
        if self.0.entries.try_send(entry).is_err() {
            self.lost(1);
            self.warn_once_in_a_while();
        }
    }

    fn lost(&self, lines: u64) {
        self.0.dropped.fetch_add(lines, Relaxed);
    }

    async fn reopened(&self) {
        self.0.reopen.notified().await;
    }

    fn warn_once_in_a_while(&self) {
        // Whoever finds it locked need not warn as well.
        let Some(mut warned) = self.0.warned.try_lock() else {
            return;
        };
        if warned.is_none_or(|last| last.elapsed() >= BETWEEN_WARNINGS) {
            *warned = Some(Instant::now());
            drop(warned);
            let missing = self.dropped();
            tracing::warn!(
                missing,
                "the access log is written too slowly; requests are missing in it"
            );
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccessLog")
    }
}

impl AccessLogFormat {
    /// Adds the line about `entry`, with its end.
    fn write(self, entry: &Entry, line: &mut Vec<u8>) {
        match self {
            Self::Combined => combined::write(entry, line),
            Self::Json => json::write(entry, line),
        }
        line.push(b'\n');
    }
}
