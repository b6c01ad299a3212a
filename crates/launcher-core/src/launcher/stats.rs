//! What callers can ask of what apps use.

use super::Launcher;
use crate::{Error, stats::StatsWatch};

impl Launcher {
    /// Tells observers of what an instance uses until the watch is dropped: before this returns of the
    /// last day, then of that and of now.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], or when the store fails.
    pub async fn watch_stats(&self, instance: &str) -> Result<StatsWatch, Error> {
        self.stats.watch(instance).await
    }
}
