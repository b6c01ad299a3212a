//! Work on images, which callers join: of one image there is one build or pull at a time.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Error, ImageName};

/// What is being done to an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// It goes on when nobody waits for it any more.
    Build,
    /// It is given up when nobody waits for it any more.
    Pull,
    /// It is removed.
    Removal,
}

impl Kind {
    /// What is being done to the image, in a word.
    pub(super) fn participle(self) -> &'static str {
        match self {
            Self::Build => "built",
            Self::Pull => "pulled",
            Self::Removal => "removed",
        }
    }
}

/// Work under way, by the image's canonical name.
#[derive(Clone, Default)]
pub(super) struct Work(Arc<Mutex<HashMap<String, UnderWay>>>);

struct UnderWay {
    kind: Kind,
    state: watch::Sender<State>,
}

/// `None` while it goes on; then the outcome, for everyone who waits.
pub(super) type State = Option<Result<(), Arc<Error>>>;

/// Tells work when nobody waits for it any more.
pub(super) struct Abandoned(pub(super) watch::Sender<State>);

impl Abandoned {
    /// Resolves when nobody waits.
    pub(super) async fn wait(&self) {
        self.0.closed().await;
    }
}

/// A place among the work under way, which is free again when this is dropped.
struct Place {
    work: Work,
    name: String,
}

/// The right to work on an image, alone.
pub(super) struct Turn {
    place: Place,
    sender: watch::Sender<State>,
}

impl Turn {
    /// Does the work, which others may join.
    pub(super) async fn carry_out(self, work: impl Future<Output = Result<(), Error>>) {
        run(work, self.place, self.sender).await;
    }
}

impl Work {
    /// Whether it is being built or pulled.
    pub(super) fn is_under_way(&self, name: &ImageName) -> bool {
        let map = self.0.lock();
        let work = map.get(&name.canonical());
        work.is_some_and(|work| work.kind != Kind::Removal)
    }

    /// Waits for the end of a removal of this image, if there is one, however it ends.
    pub(super) async fn removal_ended(&self, name: &ImageName) {
        let removal = self.state_of(name, Kind::Removal);
        if let Some(state) = removal {
            drop(outcome(state).await);
        }
    }

    /// Joins a removal of this image, or begins it in a task of its own.
    ///
    /// # Errors
    /// The work that is under way, if it is of another kind.
    pub(super) async fn remove_unless_busy<F>(
        &self,
        name: &ImageName,
        removal: impl FnOnce() -> F,
    ) -> Result<Result<(), Error>, Kind>
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        match self.enter(name, Kind::Removal) {
            Entered::Other(kind, _) => Err(kind),
            Entered::Joined(state) => Ok(outcome(state).await),
            Entered::First(place, sender) => {
                let state = sender.subscribe();
                tokio::spawn(run(removal(), place, sender));
                Ok(outcome(state).await)
            }
        }
    }

    /// Waits for the end of a build of this image, if there is one, however it ends.
    pub(super) async fn build_ended(&self, name: &ImageName) {
        let build = self.state_of(name, Kind::Build);
        if let Some(state) = build {
            drop(outcome(state).await);
        }
    }

    /// Joins work of this kind on this image, or begins it in a task of its own. Work of the other
    /// kind is waited for first.
    pub(super) async fn join_or_begin<F>(
        &self,
        name: &ImageName,
        kind: Kind,
        work: impl FnOnce(Abandoned) -> F,
    ) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        loop {
            match self.enter(name, kind) {
                Entered::Other(_, state) => drop(outcome(state).await),
                Entered::Joined(state) => return outcome(state).await,
                Entered::First(place, sender) => {
                    let state = sender.subscribe();
                    let work = work(Abandoned(sender.clone()));
                    tokio::spawn(run(work, place, sender));
                    return outcome(state).await;
                }
            }
        }
    }

    /// Takes the turn if nobody works on this image.
    pub(super) fn try_turn(&self, name: &ImageName, kind: Kind) -> Option<Turn> {
        match self.enter(name, kind) {
            Entered::First(place, sender) => Some(Turn { place, sender }),
            Entered::Joined(_) | Entered::Other(..) => None,
        }
    }

    /// Waits for the end of all work on this image, and takes the next turn.
    pub(super) async fn turn(&self, name: &ImageName, kind: Kind) -> Turn {
        loop {
            match self.enter(name, kind) {
                Entered::Other(_, state) | Entered::Joined(state) => drop(outcome(state).await),
                Entered::First(place, sender) => return Turn { place, sender },
            }
        }
    }

    /// Names in full of what is worked on.
    pub(super) fn names(&self) -> HashSet<String> {
        self.0.lock().keys().cloned().collect()
    }

    fn state_of(&self, name: &ImageName, kind: Kind) -> Option<watch::Receiver<State>> {
        let map = self.0.lock();
        let found = map.get(&name.canonical()).filter(|work| work.kind == kind);
        found.map(|work| work.state.subscribe())
    }

    fn enter(&self, name: &ImageName, kind: Kind) -> Entered {
        let name = name.canonical();
        let mut map = self.0.lock();
        match map.get(&name) {
            Some(work) if work.kind == kind => Entered::Joined(work.state.subscribe()),
            Some(work) => Entered::Other(work.kind, work.state.subscribe()),
            None => {
                let state = watch::Sender::new(None);
                map.insert(
                    name.clone(),
                    UnderWay {
                        kind,
                        state: state.clone(),
                    },
                );
                Entered::First(
                    Place {
                        work: self.clone(),
                        name,
                    },
                    state,
                )
            }
        }
    }
}

enum Entered {
    First(Place, watch::Sender<State>),
    Joined(watch::Receiver<State>),
    Other(Kind, watch::Receiver<State>),
}

impl Drop for Place {
    fn drop(&mut self) {
        self.work.0.lock().remove(&self.name);
    }
}

async fn run(
    work: impl Future<Output = Result<(), Error>>,
    place: Place,
    sender: watch::Sender<State>,
) {
    let outcome = work.await;
    // Whoever hears of the end finds the place free.
    drop(place);
    sender.send_replace(Some(outcome.map_err(Arc::new)));
}

pub(super) async fn outcome(mut state: watch::Receiver<State>) -> Result<(), Error> {
    match state
        .wait_for(Option::is_some)
        .await
        .map(|state| state.clone())
    {
        Ok(Some(Err(error))) => Err(Error::Shared(error)),
        Ok(_) => Ok(()),
        Err(_) => Err(Error::NotCarriedOut(
            "the work on the image broke off".into(),
        )),
    }
}
