//! What is about to be told of one instance's logs, and how much may be.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::line::{AppLogEntry, Dropped, Origin};
use crate::budget::Budget;

/// So many bytes of lines are told at once, and so many in each second in the long run.
const BURST: usize = 2 * 1024 * 1024;
const PER_SECOND: usize = 512 * 1024;
/// The same for what is asked of the engine: about 10,000 lines a second. The engine spends ten times
/// on a line what the launcher does.
const READ_BURST: usize = 4 * 1024 * 1024;
const READ_PER_SECOND: usize = 1024 * 1024;
/// What a line costs beside its text.
const OVERHEAD: usize = 200;
const READ_OVERHEAD: usize = 40;
/// What must be there of the latter before the engine is asked again.
const WORTHWHILE: usize = READ_PER_SECOND;

/// Lines of all containers that nobody has been told of yet.
pub(super) struct Pending {
    lines: Mutex<Lines>,
    reading: Mutex<Budget>,
    filled: Notify,
}

struct Lines {
    entries: Vec<AppLogEntry>,
    cost: usize,
    left_out: HashMap<Origin, (Timestamp, Dropped)>,
    budget: Budget,
}

impl Pending {
    pub(super) fn new() -> Self {
        let lines = Lines {
            entries: Vec::new(),
            cost: 0,
            left_out: HashMap::new(),
            budget: Budget::new(BURST as f64, PER_SECOND as f64),
        };
        Self {
            lines: Mutex::new(lines),
            reading: Mutex::new(Budget::new(READ_BURST as f64, READ_PER_SECOND as f64)),
            filled: Notify::new(),
        }
    }

    /// Whether another entry of so many bytes may be read.
    pub(super) fn may_read(&self, bytes: usize) -> bool {
        self.reading.lock().take(bytes + READ_OVERHEAD)
    }

    /// How long to wait when it may not.
    pub(super) fn pause(&self) -> Duration {
        self.reading.lock().time_until(WORTHWHILE)
    }

    /// A line is to be told.
    pub(super) fn add(&self, entry: AppLogEntry) {
        let mut lines = self.lines.lock();
        lines.cost += cost(&entry);
        lines.entries.push(entry);
        if lines.cost > 2 * BURST {
            lines.shrink(BURST);
        }
        drop(lines);
        self.filled.notify_one();
    }

    /// Lines, of which the newest was written `at` that time, will never be told.
    pub(super) fn leave_out(&self, origin: Origin, at: Timestamp, dropped: Dropped) {
        self.lines.lock().leave_out(origin, at, dropped);
        self.filled.notify_one();
    }

    /// Resolves when there is something to tell.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// What is to be told now, oldest first: the newest lines that may be, and notes in place of the
    /// others.
    pub(super) fn take(&self) -> Vec<AppLogEntry> {
        let mut lines = self.lines.lock();
        lines.cost = 0;
        let mut entries = std::mem::take(&mut lines.entries);
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        let newest_first = entries.iter().rev();
        let affordable = newest_first.take_while(|entry| lines.budget.take(cost(entry)));
        let told = entries.split_off(entries.len() - affordable.count());
        for entry in &entries {
            lines.drop_entry(entry);
        }
        let mut notes: Vec<AppLogEntry> = lines
            .left_out
            .drain()
            .map(|(origin, (at, dropped))| AppLogEntry::left_out(origin, at, dropped))
            .collect();
        notes.extend(told);
        notes.sort_by(|a, b| a.id.cmp(&b.id));
        notes
    }
}

impl Lines {
    /// Keeps the newest lines that cost no more than this.
    fn shrink(&mut self, most: usize) {
        self.entries.sort_by(|a, b| a.id.cmp(&b.id));
        let mut entries = std::mem::take(&mut self.entries).into_iter();
        while self.cost > most {
            let Some(oldest) = entries.next() else {
                break;
            };
            self.cost -= cost(&oldest);
            self.drop_entry(&oldest);
        }
        self.entries = entries.collect();
    }

    fn drop_entry(&mut self, entry: &AppLogEntry) {
        let origin = Origin {
            container: entry.line.container.clone(),
            replica: entry.replica,
            stream: entry.line.stream,
        };
        let one = Dropped {
            count: 1,
            is_estimated: false,
        };
        self.leave_out(origin, entry.line.at, one);
    }

    fn leave_out(&mut self, origin: Origin, at: Timestamp, more: Dropped) {
        let (newest, dropped) = self.left_out.entry(origin).or_default();
        *newest = at.max(*newest);
        dropped.count += more.count;
        dropped.is_estimated |= more.is_estimated;
    }
}

fn cost(entry: &AppLogEntry) -> usize {
    entry.line.text.len() + OVERHEAD
}
