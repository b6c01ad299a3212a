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
    /// Notes in place of lines that were never read: lines before and after them may be told.
    unread: Vec<AppLogEntry>,
    budget: Budget,
}

impl Pending {
    pub(super) fn new() -> Self {
        let lines = Lines {
            entries: Vec::new(),
            cost: 0,
            left_out: HashMap::new(),
            unread: Vec::new(),
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

    /// About so many lines, of which the newest was written `at` that time, will never be read.
    pub(super) fn leave_unread(&self, origin: Origin, at: Timestamp, count: u64) {
        let dropped = Dropped {
            count,
            is_estimated: true,
        };
        let note = AppLogEntry::left_out(origin, at, dropped);
        self.lines.lock().unread.push(note);
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
        let notes = lines.left_out.drain();
        let notes = notes.map(|(origin, (at, dropped))| AppLogEntry::left_out(origin, at, dropped));
        let mut told: Vec<AppLogEntry> = notes.chain(told).collect();
        told.append(&mut lines.unread);
        told.sort_by(|a, b| a.id.cmp(&b.id));
        told
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
        let (newest, dropped) = self.left_out.entry(origin).or_default();
        *newest = entry.line.at.max(*newest);
        dropped.count += 1;
    }
}

fn cost(entry: &AppLogEntry) -> usize {
    entry.line.text.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppLogLine, engine::LogStream};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn entry(second: i64, length: usize) -> AppLogEntry {
        let line = AppLogLine {
            container: "c".into(),
            stream: LogStream::Stdout,
            at: at(second),
            text: "x".repeat(length),
            is_truncated: false,
        };
        AppLogEntry::shown(1, line, 0)
    }

    /// The time of each line that is told, and of how many it stands for if it is a note.
    fn told(pending: &Pending) -> Vec<(i64, Option<u64>)> {
        let seen = |entry: AppLogEntry| {
            assert_eq!(entry.replica, 1);
            let count = entry.dropped.map(|dropped| dropped.count);
            (entry.line.at.as_second(), count)
        };
        pending.take().into_iter().map(seen).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_place_where_lines_are_left_out_has_its_note() {
        let pending = Pending::new();
        let fourth = BURST / 4;
        for second in [3, 1, 2, 9, 8] {
            pending.add(entry(second, fourth));
        }
        let origin = Origin {
            container: "c".into(),
            replica: 1,
            stream: LogStream::Stdout,
        };
        pending.leave_unread(origin, at(5), 7);
        let expected = [(2, Some(2)), (3, None), (5, Some(7)), (8, None), (9, None)];
        assert_eq!(told(&pending), expected);
        assert_eq!(told(&pending), []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_bounded() {
        let pending = Pending::new();
        for second in 1..=1_000 {
            pending.add(entry(second, 64 * 1024));
            let lines = pending.lines.lock();
            let waiting: usize = lines.entries.iter().map(cost).sum();
            assert!(waiting <= 2 * BURST && waiting == lines.cost);
        }
        let told = told(&pending);
        let left_out: u64 = told.iter().filter_map(|(_, count)| *count).sum();
        let shown = told.iter().filter(|(_, count)| count.is_none()).count();
        assert_eq!(left_out + shown as u64, 1_000);
        assert_eq!(told.last(), Some(&(1_000, None)));
    }
}
