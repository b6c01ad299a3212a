//! Waiting until what was wished is the case.

use std::time::Duration;

use tokio::sync::watch;

use super::Instances;
use crate::{Error, InstanceView, Wanted, launcher::Readiness};

/// How long a caller waits for an instance to be launched; a pull has its own, shorter deadlines.
pub(crate) const LAUNCH: Duration = Duration::from_secs(70 * 60);

/// What a method waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Goal {
    /// The wish with this number has been carried out, or a later one that agrees with it.
    Wish(u64, Wanted),
    /// The record is gone, as this wish has it.
    Gone(u64),
}

impl Instances {
    /// Waits until a goal is reached.
    ///
    /// # Errors
    /// What went wrong; [`Error::Superseded`] when a newer wish took its place;
    /// [`Error::NoSuchInstance`] when the instance is gone or going.
    pub(crate) async fn reached(
        &self,
        id: &str,
        goal: &Goal,
        deadline: Duration,
    ) -> Result<(), Error> {
        let Some(mut views) = self.subscribe(id) else {
            return gone(id, goal);
        };
        let wait = async {
            loop {
                if let Some(outcome) = judge(&views.borrow_and_update(), goal) {
                    return outcome;
                }
                if views.changed().await.is_err() {
                    return gone(id, goal);
                }
            }
        };
        match tokio::time::timeout(deadline, wait).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.overdue(id, deadline)),
        }
    }

    /// Waits until an instance is ready. The inner error says why it is not, or nothing if only the
    /// time is over.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`].
    pub(crate) async fn ready(
        &self,
        id: &str,
        deadline: tokio::time::Instant,
        readiness: Readiness,
    ) -> Result<Result<(), Option<String>>, Error> {
        let none = || Error::NoSuchInstance(id.to_owned());
        let mut views = self.subscribe(id).ok_or_else(none)?;
        let wait = views.wait_for(|view| readiness(view).is_some());
        match tokio::time::timeout_at(deadline, wait).await {
            Ok(Ok(view)) => Ok(readiness(&view).unwrap_or(Ok(())).map_err(Some)),
            Ok(Err(_)) => Err(none()),
            Err(_) => Ok(Err(None)),
        }
    }

    /// Why a goal was not reached in time.
    fn overdue(&self, id: &str, deadline: Duration) -> Error {
        let failure = self.view(id).ok().and_then(|view| view.observed.failure);
        failure.map_or(Error::Deadline(deadline), |failure| {
            Error::NotYet(failure.message)
        })
    }

    /// How an instance is, now and later. Ends when it is forgotten.
    pub(crate) fn subscribe(&self, id: &str) -> Option<watch::Receiver<InstanceView>> {
        self.table
            .read()
            .get(id)
            .map(|entry| entry.view.subscribe())
    }
}

/// A launch that failed is taken back, so nobody keeps trying.
pub(crate) fn given_up(error: Error) -> Error {
    match error {
        Error::NotYet(message) => Error::NotCarriedOut(message),
        error => error,
    }
}

fn gone(id: &str, goal: &Goal) -> Result<(), Error> {
    match goal {
        Goal::Gone(_) => Ok(()),
        Goal::Wish(..) => Err(Error::NoSuchInstance(id.to_owned())),
    }
}

/// Whether a goal is reached, or can no longer be, or not yet.
fn judge(view: &InstanceView, goal: &Goal) -> Option<Result<(), Error>> {
    let failed_since = |wish: u64| {
        let failure = view
            .observed
            .failure
            .as_ref()
            .filter(|failure| failure.wish >= wish);
        failure.map(|failure| Err(Error::NotYet(failure.message.clone())))
    };
    let (wish, wanted) = match goal {
        Goal::Gone(wish) => return failed_since(*wish),
        Goal::Wish(wish, wanted) => (*wish, wanted),
    };
    let id = || view.record.id.clone();
    let agrees = view.record.wanted.agrees_with(wanted);
    match view.observed.carried_out {
        done if done == wish || (done > wish && agrees) => Some(Ok(())),
        _ if view.record.wanted == Wanted::Removed => Some(Err(Error::NoSuchInstance(id()))),
        _ if !agrees => Some(Err(Error::Superseded(id()))),
        _ => failed_since(wish),
    }
}
