//! What serves until another release takes its place goes on running.

use super::{Next, Seen, Situation, rollout, slots, soonest};
use crate::{Wanted, engine::ContainerState};

/// Starts again what has ended of the release that serves until the wanted one is ready. Also while
/// that one's image is being pulled.
#[must_use]
pub fn keep_replaced(s: &Situation<'_>) -> Next {
    soonest(fallen(s).map(|seen| match slots::restart(s, seen) {
        // What is to be replaced is not given up; it is just not started any more.
        Next::GiveUp(_) => Next::Wait(None),
        next => next,
    }))
}

/// Those of them that have ended, as long as the wanted release is not ready.
pub(super) fn fallen<'a>(s: &Situation<'a>) -> impl Iterator<Item = &'a Seen> {
    let is_needed = !rollout::is_ready(s);
    let has_fallen = move |seen: &&Seen| {
        let has_run = seen.container.started_at.is_some();
        let has_ended = seen.container.state == ContainerState::Exited;
        is_needed && has_run && has_ended && s.is_to_run_until_replaced(seen)
    };
    s.containers.iter().filter(has_fallen)
}

impl Situation<'_> {
    /// Is of the release that serves until the wanted one is ready.
    pub(super) fn is_to_run_until_replaced(&self, seen: &Seen) -> bool {
        let is_wanted = matches!(self.wanted, Wanted::Running { .. }) && self.replaced_runs;
        let has_switched = self.memory.switched == Some(self.release);
        let is_it = self.replaces == Some(seen.container.generation)
            && seen.container.generation < self.release
            && seen.container.replica < self.replicas;
        is_it && is_wanted && !has_switched
    }
}
