//! What apps write: live for those who watch, and the last lines of those that have ended.
//!
//! One `Follower` reads what the containers of an instance write, for all who watch it. It reads no
//! more than can be shown: of a program that writes faster, it counts what it leaves out, and in the
//! end asks the engine only now and then.

mod assemble;
mod backlog;
mod follower;
mod line;
mod options;
mod pending;
mod reader;
mod readers;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::TryStreamExt;
use parking_lot::Mutex;

use self::{
    assemble::Assembler,
    follower::{Followed, Follower},
};
use crate::{
    Error,
    engine::{Engine, EngineError, LogQuery},
    instances::Instances,
};

pub use line::{AppLogEntry, AppLogLine, Dropped};
pub use options::LogOptions;

/// Most lines that can be asked for at once.
pub const MAX_TAIL: usize = 10_000;
/// Most bytes of texts that are kept for whoever watches.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Longest text of a line, in bytes; what is longer is cut.
const MAX_LINE: usize = 64 * 1024;
/// How long a single look at a log may take.
const LOOK: Duration = Duration::from_secs(5);
/// Most lines that [`last_lines`] gives, and the longest of them in bytes: they are kept in records.
const MAX_LAST: usize = 100;
const MAX_LAST_LINE: usize = 2_000;

/// Is told of lines.
pub trait LogSink: Send + Sync + 'static {
    /// These lines were written, oldest first, whether they were asked for or not; lines that were
    /// told before can come again. Must not block.
    fn lines(&self, entries: &[AppLogEntry]);
}

/// Logs that somebody watches.
pub(crate) struct Logs {
    engine: Arc<dyn Engine>,
    instances: Arc<Instances>,
    owner: String,
    followers: Mutex<HashMap<String, Weak<Follower>>>,
}

/// Somebody who watches, until this is dropped.
pub struct LogWatch {
    follower: Arc<Follower>,
    number: u64,
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        self.follower.leave(self.number);
    }
}

impl Logs {
    pub(crate) fn new(engine: Arc<dyn Engine>, instances: Arc<Instances>, owner: String) -> Self {
        Self {
            engine,
            instances,
            owner,
            followers: Mutex::default(),
        }
    }

    /// Tells a sink of an instance's lines: before this returns of those that are there already and
    /// asked for, then of all.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], or that the engine does not tell them.
    pub(crate) async fn watch(
        &self,
        instance: &str,
        options: &LogOptions,
        sink: Arc<dyn LogSink>,
    ) -> Result<LogWatch, Error> {
        let follower = self.follower(instance)?;
        let number = follower.join(Arc::clone(&sink));
        let watch = LogWatch { follower, number };
        // Only then nothing is missed between what is there and what comes.
        watch.follower.began().await?;
        let there = backlog::backlog(&*self.engine, &self.owner, instance, options).await?;
        if !there.is_empty() {
            sink.lines(&there);
        }
        Ok(watch)
    }

    fn follower(&self, instance: &str) -> Result<Arc<Follower>, Error> {
        let unknown = || Error::NoSuchInstance(instance.to_owned());
        let views = self.instances.subscribe(instance).ok_or_else(unknown)?;
        let mut followers = self.followers.lock();
        if let Some(follower) = followers.get(instance).and_then(Weak::upgrade) {
            return Ok(follower);
        }
        let follower = Arc::new(Follower::new(Followed {
            engine: Arc::clone(&self.engine),
            owner: self.owner.clone(),
            instance: instance.to_owned(),
            views,
        }));
        followers.retain(|_, follower| follower.strong_count() > 0);
        followers.insert(instance.to_owned(), Arc::downgrade(&follower));
        Ok(follower)
    }
}

/// What the lines say, without the rest.
pub(crate) fn texts(lines: Vec<AppLogLine>) -> Vec<String> {
    lines.into_iter().map(|line| line.text).collect()
}

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
