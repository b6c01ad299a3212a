//! What the worker remembers between two looks. All of it may be lost: then steps are repeated, and
//! every step can be.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jiff::SignedDuration;

use super::{STABLE_AFTER, Seen, Situation, backoff};
use crate::{
    app_instance::Run,
    engine::{Container, ContainerState},
};

/// So many crashes within [`LOOP_WITHIN`] are a crash loop.
const LOOP_OF: usize = 5;
/// See [`LOOP_OF`].
const LOOP_WITHIN: Duration = Duration::from_secs(5 * 60);

/// See the module.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// Runs that were asked to end, by container, and when.
    pub asked_to_end: BTreeMap<String, (Option<Run>, Instant)>,
    /// Containers that get no new requests any more, and since when.
    pub draining: BTreeMap<String, Instant>,
    /// Runs that were seen to go on, by container, and since when.
    pub runs: BTreeMap<String, (Run, Instant)>,
    /// How often programs ended that nobody had asked to, by release and replica.
    pub crashes: BTreeMap<(u64, u32), Crashes>,
    /// The release whose containers have taken the place of earlier ones.
    pub switched: Option<u64>,
    /// The release of which was told that it cannot take the place of the old one.
    pub told: Option<u64>,
    /// Attempts that failed in a row.
    pub failures: u32,
    /// No attempt before this.
    pub not_before: Option<Instant>,
}

/// How often the program of one replica ended although nobody had asked it to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Crashes {
    /// The run that ended last, asked or not, and when that was first seen.
    pub ended: Option<(Run, Instant)>,
    /// When the newest ones were seen, oldest first.
    recent: Vec<Instant>,
    /// Restarts since the program was last stable.
    pub restarts: u32,
    /// Restarts in all.
    pub total_restarts: u32,
    /// Whether it crashed again and again, and has not been stable since.
    pub is_loop: bool,
}

impl Crashes {
    /// How many have been seen lately.
    #[must_use]
    pub fn recent(&self) -> usize {
        self.recent.len()
    }

    /// When the program may be started again.
    #[must_use]
    pub fn next_try(&self) -> Option<Instant> {
        let (_, seen) = self.ended.as_ref()?;
        Some(*seen + backoff(self.restarts))
    }

    /// The program has run for long enough to trust it.
    fn forgive(&mut self) {
        *self = Self {
            ended: self.ended.take(),
            total_restarts: self.total_restarts,
            ..Self::default()
        };
    }

    /// Whether there is something to forgive.
    fn is_held_against_it(&self) -> bool {
        self.is_loop || self.restarts > 0 || !self.recent.is_empty()
    }

    fn noticed(&mut self, run: Run, crashed: bool, was_stable: bool, now: Instant) {
        if was_stable {
            self.forgive();
        }
        self.ended = Some((run, now));
        if crashed {
            self.recent
                .retain(|seen| now.duration_since(*seen) <= LOOP_WITHIN);
            self.recent.push(now);
            self.is_loop |= self.recent.len() >= LOOP_OF;
            if self.recent.len() > LOOP_OF {
                self.recent.remove(0);
            }
        }
    }
}

impl Memory {
    /// A new wish starts with a clean slate: earlier failures no longer delay it. What was asked of
    /// programs stays asked.
    pub fn notice_wish(&mut self) {
        self.crashes.values_mut().for_each(Crashes::forgive);
        self.told = None;
        self.failures = 0;
        self.not_before = None;
    }

    /// Takes over what a look shows, and forgets what is gone. Returns the containers that show the end
    /// of a run for the first time.
    pub fn notice<'a>(&mut self, situation: &Situation<'a>) -> Vec<&'a Seen> {
        let (containers, now) = (situation.containers, situation.now);
        let find = |id: &str| containers.iter().find(|seen| seen.id() == id);
        let is_same = |id: &str, run: &Option<Run>| find(id).is_some_and(|c| c.run() == *run);
        self.asked_to_end.retain(|id, (run, _)| is_same(id, run));
        self.draining.retain(|id, _| {
            find(id).is_some_and(|seen| seen.is_running() && !situation.is_to_stay(seen))
        });
        self.runs.retain(|id, (run, _)| {
            find(id).is_some_and(|seen| seen.is_running() && seen.run().as_ref() == Some(run))
        });
        for seen in containers.iter().filter(|seen| seen.is_running()) {
            if let Some(run) = seen.run() {
                self.runs.entry(seen.id().to_owned()).or_insert((run, now));
            }
            if self
                .forgiven_at(&seen.container)
                .is_some_and(|time| time <= now)
                && let Some(crashes) = self.crashes.get_mut(&seen.place())
            {
                crashes.forgive();
            }
        }
        let mut ended = Vec::new();
        for seen in containers
            .iter()
            .filter(|seen| seen.container.state == ContainerState::Exited)
        {
            let Some(run) = seen.run() else { continue };
            let place = (seen.container.generation, seen.container.replica);
            let known = self
                .crashes
                .get(&place)
                .and_then(|crashes| crashes.ended.as_ref());
            if known.is_some_and(|(known, _)| *known == run) {
                continue;
            }
            let crashed = situation.has_crashed(seen);
            let crashes = self.crashes.entry(place).or_default();
            crashes.noticed(run, crashed, was_stable(&seen.container), now);
            ended.push(seen);
        }
        let has = |generation: u64| {
            containers
                .iter()
                .any(|c| c.container.generation == generation)
        };
        self.crashes
            .retain(|(generation, _), _| *generation == situation.release || has(*generation));
        ended
    }

    /// Remembers that a container was started.
    pub fn started(&mut self, situation: &Situation<'_>, container: &str) {
        let mut containers = situation.containers.iter();
        let Some(seen) = containers.find(|seen| seen.id() == container) else {
            return;
        };
        if !situation.is_to_run_until_replaced(seen) {
            self.not_before = None;
        }
        let place = (seen.container.generation, seen.container.replica);
        let (crashed, was_started) = (situation.has_crashed(seen), seen.run().is_some());
        let crashes = self.crashes.entry(place).or_default();
        crashes.total_restarts += u32::from(was_started);
        crashes.restarts = if crashed {
            crashes.restarts.saturating_add(1)
        } else {
            0
        };
    }

    /// When earlier crashes of a program that runs are no longer held against it, if there were any.
    pub(super) fn forgiven_at(&self, container: &Container) -> Option<Instant> {
        let crashes = self.crashes_of(container)?;
        let (_, since) = self.runs.get(&container.id)?;
        crashes.is_held_against_it().then(|| *since + STABLE_AFTER)
    }

    /// Whether the newest run of a container was asked to end.
    #[must_use]
    pub fn was_asked(&self, container: &Container) -> bool {
        self.asked_at(container).is_some()
    }

    /// When it was.
    pub(super) fn asked_at(&self, container: &Container) -> Option<Instant> {
        let (run, at) = self.asked_to_end.get(&container.id)?;
        (*run == container.run()).then_some(*at)
    }

    /// What is remembered of the crashes of a container's program.
    #[must_use]
    pub fn crashes_of(&self, container: &Container) -> Option<&Crashes> {
        self.crashes.get(&(container.generation, container.replica))
    }
}

/// Whether the container's last run was long enough to trust it.
fn was_stable(container: &Container) -> bool {
    match (container.started_at, container.finished_at) {
        (Some(start), Some(end)) => {
            let stable = SignedDuration::try_from(STABLE_AFTER).unwrap_or(SignedDuration::MAX);
            end.duration_since(start) >= stable
        }
        _ => false,
    }
}
