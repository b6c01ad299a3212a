use jiff::Timestamp;

use super::AppLogEntry;
use crate::engine::LogStream;

/// Which of an instance's lines somebody wants to see.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct LogOptions {
    /// So many of the newest that are there already, at most [`MAX_TAIL`](super::MAX_TAIL).
    pub tail: usize,
    /// Only what was written at this time or later.
    pub since: Option<Timestamp>,
    /// Only what the container with this id wrote; the first 12 digits of it are enough.
    pub container: Option<String>,
    /// Only what was written there.
    pub stream: Option<LogStream>,
}

impl LogOptions {
    /// Whether an entry is asked for.
    #[must_use]
    pub fn wants(&self, entry: &AppLogEntry) -> bool {
        self.wants_container(&entry.line.container)
            && self.wants_stream(entry.line.stream)
            && self.since.is_none_or(|since| entry.line.at >= since)
    }

    pub(super) fn wants_container(&self, id: &str) -> bool {
        let wanted = self.container.as_deref();
        wanted.is_none_or(|wanted| id.starts_with(wanted))
    }

    pub(super) fn wants_stream(&self, stream: LogStream) -> bool {
        self.stream.is_none_or(|wanted| wanted == stream)
    }
}
