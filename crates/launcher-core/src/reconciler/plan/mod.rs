//! What to do next for one app instance: a pure function of what is wanted and what is the case.
//!
//! An instance has one container for each replica of its release. While a release takes the place of
//! another, the containers of both exist: the old ones serve until all the new ones are ready.

mod memory;
#[cfg(test)]
mod properties;
mod replaced;
mod rollout;
mod service;
mod slots;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::{
    Wanted,
    app_instance::Run,
    engine::{Container, ContainerState},
    health::Health,
};

pub use memory::{Crashes, Memory};
pub use replaced::keep_replaced;
pub use rollout::{MOST_EXITS, Problem};
pub use service::{Service, service};

/// Wait before the first restart after an exit that nobody asked for; doubles with each.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Longest wait before a restart.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// A program that ran for so long before it ended starts over with the first backoff.
pub const STABLE_AFTER: Duration = Duration::from_secs(10 * 60);
/// What is not probed has to run for so long before it takes the place of something else.
pub const SETTLING: Duration = Duration::from_secs(3);
/// Requests that have just been given to a container are not counted yet.
pub const SHORTEST_DRAIN: Duration = Duration::from_millis(250);

/// What is known of an instance when it is decided what to do next.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What should be the case.
    pub wanted: &'a Wanted,
    /// The number of the release that is wanted. Containers of earlier ones are replaced by its own,
    /// those of later ones, which have failed, are removed.
    pub release: u64,
    /// While it takes the place of another: the number of that one.
    pub replaces: Option<u64>,
    /// Whether the containers of that one run until then. Those of a stopped instance do not.
    pub replaced_runs: bool,
    /// How many containers should run.
    pub replicas: u32,
    /// The instance's containers.
    pub containers: &'a [Seen],
    /// Whether the engine has the release's image. Matters only when a container has to be made.
    pub has_image: bool,
    /// Durations and limits.
    pub policy: &'a Policy,
    /// What the worker remembers.
    pub memory: &'a Memory,
    /// The time.
    pub now: Instant,
}

/// A container, and what is known of it beside what the engine tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// As the engine reports it.
    pub container: Container,
    /// Whether its app answers.
    pub health: Health,
    /// Since when.
    pub since: Instant,
    /// Whether it served before this launcher began to look at it, and has not failed to answer since.
    pub inherited: bool,
    /// Whether visitors have something open there: requests, WebSockets, SockJS sessions.
    pub is_busy: bool,
}

/// How patient the plan is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    /// How long a program may take to end after it was asked to, before it is killed.
    pub grace: Duration,
    /// How long open requests may keep a container from being asked to end.
    pub drain: Duration,
    /// A program that is unhealthy for so long is ended and started again. `None`: never.
    pub restart_after: Option<Duration>,
    /// After so many restarts without a stable run in between the instance is stopped. 0: never.
    pub most_restarts: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            restart_after: Some(Duration::from_secs(5 * 60)),
            most_restarts: 100,
        }
    }
}

/// What to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// Take this step, then look again.
    Do(Step),
    /// All is as wanted, or must wait; look again when something happens, at the latest at this
    /// time.
    Wait(Option<Instant>),
    /// The new release cannot take the place of the old one. Tell so, once.
    Fail(Problem),
    /// The program of this replica has crashed too often: want the instance stopped.
    GiveUp(u32),
    /// Nothing is left but the record: delete it.
    Forget,
}

/// Something that is done. Each may be repeated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Get the image.
    Pull,
    /// Make the container of this replica.
    Create(u32),
    /// Start this container.
    Start(String),
    /// All containers of the release are ready: requests go to them from now on.
    Switch,
    /// No new requests go to this container from now on.
    Drain(String),
    /// Ask this container's program to end.
    AskToEnd(String),
    /// Kill this container's program.
    Kill(String),
    /// Remove this container, running or not.
    Remove(String),
}

/// Decides.
#[must_use]
pub fn plan(situation: &Situation<'_>) -> Next {
    let s = situation;
    match s.wanted {
        Wanted::Removed => match s.containers.first() {
            None => Next::Forget,
            Some(seen) => Next::Do(Step::Remove(seen.id().to_owned())),
        },
        _ if useless(s).is_some() => {
            Next::Do(Step::Remove(useless(s).unwrap_or_default().to_owned()))
        }
        Wanted::Stopped { kill } => stopped(s, *kill),
        Wanted::Running { .. } => running(s),
    }
}

