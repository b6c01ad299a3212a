//! What is in the logs of an instance's containers already.

use std::{collections::VecDeque, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{LogOptions, line::AppLogEntry, reader::Lines};
use crate::engine::{Container, Engine, EngineError, LogQuery, LogStream};

/// How long the engine may take to tell it.
const DEADLINE: Duration = Duration::from_secs(15);
/// Bytes of the texts that are kept of one container's.
const MAX_BYTES: usize = super::MAX_BYTES;
/// Containers that are looked at at the same time.
const AT_ONCE: usize = 8;

/// The newest lines of all containers, running or not, that are asked for: oldest first.
pub(super) async fn backlog(
    engine: &dyn Engine,
    owner: &str,
    instance: &str,
    options: &LogOptions,
) -> Result<Vec<AppLogEntry>, EngineError> {
    let look = async {
        let containers = engine.containers(owner, Some(instance)).await?;
        let wanted: Vec<Container> = containers
            .into_iter()
            .filter(|container| options.wants_container(&container.id))
            .collect();
        let looks = stream::iter(wanted)
            .map(|container| async move { newest(engine, &container, options).await })
            .buffer_unordered(AT_ONCE);
        looks.try_concat().await
    };
    let late = |_| Err(EngineError::Deadline("tell what was logged"));
    let mut entries: Vec<AppLogEntry> = tokio::time::timeout(DEADLINE, look)
        .await
        .unwrap_or_else(late)?;
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    let skipped = entries.len().saturating_sub(options.tail);
    Ok(entries.split_off(skipped))
}

async fn newest(
    engine: &dyn Engine,
    container: &Container,
    options: &LogOptions,
) -> Result<Vec<AppLogEntry>, EngineError> {
    let query = LogQuery {
        since: options.since,
        tail: Some(options.tail as u32),
        follow: false,
        stdout: options.wants_stream(LogStream::Stdout),
        stderr: options.wants_stream(LogStream::Stderr),
    };
    let mut log = match engine.logs(&container.id, &query).await {
        // It is gone, or going.
        Err(EngineError::NotFound(_) | EngineError::Conflict(_)) => return Ok(Vec::new()),
        other => other?,
    };
    let mut lines = Lines::new(&container.id, container.replica);
    let mut kept = VecDeque::new();
    let mut bytes = 0;
    let mut keep = |entry: AppLogEntry| {
        bytes += entry.line.text.len();
        kept.push_back(entry);
        while bytes > MAX_BYTES {
            let oldest = kept.pop_front();
            bytes -= oldest.map_or(0, |entry| entry.line.text.len());
        }
    };
    while let Some(piece) = log.try_next().await? {
        lines.add(&piece).into_iter().for_each(&mut keep);
    }
    lines.rest().into_iter().for_each(keep);
    Ok(kept.into())
}
