//! What apps use: now, for those who watch, and in each minute of the last day.
//!
//! The engine is asked about containers that somebody watches every two seconds, about all others
//! once a minute.

mod document;
mod history;
mod live;
mod running;
mod sample;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use self::live::{Asking, Live};
use crate::{Error, Observer, Traffic, engine::Engine, instances::Instances, store::Store};

pub use document::{AppStats, MovedBytes, StatsHour, StatsMinute};

/// Minutes that are remembered, and those of an hour.
pub(crate) const DAY: i64 = 24 * HOUR;
const HOUR: i64 = 60;

/// What apps use.
pub(crate) struct Stats {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) instances: Arc<Instances>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) observer: Arc<dyn Observer>,
    /// Whoever counts what visitors have open.
    pub(crate) traffic: Arc<dyn Traffic>,
    pub(crate) watched: Mutex<HashMap<String, Watched>>,
}

/// An instance that somebody watches.
pub(crate) struct Watched {
    watchers: usize,
    live: Arc<Live>,
    _asking: AbortOnDropHandle<()>,
}

/// Somebody who watches, until this is dropped.
pub struct StatsWatch {
    stats: Arc<Stats>,
    instance: String,
}

impl Drop for StatsWatch {
    fn drop(&mut self) {
        self.stats.leave(&self.instance);
    }
}

impl Stats {
    /// Tells observers of what an instance uses: before this returns of the last day, then of that
    /// and of now.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], or when the store fails.
    pub(crate) async fn watch(self: &Arc<Self>, instance: &str) -> Result<StatsWatch, Error> {
        let live = self.join(instance)?;
        let watch = StatsWatch {
            stats: Arc::clone(self),
            instance: instance.to_owned(),
        };
        let now = Timestamp::now().as_second().div_euclid(60);
        live.load(&*self.store, now).await?;
        Ok(watch)
    }

    fn join(&self, instance: &str) -> Result<Arc<Live>, Error> {
        let unknown = || Error::NoSuchInstance(instance.to_owned());
        let views = self.instances.subscribe(instance).ok_or_else(unknown)?;
        let mut watched = self.watched.lock();
        if let Some(known) = watched.get_mut(instance) {
            known.watchers += 1;
            return Ok(Arc::clone(&known.live));
        }
        let live = Live::new(instance.to_owned(), Arc::clone(&self.observer));
        let asking = Asking {
            engine: Arc::clone(&self.engine),
            traffic: Arc::clone(&self.traffic),
            views,
            live: Arc::clone(&live),
        };
        let new = Watched {
            watchers: 1,
            live: Arc::clone(&live),
            _asking: AbortOnDropHandle::new(tokio::spawn(asking.run())),
        };
        watched.insert(instance.to_owned(), new);
        Ok(live)
    }

    fn leave(&self, instance: &str) {
        // Under the lock, so that whoever begins to watch meanwhile is told afterwards.
        let mut watched = self.watched.lock();
        let Some(known) = watched.get_mut(instance) else {
            return;
        };
        known.watchers -= 1;
        if known.watchers == 0 {
            known.live.close();
            watched.remove(instance);
        }
    }
}