/// Whether the wish has been carried out, so that its caller can go on. A program that ends right after
/// its start was started all the same.
#[must_use]
pub fn is_carried_out(situation: &Situation<'_>) -> bool {
    let s = situation;
    match s.wanted {
        Wanted::Removed => false,
        Wanted::Stopped { .. } => !s.containers.iter().any(Seen::is_running),
        Wanted::Running { restart, .. } => {
            let was_started = |replica| {
                let seen = s.slot(replica)?;
                let is_past = s.is_past(seen);
                let runs = seen.is_running() && !(is_past && *restart);
                (seen.container.started_at.is_some() && (runs || !is_past)).then_some(())
            };
            let is_ready = s.replaces.is_none() || rollout::is_ready(s);
            let all_started = (0..s.replicas).all(|replica| was_started(replica).is_some());
            all_started && is_ready && !rollout::is_pending(s)
        }
    }
}

/// The wait after `attempts` earlier ones: 1 s, 2 s, 4 s, … 60 s.
#[must_use]
pub fn backoff(attempts: u32) -> Duration {
    FIRST_BACKOFF
        .saturating_mul(1 << attempts.min(10))
        .min(LONGEST_BACKOFF)
}

fn stopped(s: &Situation<'_>, kill: bool) -> Next {
    let running = s.containers.iter().filter(|seen| seen.is_running());
    match soonest(running.map(|seen| end(s, seen, kill))) {
        Next::Wait(None) => remove_retired(s).unwrap_or(Next::Wait(None)),
        next => next,
    }
}

fn running(s: &Situation<'_>) -> Next {
    if let Some(problem) = rollout::problem(s) {
        return Next::Fail(problem);
    }
    let kept = keep_replaced(s);
    if !matches!(kept, Next::Wait(_)) {
        return kept;
    }
    let slots = soonest((0..s.replicas).map(|replica| slots::keep(s, replica)));
    if !matches!(slots, Next::Wait(_)) {
        return slots;
    }
    let switch = rollout::switch(s);
    // Not before it is recorded that the new release serves: the next launcher would take what is
    // just ending for what does. What served before the one that it replaces may go meanwhile.
    let is_awaited = switch.is_some() || s.replaces.is_some();
    let serving = service::serving_release(s);
    let needed_from = s.replaces.map_or(serving, |from| from.min(serving));
    let may_go = |seen: &Seen| !is_awaited || seen.container.generation < needed_from;
    let retired = s.containers.iter().filter(|seen| s.is_to_retire(seen));
    let rest = soonest(
        retired
            .filter(|seen| may_go(seen))
            .map(|seen| retire(s, seen)),
    );
    match soonest([kept, slots].into_iter().chain(switch).chain([rest])) {
        Next::Wait(until) if !is_awaited => remove_retired(s).unwrap_or(Next::Wait(until)),
        next => next,
    }
}

/// A container that has no place: one that the engine failed to remove, one of a release that was
/// taken back or overtaken, and all but one of those in the same place.
fn useless<'a>(s: &Situation<'a>) -> Option<&'a str> {
    let is_useless = |seen: &&Seen| {
        let has_place = |other: &Seen| other.place() == seen.place() && other.rank() > seen.rank();
        seen.container.state == ContainerState::Removing
            || seen.container.generation > s.release
            || s.was_overtaken(seen)
            || s.containers.iter().any(has_place)
    };
    s.containers.iter().find(is_useless).map(Seen::id)
}

/// Takes a running container out of service: first no requests, then no program.
fn retire(s: &Situation<'_>, seen: &Seen) -> Next {
    if s.memory.was_asked(&seen.container) {
        return end(s, seen, false);
    }
    let Some(since) = s.memory.draining.get(seen.id()) else {
        return Next::Do(Step::Drain(seen.id().to_owned()));
    };
    let (shortest, longest) = (*since + SHORTEST_DRAIN, *since + s.policy.drain);
    match s.now {
        now if now >= longest.max(shortest) => end(s, seen, false),
        now if now >= shortest && !seen.is_busy => end(s, seen, false),
        now => Next::Wait(Some(longest.min(now + SHORTEST_DRAIN).max(shortest))),
    }
}

fn end(s: &Situation<'_>, seen: &Seen, kill: bool) -> Next {
    let id = seen.id().to_owned();
    if kill {
        return Next::Do(Step::Kill(id));
    }
    match s
        .memory
        .asked_at(&seen.container)
        .map(|at| at + s.policy.grace)
    {
        None => Next::Do(Step::AskToEnd(id)),
        Some(deadline) if deadline > s.now => Next::Wait(Some(deadline)),
        Some(_) => Next::Do(Step::Kill(id)),
    }
}

