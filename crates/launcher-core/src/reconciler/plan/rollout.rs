//! A release takes the place of another one.

use std::time::Instant;

use super::{Next, SETTLING, Seen, Situation, Step, replaced};
use crate::{Wanted, health::Health};

/// A new release is given up when the program of one of its containers has ended so often.
pub const MOST_EXITS: usize = 3;

/// Why a release cannot take the place of the one before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Problem {
    /// This container did not get ready in time.
    NotReady(String),
    /// The program of this container ended again and again.
    Exits(String),
}

impl Problem {
    /// The container that it is about.
    #[must_use]
    pub fn container(&self) -> &str {
        match self {
            Self::NotReady(container) | Self::Exits(container) => container,
        }
    }
}

/// Whether containers of an earlier release serve, or are started again to, because those of the wanted
/// one do not yet.
pub(super) fn is_pending(s: &Situation<'_>) -> bool {
    matches!(s.wanted, Wanted::Running { .. })
        && s.memory.switched != Some(s.release)
        && !has_taken_over(s)
        && (s.containers.iter().any(|seen| s.is_old_and_serves(seen))
            || replaced::fallen(s).next().is_some())
}

/// Whether the release serves since an earlier launcher's days: nothing is recorded of the one before,
/// and its containers run as they did then. Of the older ones nobody knows which are ending.
fn has_taken_over(s: &Situation<'_>) -> bool {
    let goes_on = |seen: &Seen| seen.inherited || seen.health == Health::Healthy;
    let runs = |replica| {
        s.slot(replica)
            .is_some_and(|seen| seen.is_running() && goes_on(seen))
    };
    let is_inherited = s.containers.iter().any(|seen| seen.inherited);
    s.replaces.is_none() && is_inherited && (0..s.replicas).all(runs)
}

/// Why the new release is to be given up, if it is.
pub(super) fn problem(s: &Situation<'_>) -> Option<Problem> {
    let is_awaited = s.replaces.is_some() || is_pending(s);
    if !is_awaited || s.memory.told == Some(s.release) {
        return None;
    }
    let new = s.containers.iter().filter(|seen| s.is_wanted(seen));
    new.filter_map(|seen| {
        let exits = s.memory.crashes_of(&seen.container);
        let id = seen.id().to_owned();
        if exits.is_some_and(|crashes| crashes.recent() >= MOST_EXITS) {
            return Some(Problem::Exits(id));
        }
        (seen.is_running() && seen.health == Health::Unhealthy).then_some(Problem::NotReady(id))
    })
    .next()
}

/// What is left to do before the old containers may be retired; `None`: nothing.
pub(super) fn switch(s: &Situation<'_>) -> Option<Next> {
    if !is_pending(s) {
        return None;
    }
    // One that is not ready wakes whoever asks when it is.
    Some(match all_ready_at(s) {
        None => Next::Wait(None),
        Some(time) if time > s.now => Next::Wait(Some(time)),
        Some(_) => Next::Do(Step::Switch),
    })
}

/// Whether all containers of the wanted release are ready.
pub(super) fn is_ready(s: &Situation<'_>) -> bool {
    all_ready_at(s).is_some_and(|time| time <= s.now)
}

/// When they are, as far as that can be told.
fn all_ready_at(s: &Situation<'_>) -> Option<Instant> {
    let times = (0..s.replicas).map(|replica| s.slot(replica).and_then(|seen| ready_at(s, seen)));
    let all: Option<Vec<Instant>> = times.collect();
    all.map(|times| times.into_iter().max().unwrap_or(s.now))
}

/// When a container may take the place of another, as far as that can be told.
fn ready_at(s: &Situation<'_>, seen: &Seen) -> Option<Instant> {
    match seen.health {
        _ if !seen.is_running() => None,
        Health::Healthy => Some(s.now),
        Health::None => {
            let since = s
                .memory
                .runs
                .get(seen.id())
                .map_or(s.now, |(_, since)| *since);
            Some(since + SETTLING)
        }
        Health::Starting | Health::Unhealthy => None,
    }
}

impl Situation<'_> {
    fn is_old_and_serves(&self, seen: &Seen) -> bool {
        let leaves =
            self.memory.was_asked(&seen.container) || self.memory.draining.contains_key(seen.id());
        seen.is_running() && seen.container.generation < self.release && !leaves
    }
}
