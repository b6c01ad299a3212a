//! The builds, pulls and pushes that there are and were: live documents with a log each.

mod lines;
mod progress;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;

pub(crate) use progress::{Outcome, Progress};

use crate::{
    Build, BuildKind, BuildLog, BuildStatus, Error, ImageName, LogLine, Observer,
    ids::random_id,
    store::{Store, StoreError},
};

/// Builds that are remembered after their end, with their logs.
const REMEMBERED: usize = 200;
/// Builds that may wait or go on at the same time.
const MAX_ACTIVE: usize = 100;

/// All builds, by id.
pub(crate) struct Builds {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
    active: Mutex<HashMap<String, Arc<Progress>>>,
    /// Those that are over, oldest first.
    over: Mutex<IndexMap<String, Build>>,
}

impl Builds {
    pub(crate) fn new(store: Arc<dyn Store>, observer: Arc<dyn Observer>) -> Self {
        Self {
            store,
            observer,
            active: Mutex::default(),
            over: Mutex::default(),
        }
    }

    /// Fills the table from the store. What went on when an earlier launcher ended has failed.
    pub(crate) async fn load(&self) -> Result<(), Error> {
        for mut build in self.store.all::<Build>().await? {
            if !build.status.is_over() {
                build.status = BuildStatus::Failed;
                build.error = Some("the launcher ended before it was done".into());
                build.finished_at = Some(Timestamp::now());
                self.store.put(&build).await?;
            }
            self.observer.build_changed(&build.id, Some(&build));
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
        };
        let mut active = self.active.lock();
        if active.len() >= MAX_ACTIVE {
            return Err(Error::TooManyBuilds(MAX_ACTIVE));
        }
        let id = build.id.clone();
        let progress = Progress::begin(build, Arc::clone(&self.observer));
        active.insert(id, Arc::clone(&progress));
        Ok(progress)
    }

    /// Writes down work that has begun, so that it is not forgotten when the launcher is killed.
    pub(crate) async fn record(&self, progress: &Progress) -> Result<(), StoreError> {
        self.store.put(&progress.build()).await
    }

    /// Ends the telling of work: its record and its log are stored, then everyone hears of it.
    pub(crate) async fn end(&self, progress: &Progress, outcome: Outcome) {
        let (build, log) = progress.finish(outcome);
        for stored in [self.store.put(&build).await, self.store.put(&log).await] {
            if let Err(error) = stored {
                tracing::warn!(build = %build.id, %error, "the end of a build could not be recorded");
            }
        }
        self.active.lock().remove(&build.id);
        self.over.lock().insert(build.id.clone(), build);
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
                progress.cancel().await;
                Ok(())
            }
            None if self.over.lock().contains_key(id) => Err(Error::BuildIsOver(id.to_owned())),
            None => Err(Error::NoSuchBuild(id.to_owned())),
        }
    }

    /// What a build has said: the newest lines that are kept, oldest first.
    pub(crate) async fn log(&self, id: &str) -> Result<Vec<LogLine>, Error> {
        let progress = self.active.lock().get(id).cloned();
        if let Some(progress) = progress {
            return Ok(progress.log());
        }
        if !self.over.lock().contains_key(id) {
            return Err(Error::NoSuchBuild(id.to_owned()));
        }
        let log = self.store.get::<BuildLog>(id).await?;
        Ok(log.map(|log| log.lines).unwrap_or_default())
    }

    async fn forget_old(&self) -> Result<(), StoreError> {
        let mut old = Vec::new();
        {
            let mut over = self.over.lock();
            while over.len() > REMEMBERED {
                old.extend(over.shift_remove_index(0).map(|(id, _)| id));
            }
        }
        for id in old {
            self.store.remove::<BuildLog>(&id).await?;
            self.store.remove::<Build>(&id).await?;
            self.observer.build_changed(&id, None);
        }
        Ok(())
    }
}
