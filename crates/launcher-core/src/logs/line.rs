use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::LogStream;

/// A line that an app has written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AppLogLine {
    /// The container's id.
    pub container: String,
    /// Where it was written.
    pub stream: LogStream,
    /// When the engine read it, by the engine's clock.
    pub at: Timestamp,
    /// Without its end; colours and the like (ANSI) are kept, bytes that are no UTF-8 are U+FFFD.
    pub text: String,
    /// Whether it was longer than lines may be.
    pub is_truncated: bool,
}

/// A line as it is shown, or a note in place of lines that are not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AppLogEntry {
    /// The same whenever and by whomever the line is read. Sorted by it, lines are in order of time.
    pub id: String,
    /// Which replica wrote it, from 0.
    pub replica: u32,
    /// The line.
    pub line: AppLogLine,
    /// If it stands for others, of the same container and stream, up to its time.
    pub dropped: Option<Dropped>,
}

/// Lines that are not shown because there were too many.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dropped {
    /// How many.
    pub count: u64,
    /// Whether not all of them were read, so that how many there were is concluded from how fast
    /// lines came before.
    pub is_estimated: bool,
}

impl AppLogEntry {
    /// A line that is the `index`th, from 0, of those with the same time in its stream.
    pub(super) fn shown(replica: u32, line: AppLogLine, index: u32) -> Self {
        let id = id(
            &line.container,
            line.stream,
            line.at,
            &format!("{index:03}"),
        );
        Self {
            id,
            replica,
            line,
            dropped: None,
        }
    }

    /// A note in place of lines of which the newest was written `at` that time.
    pub(super) fn left_out(origin: Origin, at: Timestamp, dropped: Dropped) -> Self {
        let Origin {
            container,
            replica,
            stream,
        } = origin;
        let about = if dropped.is_estimated { "about " } else { "" };
        // Sorted behind the line that it may stand for.
        let id = id(&container, stream, at, "left-out");
        let line = AppLogLine {
            container,
            stream,
            at,
            text: format!("({about}{} lines are left out)", dropped.count),
            is_truncated: false,
        };
        Self {
            id,
            replica,
            line,
            dropped: Some(dropped),
        }
    }
}

/// Where lines come from.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Origin {
    pub(super) container: String,
    pub(super) replica: u32,
    pub(super) stream: LogStream,
}

fn id(container: &str, stream: LogStream, at: Timestamp, rest: &str) -> String {
    let time = at.as_nanosecond();
    let container = container.get(..12).unwrap_or(container);
    format!("{time:019}-{container}-{}-{rest}", stream.as_str())
}
