//! One replica of the wanted release: made, started, kept running.

use std::time::Instant;

use super::{Next, Seen, Situation, Step, end, retire, rollout};
use crate::{Wanted, engine::ContainerState, health::Health};

/// Crashes after which a rolling restart no longer waits for a replica.
const HOPELESS: usize = 3;

/// What to do for one replica.
pub(super) fn keep(s: &Situation<'_>, replica: u32) -> Next {
    let Some(seen) = s.slot(replica) else {
        return make(s, replica);
    };
    match seen.container.state {
        ContainerState::Exited => restart(s, seen),
        ContainerState::Created => start_at(s, seen, s.memory.not_before),
        ContainerState::Running => keep_running(s, seen),
        // Taken care of before.
        ContainerState::Removing => Next::Wait(None),
    }
}

fn make(s: &Situation<'_>, replica: u32) -> Next {
    match s.memory.not_before {
        Some(time) if time > s.now => Next::Wait(Some(time)),
        _ if s.has_image => Next::Do(Step::Create(replica)),
        _ => Next::Do(Step::Pull),
    }
}

/// Counted from when the end was seen, which is never before the end itself. A run that was asked to
/// end is followed by another at once.
pub(super) fn restart(s: &Situation<'_>, seen: &Seen) -> Next {
    if !s.has_crashed(seen) {
        return start_at(s, seen, s.memory.not_before);
    }
    let crashes = s.memory.crashes_of(&seen.container);
    let (restarts, next_try) =
        crashes.map_or((0, None), |crashes| (crashes.restarts, crashes.next_try()));
    if s.policy.most_restarts > 0 && restarts >= s.policy.most_restarts {
        // Of a release that is to take the place of another its deployment decides what follows.
        let decides = s.replaces.is_none() && !rollout::is_pending(s);
        if decides || s.is_to_run_until_replaced(seen) {
            return Next::GiveUp(seen.container.replica);
        }
    }
    start_at(s, seen, next_try.max(s.memory.not_before))
}

fn start_at(s: &Situation<'_>, seen: &Seen, earliest: Option<Instant>) -> Next {
    match earliest {
        Some(time) if time > s.now => Next::Wait(Some(time)),
        _ => Next::Do(Step::Start(seen.id().to_owned())),
    }
}

fn keep_running(s: &Situation<'_>, seen: &Seen) -> Next {
    let Wanted::Running { restart, .. } = s.wanted else {
        return Next::Wait(None);
    };
    // A program that is being ended is no program to keep.
    if s.memory.was_asked(&seen.container) {
        return end(s, seen, false);
    }
    if *restart && s.is_past(seen) {
        return match s.others_serve(seen) {
            // Nobody takes its place.
            _ if s.replicas == 1 => end(s, seen, false),
            true => retire(s, seen),
            false => Next::Wait(None),
        };
    }
    match s.policy.restart_after.map(|after| seen.since + after) {
        Some(due) if seen.health == Health::Unhealthy && due > s.now => Next::Wait(Some(due)),
        Some(_) if seen.health == Health::Unhealthy => end(s, seen, false),
        // Whoever sees the instance sees then that it is no longer in a crash loop.
        _ => Next::Wait(s.memory.forgiven_at(&seen.container)),
    }
}

impl Situation<'_> {
    /// Whether no other replica is just being restarted.
    fn others_serve(&self, seen: &Seen) -> bool {
        let is_other = |other: &&Seen| other.id() != seen.id();
        let all_there = (0..self.replicas).all(|replica| self.slot(replica).is_some());
        let wanted = self.containers.iter().filter(|other| self.is_wanted(other));
        all_there
            && wanted
                .filter(is_other)
                .all(|other| !self.is_in_between(other))
    }

    /// Has been ended, or started again and is not ready yet.
    fn is_in_between(&self, seen: &Seen) -> bool {
        let leaves =
            self.memory.was_asked(&seen.container) || self.memory.draining.contains_key(seen.id());
        let crashes = self.memory.crashes_of(&seen.container);
        let is_hopeless = crashes.is_some_and(|crashes| crashes.recent() >= HOPELESS);
        let is_new = !self.is_past(seen) && !is_hopeless;
        leaves || is_new && (!seen.is_running() || seen.health == Health::Starting)
    }
}
