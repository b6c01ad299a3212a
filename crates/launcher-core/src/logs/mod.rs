//! What apps write: live, and afterwards.

mod assemble;
mod line;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use futures_util::TryStreamExt;

use self::assemble::Assembler;
use crate::engine::{Engine, EngineError, LogQuery};

pub use line::AppLogLine;

/// How long a single look at a log may take.
const LOOK: Duration = Duration::from_secs(5);
/// Most lines that [`last_lines`] gives, and the longest of them in bytes: they are kept in records.
const MAX_LAST: usize = 100;
const MAX_LAST_LINE: usize = 2_000;

/// The newest lines of a container, oldest first: at most `n`, and never more than 100; what is longer
/// than 2,000 bytes is cut.
///
/// # Errors
/// That there is no such container, or the engine does not answer within 5 s.
pub async fn last_lines(
    engine: &dyn Engine,
    container: &str,
    n: usize,
) -> Result<Vec<AppLogLine>, EngineError> {
    let n = n.min(MAX_LAST);
    let query = LogQuery {
        tail: Some(n as u32),
        ..LogQuery::default()
    };
    let look = async {
        let mut log = engine.logs(container, &query).await?;
        let mut assembler = Assembler::new(container.into(), MAX_LAST_LINE);
        let mut lines = VecDeque::new();
        while let Some(piece) = log.try_next().await? {
            lines.extend(assembler.add(&piece));
        }
        lines.extend(assembler.rest());
        Ok(lines)
    };
    let late = |_| Err(EngineError::Deadline("tell the last lines of a log"));
    let lines: VecDeque<AppLogLine> = tokio::time::timeout(LOOK, look)
        .await
        .unwrap_or_else(late)?;
    let skipped = lines.len().saturating_sub(n);
    Ok(lines.into_iter().skip(skipped).collect())
}
