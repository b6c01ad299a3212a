//! The builds, pulls and pushes that there are and were: live documents with a log each.

mod lines;
mod progress;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::timeout;

pub(crate) use progress::{Outcome, Progress};

use crate::{
    Build, BuildKind, BuildLog, BuildStatus, Change, Error, ImageName, LogLine, Observer,
    ids::random_id,
    store::{Store, StoreError},
};

/// Builds that are remembered after their end, with their logs.
const REMEMBERED: usize = 200;
/// Pulls among them that came to nothing, in all and of one image: they are tried again for as long
/// as an instance wants the image, and must not push out what somebody asked for.
const REMEMBERED_FAILURES: usize = 50;
const REMEMBERED_FAILURES_OF_ONE: usize = 3;
/// Why builds failed that went on when the launcher ended.
const ENDED: &str = "the launcher ended before it was done";
/// How much of a log may be lost when the launcher is killed.
const WRITTEN_EVERY: Duration = Duration::from_secs(3);
/// Builds that may wait or go on at the same time.
const MAX_ACTIVE: usize = 100;

/// All builds, by id.
pub(crate) struct Builds {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
    active: Mutex<HashMap<String, Arc<Progress>>>,
    /// Those that are over, oldest first.
    over: Mutex<IndexMap<String, Build>>,
    /// Set when no new ones are taken any more.
    closed: AtomicBool,
}

