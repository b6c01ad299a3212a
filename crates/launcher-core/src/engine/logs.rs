//! What the programs of containers have written.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which of a container's log is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogQuery {
    /// Only what was written at this time or later.
    pub since: Option<Timestamp>,
    /// Only so many of the newest entries; `None`: all that the engine has.
    pub tail: Option<u32>,
    /// Also what is written from now on, until the container's program ends.
    pub follow: bool,
    /// What was written to standard output.
    pub stdout: bool,
    /// What was written to standard error.
    pub stderr: bool,
}

impl Default for LogQuery {
    /// All that there is, of both streams.
    fn default() -> Self {
        Self {
            since: None,
            tail: None,
            follow: false,
            stdout: true,
            stderr: true,
        }
    }
}

/// Where a program wrote. What it writes to a terminal is all standard output.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    /// The word that callers see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// An entry of a container's log: a line, or a piece of one that is very long. Pieces of lines of two
/// streams can alternate; those of one stream follow one another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogPiece {
    /// Where it was written.
    pub stream: LogStream,
    /// When the engine read it, by the engine's clock. All pieces of a line have the time of the first.
    pub at: Timestamp,
    /// What was written. The last piece of a line ends with its line feed.
    pub bytes: Bytes,
}