/// Containers whose programs have ended and will not be started again; the last of them stays, so
/// that what it said can be read.
fn remove_retired(s: &Situation<'_>) -> Option<Next> {
    let kept = s.kept_release();
    let retired = |seen: &&Seen| !seen.is_running() && !s.is_kept(seen, kept);
    let last = s.containers.iter().filter(retired).max_by_key(|seen| {
        (
            seen.container.finished_at,
            seen.container.generation,
            seen.id(),
        )
    });
    let mut others = s.containers.iter().filter(retired);
    let surplus = others.find(|seen| Some(*seen) != last || seen.container.started_at.is_none())?;
    Some(Next::Do(Step::Remove(surplus.id().to_owned())))
}

/// The first thing to do; if all wait, the shortest wait.
fn soonest(all: impl Iterator<Item = Next>) -> Next {
    let mut until: Option<Instant> = None;
    for next in all {
        match next {
            Next::Wait(None) => {}
            Next::Wait(Some(time)) => until = Some(until.map_or(time, |until| until.min(time))),
            next => return next,
        }
    }
    Next::Wait(until)
}

impl Seen {
    pub(crate) fn id(&self) -> &str {
        &self.container.id
    }

    pub(crate) fn is_running(&self) -> bool {
        self.container.state == ContainerState::Running
    }

    pub(crate) fn run(&self) -> Option<Run> {
        self.container.run()
    }

    fn place(&self) -> (u64, u32) {
        (self.container.generation, self.container.replica)
    }

    /// Of several in the same place the one that runs stays, of those the newest.
    fn rank(&self) -> (bool, jiff::Timestamp, &str) {
        (self.is_running(), self.container.created_at, self.id())
    }
}

impl<'a> Situation<'a> {
    /// The wanted release's container of a replica.
    fn slot(&self, replica: u32) -> Option<&'a Seen> {
        let place = (self.release, replica);
        self.containers.iter().find(|seen| seen.place() == place)
    }

    /// Whether its newest run was known when the instance was last wished to run. Its end is no crash.
    fn is_past(&self, seen: &Seen) -> bool {
        let Wanted::Running { past, .. } = self.wanted else {
            return false;
        };
        seen.run().is_some_and(|run| past.contains(&run))
    }

    /// Whether its program has ended although nobody wanted that.
    pub(crate) fn has_crashed(&self, seen: &Seen) -> bool {
        let ended = seen.container.state == ContainerState::Exited;
        let is_past = self.is_past(seen) && !self.is_to_run_until_replaced(seen);
        let asked = self.memory.was_asked(&seen.container) || is_past;
        ended && !asked && matches!(self.wanted, Wanted::Running { .. })
    }

    /// Runs, but is not to run any more.
    fn is_to_retire(&self, seen: &Seen) -> bool {
        seen.is_running() && !self.is_wanted(seen)
    }

    /// Runs, and is to go on running: it is neither of another release nor to be restarted.
    fn is_to_stay(&self, seen: &Seen) -> bool {
        let Wanted::Running { restart, .. } = self.wanted else {
            return false;
        };
        self.is_wanted(seen) && !(*restart && self.is_past(seen))
    }

    fn is_wanted(&self, seen: &Seen) -> bool {
        seen.container.generation == self.release && seen.container.replica < self.replicas
    }

    /// Whether it is of a release that never served, because another one came after it while an earlier
    /// one went on.
    fn was_overtaken(&self, seen: &Seen) -> bool {
        let (number, memory) = (seen.container.generation, self.memory);
        let serves = |other: &Seen| {
            let leaves =
                memory.was_asked(&other.container) || memory.draining.contains_key(other.id());
            other.is_running() && !leaves
        };
        self.replaces.is_some_and(|from| {
            let mut before = self
                .containers
                .iter()
                .filter(|c| c.container.generation <= from);
            number > from && number < self.release && before.any(serves)
        })
    }

    /// The newest release that has containers: those of a stopped instance stay until they are started or
    /// replaced.
    fn kept_release(&self) -> u64 {
        let releases = self.containers.iter().map(|seen| seen.container.generation);
        releases.max().unwrap_or(self.release)
    }

    fn is_kept(&self, seen: &Seen, release: u64) -> bool {
        seen.container.generation == release && seen.container.replica < self.replicas
    }
}