impl Builds {
    pub(crate) fn new(store: Arc<dyn Store>, observer: Arc<dyn Observer>) -> Self {
        Self {
            store,
            observer,
            active: Mutex::default(),
            over: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// Fills the table from the store. What went on when an earlier launcher ended has failed.
    pub(crate) async fn load(&self) -> Result<(), Error> {
        let mut builds = self.store.all::<Build>().await?;
        builds.sort_by_key(|build| build.created_at);
        for mut build in builds {
            if !build.status.is_over() {
                build.status = BuildStatus::Failed;
                build.error = Some(ENDED.into());
                build.finished_at = Some(Timestamp::now());
                self.store.put(&build).await?;
            }
            self.observer
                .changed(Change::Build(&build.id, Some(&build)));
            self.over.lock().insert(build.id.clone(), build);
        }
        self.forget_old().await?;
        Ok(())
    }

    /// Begins to tell of work, which waits for its turn. Whoever begins it must also
    /// [`end`](Self::end) it.
    pub(crate) fn begin(
        &self,
        kind: BuildKind,
        image: &ImageName,
        source: Option<String>,
    ) -> Result<Arc<Progress>, Error> {
        let build = Build {
            id: random_id(),
            kind,
            image: image.clone(),
            source,
            status: BuildStatus::Queued,
            created_at: Timestamp::now(),
            started_at: None,
            finished_at: None,
            received_bytes: 0,
            expected_bytes: None,
            step: None,
            layers: None,
            error: None,
            image_id: None,
            digest: None,
            place: None,
        };
        let mut active = self.active.lock();
        // Under the lock: what begins is either ended with all others or refused.
        if self.is_closed() {
            return Err(Error::ShuttingDown);
        }
        if active.len() >= MAX_ACTIVE {
            return Err(Error::TooManyBuilds(MAX_ACTIVE));
        }
        let id = build.id.clone();
        let progress = Progress::begin(build, Arc::clone(&self.observer));
        active.insert(id, Arc::clone(&progress));
        Ok(progress)
    }

    /// Writes down how far work is and what it has said, every now and then and at each new status,
    /// so that little of it is lost when the launcher is killed. Never ends.
    pub(crate) async fn keep_written(&self, progress: &Progress) -> Infallible {
        let mut written = 0;
        loop {
            drop(timeout(WRITTEN_EVERY, progress.entered()).await);
            let said = progress.said();
            let log = match said == written {
                true => Ok(()),
                false => self.store.put(&progress.log()).await,
            };
            written = said;
            if let Err(error) = log.and(self.record(progress).await) {
                tracing::warn!(build = %progress.id(), %error, "a build's log could not be written");
            }
        }
    }

    /// Writes down work that has begun, so that it is not forgotten when the launcher is killed.
    pub(crate) async fn record(&self, progress: &Progress) -> Result<(), StoreError> {
        self.store.put(&progress.build()).await
    }

    /// Ends the telling of work: its record and its log are stored, then everyone hears of it.
    pub(crate) async fn end(&self, progress: &Progress, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Cancelled if self.is_closed() => Outcome::Failed(ENDED.into()),
            outcome => outcome,
        };
        let (build, log) = progress.finish(outcome);
        for stored in [self.store.put(&log).await, self.store.put(&build).await] {
            if let Err(error) = stored {
                tracing::warn!(build = %build.id, %error, "the end of a build could not be recorded");
            }
        }
        self.over.lock().insert(build.id.clone(), build.clone());
        self.active.lock().remove(&build.id);
        progress.tell_end();
        if let Err(error) = self.forget_old().await {
            tracing::warn!(%error, "old builds could not be forgotten");
        }
    }

    /// Asks for the end of a build that goes on, and waits for it.
    pub(crate) async fn cancel(&self, id: &str) -> Result<(), Error> {
        let progress = self.active.lock().get(id).cloned();
        match progress {
            Some(progress) => {
                progress.cancel();
                progress.ended().await;
                match progress.build().status {
                    BuildStatus::Cancelled => Ok(()),
                    _ => Err(Error::BuildIsOver(id.to_owned())),
                }
            }
            None if self.over.lock().contains_key(id) => Err(Error::BuildIsOver(id.to_owned())),
            None => Err(Error::NoSuchBuild(id.to_owned())),
        }
    }

    /// Ends all work, which has failed thereby, and takes no more.
    pub(crate) async fn end_all(&self) {
        let active: Vec<_> = {
            let active = self.active.lock();
            self.closed.store(true, Ordering::SeqCst);
            active.values().cloned().collect()
        };
        for progress in &active {
            progress.cancel();
        }
        for progress in &active {
            progress.ended().await;
        }
    }

    /// Whether no more work is taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// What a build has said: the newest lines that are kept, oldest first.
    pub(crate) async fn log(&self, id: &str) -> Result<Vec<LogLine>, Error> {
        let progress = self.active.lock().get(id).cloned();
        if let Some(progress) = progress {
            return Ok(progress.log().lines);
        }
        if !self.over.lock().contains_key(id) {
            return Err(Error::NoSuchBuild(id.to_owned()));
        }
        let log = self.store.get::<BuildLog>(id).await?;
        Ok(log.map(|log| log.lines).unwrap_or_default())
    }

    async fn forget_old(&self) -> Result<(), StoreError> {
        let old = {
            let mut over = self.over.lock();
            let old = old(&over);
            over.retain(|id, _| !old.contains(id));
            old
        };
        for id in old {
            self.store.remove::<BuildLog>(&id).await?;
            self.store.remove::<Build>(&id).await?;
            self.observer.changed(Change::Build(&id, None));
        }
        Ok(())
    }
}

/// Which of the builds that are over, oldest first, are remembered no longer.
fn old(over: &IndexMap<String, Build>) -> HashSet<String> {
    let (mut all, mut failures) = (0, 0);
    let mut failures_of = HashMap::<String, usize>::new();
    let newest_first = over.values().rev();
    let old = newest_first.filter(|build| {
        if build.kind == BuildKind::Pull && build.status != BuildStatus::Succeeded {
            let of_one = failures_of.entry(build.image.canonical()).or_default();
            if failures == REMEMBERED_FAILURES || *of_one == REMEMBERED_FAILURES_OF_ONE {
                return true;
            }
            failures += 1;
            *of_one += 1;
        }
        all += 1;
        all > REMEMBERED
    });
    old.map(|build| build.id.clone()).collect()
}
