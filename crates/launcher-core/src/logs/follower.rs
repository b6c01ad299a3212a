//! Follows all containers of one instance for as long as somebody watches.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{LogSink, pending::Pending, readers::Readers};
use crate::{
    InstanceView,
    engine::{Engine, EngineError},
};

/// How often lines are told at most.
const PACE: Duration = Duration::from_millis(100);
/// How soon the containers are looked at again when that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// After something has happened to the instance, wait this long for more.
const SETTLED: Duration = Duration::from_millis(50);
/// How long the logs of an instance that is gone may take to end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often the containers are looked at when nothing is known to have happened.
const LOOK: Duration = Duration::from_secs(15);

/// Reads what an instance's containers write, until it is dropped.
pub(super) struct Follower {
    shared: Arc<Shared>,
    began: watch::Receiver<Option<Result<(), EngineError>>>,
    _work: AbortOnDropHandle<()>,
}

/// What the follower's task works for.
struct Shared {
    sinks: Mutex<Sinks>,
    pending: Arc<Pending>,
}

#[derive(Default)]
struct Sinks {
    all: HashMap<u64, Arc<dyn LogSink>>,
    next: u64,
}

/// Whose containers are followed.
pub(super) struct Followed {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) owner: String,
    pub(super) instance: String,
    pub(super) views: watch::Receiver<InstanceView>,
}

impl Follower {
    pub(super) fn new(followed: Followed) -> Self {
        let shared = Arc::new(Shared {
            sinks: Mutex::default(),
            pending: Arc::new(Pending::new()),
        });
        let (begin, began) = watch::channel(None);
        let work = tokio::spawn(work(followed, Arc::clone(&shared), begin));
        Self {
            shared,
            began,
            _work: AbortOnDropHandle::new(work),
        }
    }

    /// From now on somebody is told; until [`Self::leave`] with the number that this returns.
    pub(super) fn join(&self, sink: Arc<dyn LogSink>) -> u64 {
        let mut sinks = self.shared.sinks.lock();
        sinks.next += 1;
        let number = sinks.next;
        sinks.all.insert(number, sink);
        number
    }

    pub(super) fn leave(&self, number: u64) {
        self.shared.sinks.lock().all.remove(&number);
    }

    /// Resolves when nothing is missed any more that is written, or with why the engine's containers
    /// are not known yet.
    pub(super) async fn began(&self) -> Result<(), EngineError> {
        let mut began = self.began.clone();
        match began.wait_for(Option::is_some).await {
            Ok(began) => began.clone().unwrap_or(Ok(())),
            // The instance is gone, and so are its containers.
            Err(_) => Ok(()),
        }
    }
}

type Began = watch::Sender<Option<Result<(), EngineError>>>;

async fn work(followed: Followed, shared: Arc<Shared>, began: Began) {
    let readers = Readers::new(Arc::clone(&followed.engine), Arc::clone(&shared.pending));
    tokio::select! {
        () = follow(followed, readers, began) => {}
        () = tell(&shared) => {}
    }
    // What the containers wrote last.
    shared.tell();
}

/// Follows the containers until the instance is gone.
async fn follow(mut followed: Followed, mut readers: Readers, began: Began) {
    loop {
        followed.views.borrow_and_update();
        let is_first = !matches!(*began.borrow(), Some(Ok(())));
        let containers = followed
            .engine
            .containers(&followed.owner, Some(&followed.instance));
        let looked = match containers.await {
            Ok(containers) => readers.look(containers, is_first).await,
            Err(error) => Err(error),
        };
        let pause = if looked.is_ok() { LOOK } else { AGAIN };
        if is_first {
            began.send_replace(Some(looked));
        }
        let news = async {
            tokio::select! {
                changed = followed.views.changed() => changed.is_ok(),
                () = readers.ended() => true,
            }
        };
        if timeout(pause, news).await == Ok(false) {
            drop(timeout(LAST_WORDS, readers.all_ended()).await);
            return;
        }
        sleep(SETTLED).await;
    }
}

/// Tells of lines soon after they have come. Never ends.
async fn tell(shared: &Shared) {
    loop {
        shared.pending.filled().await;
        sleep(PACE).await;
        shared.tell();
    }
}

impl Shared {
    fn tell(&self) {
        let entries = self.pending.take();
        if entries.is_empty() {
            return;
        }
        let sinks: Vec<_> = self.sinks.lock().all.values().cloned().collect();
        for sink in sinks {
            sink.lines(&entries);
        }
    }
}
