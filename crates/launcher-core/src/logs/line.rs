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
