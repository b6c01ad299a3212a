//! Pulls and pushes under way. Of one image there is one of each; who wants the same joins it, and
//! all know it by its build document from the first moment.

use std::{collections::HashMap, future::Future, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::work::{Abandoned, State, outcome};
use crate::{BuildKind, Error, ImageName, builds::Progress};

type Key = (BuildKind, String);

/// By what is done, and the image's canonical name.
#[derive(Clone, Default)]
pub(super) struct Transfers(Arc<Mutex<HashMap<Key, UnderWay>>>);

struct UnderWay {
    progress: Arc<Progress>,
    state: watch::Sender<State>,
}

/// One of those who wait for a transfer.
pub(super) struct Joined {
    progress: Arc<Progress>,
    state: watch::Receiver<State>,
}

impl Joined {
    /// Id of its build document.
    pub(super) fn id(&self) -> String {
        self.progress.id()
    }

    /// Waits for its end.
    pub(super) async fn outcome(self) -> Result<(), Error> {
        outcome(self.state).await
    }
}

/// A place among the transfers under way, which is free again when this is dropped.
struct Place {
    transfers: Transfers,
    key: Key,
    progress: Arc<Progress>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut map = self.transfers.0.lock();
        // One that is over, or given up, may have been followed already.
        if map
            .get(&self.key)
            .is_some_and(|other| Arc::ptr_eq(&other.progress, &self.progress))
        {
            map.remove(&self.key);
        }
    }
}

impl Transfers {
    /// Whether one is under way.
    pub(super) fn is_under_way(&self, kind: BuildKind, name: &ImageName) -> bool {
        let map = self.0.lock();
        let known = map.get(&(kind, name.canonical()));
        known.is_some_and(|known| !known.progress.is_over())
    }

    /// Names in full of what is pulled and pushed.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().keys().map(|(_, name)| name.clone()).collect()
    }

    /// Waits for the end of a transfer, if it is under way, however it ends.
    pub(super) async fn ended(&self, kind: BuildKind, name: &ImageName) {
        let state = {
            let map = self.0.lock();
            let known = map.get(&(kind, name.canonical()));
            known.map(|known| known.state.subscribe())
        };
        if let Some(state) = state {
            drop(outcome(state).await);
        }
    }

    /// Joins a transfer that goes on, or begins one in a task of its own.
    pub(super) fn join_or_begin<F>(
        &self,
        kind: BuildKind,
        name: &ImageName,
        begin: impl FnOnce() -> Result<Arc<Progress>, Error>,
        work: impl FnOnce(Arc<Progress>, Abandoned) -> F,
    ) -> Result<Joined, Error>
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let key = (kind, name.canonical());
        let mut map = self.0.lock();
        // One that nobody waits for any more is given up, or about to be.
        let goes_on =
            |known: &&UnderWay| !known.progress.is_over() && known.state.receiver_count() > 0;
        if let Some(known) = map.get(&key).filter(goes_on) {
            return Ok(Joined {
                progress: Arc::clone(&known.progress),
                state: known.state.subscribe(),
            });
        }
        let progress = begin()?;
        let (sender, state) = watch::channel(None);
        let under_way = UnderWay {
            progress: Arc::clone(&progress),
            state: sender.clone(),
        };
        map.insert(key.clone(), under_way);
        let place = Place {
            transfers: self.clone(),
            key,
            progress: Arc::clone(&progress),
        };
        let work = work(Arc::clone(&progress), Abandoned(sender.clone()));
        tokio::spawn(async move {
            let outcome = work.await;
            // Whoever hears of the end finds the place free.
            drop(place);
            sender.send_replace(Some(outcome.map_err(Arc::new)));
        });
        Ok(Joined { progress, state })
    }
}
