//! When the disk is looked at, and when images are collected.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{Interval, MissedTickBehavior, interval_at, sleep};

use super::{Collection, Disk, collect::Builds};
use crate::Error;

/// How long after the start images are collected for the first time, and how often then.
const FIRST: Duration = Duration::from_secs(2 * 60);
const OFTEN: Duration = Duration::from_secs(60 * 60);
/// How often it is looked whether the disk has become too full, which costs little.
const FULL: Duration = Duration::from_secs(60);
/// How often everything is looked at, which costs much.
const LOOK: Duration = Duration::from_secs(10 * 60);
/// After something has happened to images, wait this long for more.
const SETTLED: Duration = Duration::from_secs(1);
/// Figures that are older are not good enough for somebody who begins to watch.
const FRESH: Duration = Duration::from_secs(30);

enum Due {
    Images,
    Look,
    Collection,
    Fullness,
}

impl Disk {
    /// Looks and collects until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let (mut often, mut full) = (every(FIRST, OFTEN), every(FULL, FULL));
        let mut look = every(LOOK, LOOK);
        loop {
            let due = tokio::select! {
                () = self.look.ledger.grown() => Due::Collection,
                () = self.look.ledger.stirred() => Due::Images,
                () = self.look_due.notified() => Due::Look,
                _ = often.tick() => Due::Collection,
                _ = full.tick() => Due::Fullness,
                _ = look.tick() => Due::Look,
            };
            let outcome = match due {
                Due::Images => {
                    sleep(SETTLED).await;
                    self.look_at_images().await
                }
                Due::Look => self.look().await,
                Due::Collection => self.collect_by_itself().await,
                Due::Fullness => self.collect_when_full().await,
            };
            super::told(
                outcome,
                "the disk cannot be looked after; trying again later",
            );
        }
    }

    /// Removes what nobody needs, as soon as no build is under way.
    pub(crate) async fn collect_now(&self) -> Result<Collection, Error> {
        let collection = self.collect(Builds::WaitFor).await?;
        Ok(collection.unwrap_or_default())
    }

    /// Somebody begins to watch: if the figures are old there will be new ones.
    pub(crate) fn watched(&self) {
        let age = self.looked_at.lock().map(|at| Instant::now() - at);
        if age.is_none_or(|age| age > FRESH) {
            self.look_due.notify_one();
        }
    }

    async fn collect_by_itself(&self) -> Result<(), Error> {
        let collection = self.collect(Builds::GoFirst).await?;
        if collection.is_none_or(|collection| collection.removed.is_empty()) {
            self.look().await?;
        }
        Ok(())
    }

    async fn collect_when_full(&self) -> Result<(), Error> {
        if self.has_become_full().await? {
            tracing::warn!(
                watermark = self.settings.watermark,
                "the engine's disk is above its watermark"
            );
            self.collect_by_itself().await?;
        }
        Ok(())
    }
}

fn every(first: Duration, period: Duration) -> Interval {
    let mut interval = interval_at(tokio::time::Instant::now() + first, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
