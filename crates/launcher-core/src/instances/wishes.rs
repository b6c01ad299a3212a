//! What callers wish of an instance, and recording it.

use super::{Goal, Instances};
use crate::{Error, InstanceView, Wanted};

/// Something that a caller wishes of an instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wish {
    Start,
    Restart,
    Stop,
    Kill,
    Remove,
    /// A new container, which runs.
    Rebuild,
    /// A new container, when one is to run the next time.
    Renew,
}

/// How an instance was wanted before a wish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Before {
    wish: u64,
    wanted: Wanted,
    generation: u64,
}

impl Before {
    /// How it was wanted before the wish with this number.
    pub(crate) fn new(wish: u64, wanted: Wanted, generation: u64) -> Self {
        Self {
            wish,
            wanted,
            generation,
        }
    }
}

impl Instances {
    /// Records a wish for an instance and returns what to wait for.
    pub(crate) async fn wish(&self, id: &str, wish: Wish) -> Result<Goal, Error> {
        Ok(self.wish_anew(id, wish).await?.0)
    }

    /// The same, and what [`Self::take_back`] needs.
    pub(crate) async fn wish_anew(&self, id: &str, wish: Wish) -> Result<(Goal, Before), Error> {
        let mut before = None;
        let entered = self.change(id, |view, record| {
            before = Some((record.wanted.clone(), record.generation));
            if wish == Wish::Start && is_starting(view) {
                return Ok(());
            }
            record.wanted = wanted(wish, view);
            record.wish += 1;
            match wish {
                Wish::Remove => record.hostnames.clear(),
                Wish::Rebuild | Wish::Renew => record.generation = record.wish,
                _ => {}
            }
            Ok(())
        });
        let record = entered.await?;
        self.wake(id);
        let goal = match wish {
            Wish::Remove => Goal::Gone(record.wish),
            _ => Goal::Wish(record.wish, record.wanted.clone()),
        };
        let (wanted, generation) =
            before.unwrap_or_else(|| (record.wanted.clone(), record.generation));
        let before = Before {
            wish: record.wish,
            wanted,
            generation,
        };
        Ok((goal, before))
    }

    /// Makes an instance wanted as it was before a wish, unless there is a newer one.
    pub(crate) async fn take_back(&self, id: &str, before: Before) -> Result<(), Error> {
        let taken_back = self.change(id, |_, record| {
            if record.wish == before.wish {
                record.wanted = before.wanted;
                record.generation = before.generation;
            }
            Ok(())
        });
        taken_back.await?;
        self.wake(id);
        Ok(())
    }

    pub(crate) async fn set_auto_deploy(&self, id: &str, auto_deploy: bool) -> Result<(), Error> {
        let set = self.change(id, |_, record| {
            record.auto_deploy = auto_deploy;
            Ok(())
        });
        set.await.map(drop)
    }
}

/// What a wish means for an instance as it is.
fn wanted(wish: Wish, view: &InstanceView) -> Wanted {
    let past = view.observed.run.clone();
    match wish {
        // A program that is being ended is no program to keep.
        Wish::Start => Wanted::Running {
            past,
            restart: is_ending(view),
        },
        Wish::Rebuild => Wanted::Running {
            past,
            restart: false,
        },
        Wish::Renew => view.record.wanted.clone(),
        Wish::Restart => Wanted::Running {
            past,
            restart: true,
        },
        Wish::Stop => Wanted::Stopped { kill: false },
        Wish::Kill => Wanted::Stopped { kill: true },
        Wish::Remove => Wanted::Removed,
    }
}

fn is_pending(view: &InstanceView) -> bool {
    view.observed.carried_out < view.record.wish
}

/// A start that has failed and waits for its next attempt does not count: who asks again wants it
/// tried now.
fn is_starting(view: &InstanceView) -> bool {
    let wanted = matches!(view.record.wanted, Wanted::Running { .. });
    is_pending(view) && wanted && view.observed.failure.is_none()
}

fn is_ending(view: &InstanceView) -> bool {
    is_pending(view) && matches!(view.record.wanted, Wanted::Stopped { .. })
}
