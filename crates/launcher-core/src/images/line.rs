//! The line in which builds wait for their turn.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::builds::Progress;

/// Lets so many go on at once, in the order in which they came. Everyone who waits is told the place.
pub(super) struct Line {
    at_once: u32,
    turns: Semaphore,
    waiting: Mutex<Vec<Arc<Progress>>>,
}

/// The right to go on, until it is dropped.
pub(super) type Turn<'a> = Option<SemaphorePermit<'a>>;

impl Line {
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            at_once: u32::try_from(at_once).unwrap_or(u32::MAX),
            turns: Semaphore::new(at_once),
            waiting: Mutex::default(),
        }
    }

    pub(super) async fn turn(&self, progress: &Arc<Progress>) -> Turn<'_> {
        let _waits = Waits::begin(self, progress);
        self.turns.acquire().await.ok()
    }

    /// All turns, as soon as nobody has one: until this is dropped nobody gets one.
    pub(super) async fn all_turns(&self) -> Turn<'_> {
        self.turns.acquire_many(self.at_once).await.ok()
    }

    /// As [`Self::all_turns`], unless somebody has one now.
    pub(super) fn try_all_turns(&self) -> Turn<'_> {
        self.turns.try_acquire_many(self.at_once).ok()
    }

    fn tell(&self, waiting: &[Arc<Progress>]) {
        for (index, progress) in waiting.iter().enumerate() {
            progress.place(Some(index as u32 + 1));
        }
    }
}

/// A place in the line, given up when this is dropped.
struct Waits<'a> {
    line: &'a Line,
    progress: Arc<Progress>,
}

impl<'a> Waits<'a> {
    fn begin(line: &'a Line, progress: &Arc<Progress>) -> Self {
        let mut waiting = line.waiting.lock();
        waiting.push(Arc::clone(progress));
        line.tell(&waiting);
        Self {
            line,
            progress: Arc::clone(progress),
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut waiting = self.line.waiting.lock();
        waiting.retain(|other| !Arc::ptr_eq(other, &self.progress));
        self.progress.place(None);
        self.line.tell(&waiting);
    }
}
