//! What callers wish of an instance, and recording it.

use super::{Goal, Instances};
use crate::{Error, InstanceView, Wanted, failpoints::Failpoint};

/// Something that a caller wishes of an instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wish {
    Start,
    Restart,
    Stop,
    Kill,
    Remove,
    /// So many containers.
    Scale(u32),
}

impl Instances {
    /// Records a wish for an instance and returns what to wait for.
    pub(crate) async fn wish(&self, id: &str, wish: Wish) -> Result<Goal, Error> {
        let (mut abandoned, mut switched) = (None, None);
        let entered = self.change(id, |view, record| {
            if wish == Wish::Start && is_starting(view) {
                return Ok(());
            }
            self.check_wish(wish, record)?;
            record.wanted = wanted(wish, view);
            record.wish += 1;
            match wish {
                Wish::Scale(replicas) => record.replicas = replicas,
                _ => record.given_up = None,
            }
            if wish == Wish::Remove {
                record.hostnames.clear();
            }
            switched = self.enter_switch_if_done(view, record);
            // What has not proven itself is not what is started the next time.
            if let Wish::Stop | Wish::Kill | Wish::Remove = wish
                && let Some(rollout) = record.rollout.take()
            {
                let release = record.release.take();
                self.go_back(record, &rollout);
                abandoned = Some((rollout, release));
            }
            Ok(())
        });
        let record = entered.await?;
        if let Some(switched) = switched {
            self.tell_switch(id, switched).await;
        }
        if let Some((rollout, release)) = abandoned {
            Failpoint::Abandoned.reach();
            let text = "the app instance was stopped";
            self.overtake(id, &rollout, release.as_deref(), text).await;
        }
        self.wake(id);
        Ok(match (wish, &record.wanted) {
            (Wish::Remove, _) => Goal::Gone(record.wish),
            (_, wanted) => Goal::Wish(record.wish, wanted.clone()),
        })
    }

    pub(crate) async fn set_maintenance(&self, id: &str, on: bool) -> Result<(), Error> {
        let set = self.change(id, |_, record| {
            record.maintenance = on;
            Ok(())
        });
        set.await.map(drop)
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
    let past = view.observed.runs.clone();
    match wish {
        // A program that is being ended is no program to keep.
        Wish::Start => Wanted::Running {
            past,
            restart: is_ending(view),
        },
        Wish::Restart => Wanted::Running {
            past,
            restart: true,
        },
        Wish::Scale(_) => view.record.wanted.clone(),
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
