//! Times in words.

use std::time::Duration;

/// A short time as people write it: `5 s`, `1.5 s`, `250 ms`.
///
/// ```
/// use std::time::Duration;
/// use launcher_core::health::in_words;
///
/// assert_eq!(in_words(Duration::from_millis(1_500)), "1.5 s");
/// ```
#[must_use]
pub fn in_words(time: Duration) -> String {
    match time.as_millis() {
        millis @ ..1_000 => format!("{millis} ms"),
        _ => format!("{} s", time.as_secs_f64()),
    }
}
