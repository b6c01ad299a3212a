//! How terminals end.

use std::{fmt, time::Duration};

use super::LONGEST;

/// How a terminal ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ending {
    /// The program's exit code, as far as it is known.
    pub exit_code: Option<i64>,
    /// Why.
    pub cause: Cause,
}

/// Why a terminal ended. Texts are fit for the caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Cause {
    /// The program did.
    Exited,
    /// The container did.
    ContainerEnded,
    /// The caller closed it, or is gone.
    Left,
    /// Nothing was typed and nothing shown.
    Idle(Duration),
    /// It was open for [`LONGEST`].
    TooLong,
    /// The launcher is going down.
    Stopping,
    /// The launcher went down without a word while it was open.
    LauncherEnded,
    /// It could not be opened, or went wrong.
    Failed(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited => f.write_str("the program ended"),
            Self::ContainerEnded => f.write_str("the container ended"),
            Self::Left => f.write_str("the caller left"),
            Self::Idle(idle) => write!(
                f,
                "nothing was typed and nothing shown for {}",
                words(*idle)
            ),
            Self::TooLong => write!(f, "a terminal is open for {} at most", words(LONGEST)),
            Self::Stopping => f.write_str("the launcher is shutting down"),
            Self::LauncherEnded => f.write_str("the launcher ended"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

fn words(time: Duration) -> String {
    let (number, unit) = match time.as_secs() {
        seconds if seconds % 3600 == 0 && seconds > 0 => (seconds / 3600, "hour"),
        seconds if seconds % 60 == 0 && seconds > 0 => (seconds / 60, "minute"),
        seconds => (seconds, "second"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}
