//! What to do next for one app instance: a pure function of what is wanted and what is the case.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use crate::{
    Wanted,
    app_instance::Run,
    engine::{Container, ContainerState},
};

/// How long a program may take to end after it was asked to, before it is killed.
pub const GRACE: Duration = Duration::from_secs(10);
/// Wait before the first restart after an exit that nobody asked for; doubles with each.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Longest wait before a restart.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// A program that ran for so long before it ended starts over with the first backoff.
pub const STABLE_AFTER: Duration = Duration::from_secs(10 * 60);

/// A new container has to run for so long before the old one is ended for it.
pub const SETTLING: Duration = Duration::from_secs(3);

/// What the worker remembers between two looks. All of it may be lost: then steps are repeated, and
/// every step can be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// The container whose program was asked to end, and when.
    pub asked_to_end: Option<(String, Instant)>,
    /// The newest run that was seen to go on, and since when.
    pub runs: Option<(Run, Instant)>,
    /// The run of a new container of which was told that it ended before it could replace the old.
    pub told: Option<Run>,
    /// The newest run that was seen to have ended, and when that was first seen.
    pub ended: Option<(Run, Instant)>,
    /// Restarts after exits that nobody asked for, since the program was last stable.
    pub restarts: u32,
    /// Attempts that failed in a row.
    pub failures: u32,
    /// No attempt before this.
    pub not_before: Option<Instant>,
}

impl Memory {
    /// A new wish starts with a clean slate: earlier failures no longer delay it. What was asked of
    /// the program stays asked.
    pub fn notice_wish(&mut self) {
        let (asked_to_end, ended) = (self.asked_to_end.take(), self.ended.take());
        let runs = self.runs.take();
        *self = Self {
            asked_to_end,
            ended,
            runs,
            ..Self::default()
        };
    }

    /// Takes over what a look shows. Returns the container if it shows the end of a run for the first
    /// time.
    pub fn notice<'a>(
        &mut self,
        containers: &'a [Container],
        now: Instant,
    ) -> Option<&'a Container> {
        let container = current(containers);
        self.asked_to_end.take_if(|(asked, _)| {
            let runs = |c: &Container| c.id == *asked && is_running(c);
            !containers.iter().any(runs)
        });
        self.notice_newest_run(containers, now);
        if container.is_some_and(was_stable) {
            self.restarts = 0;
        }
        let ended = container.filter(|c| c.state == ContainerState::Exited)?;
        let (run, known) = (ended.run()?, self.ended.as_ref().map(|(run, _)| run));
        if known == Some(&run) {
            return None;
        }
        self.ended = Some((run, now));
        Some(ended)
    }

    fn notice_newest_run(&mut self, containers: &[Container], now: Instant) {
        let newest = containers.iter().max_by_key(|c| c.generation);
        let run = newest.filter(|c| is_running(c)).and_then(Container::run);
        if run.as_ref() != self.runs.as_ref().map(|(run, _)| run) {
            self.runs = run.map(|run| (run, now));
        }
    }

    fn was_asked(&self, container: &Container) -> bool {
        let asked = self.asked_to_end.as_ref();
        asked.is_some_and(|(asked, _)| *asked == container.id)
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
    /// A new container's program ended before the new container could replace the old one. Tell so;
    /// after that it is started again.
    Tell(Run),
    /// Nothing is left but the record: delete it.
    Forget,
}

/// Something that the engine is asked to do. Each may be repeated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Get the image.
    Pull,
    /// Make a container.
    Create,
    /// Start this container.
    Start(String),
    /// Ask this container's program to end.
    AskToEnd(String),
    /// Kill this container's program.
    Kill(String),
    /// Remove this container, running or not.
    Remove(String),
}

/// Decides. Containers of an earlier generation than this are to be replaced as soon as they are to
/// run. `has_image` matters only when there is no container of the generation.
#[must_use]
pub fn plan(
    wanted: &Wanted,
    generation: u64,
    containers: &[Container],
    has_image: bool,
    memory: &Memory,
    now: Instant,
) -> Next {
    let is_old = |c: &&Container| c.generation < generation;
    let old = newest(containers.iter().filter(is_old));
    if let (Wanted::Running { .. }, Some(old)) = (wanted, old) {
        let new = newest(containers.iter().filter(|c| !is_old(c)));
        let mut surplus = containers.iter().filter(|c| *c != old && Some(*c) != new);
        return match (surplus.next(), new) {
            (Some(surplus), _) => Next::Do(Step::Remove(surplus.id.clone())),
            (None, Some(new)) => replace(old, new, memory, now),
            (None, None) if old.state == ContainerState::Removing => {
                Next::Do(Step::Remove(old.id.clone()))
            }
            (None, None) => make(has_image, memory, now),
        };
    }
    let current = current(containers);
    if let Some(surplus) = containers.iter().find(|c| Some(*c) != current) {
        return Next::Do(Step::Remove(surplus.id.clone()));
    }
    match (wanted, current) {
        (Wanted::Removed, None) => Next::Forget,
        (Wanted::Removed, Some(container)) => Next::Do(Step::Remove(container.id.clone())),
        (Wanted::Stopped { kill }, Some(container)) if is_running(container) => {
            end(container, *kill, memory, now)
        }
        (Wanted::Stopped { .. }, _) => Next::Wait(None),
        (Wanted::Running { .. }, None) => make(has_image, memory, now),
        (Wanted::Running { past, restart }, Some(container)) => {
            let is_past = past.is_some() && container.run() == *past;
            keep_running(container, is_past, *restart, memory, now)
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

/// Whether the program ended although it should have run.
#[must_use]
pub fn ended_unasked(wanted: &Wanted, container: &Container) -> bool {
    match wanted {
        Wanted::Running { past, .. } => {
            container.state == ContainerState::Exited && container.run() != *past
        }
        _ => false,
    }
}

/// Whether the container's last run was long enough to trust it.
#[must_use]
pub fn was_stable(container: &Container) -> bool {
    match (container.started_at, container.finished_at) {
        (Some(start), Some(end)) => end.duration_since(start) >= signed(STABLE_AFTER),
        _ => false,
    }
}

/// The container that counts where there are several: one that runs before one that does not, the
/// newest of those.
#[must_use]
pub fn current(containers: &[Container]) -> Option<&Container> {
    newest(containers.iter())
}

/// The container that requests go to: an old one until it is asked to end.
#[must_use]
pub fn serving<'a>(
    generation: u64,
    containers: &'a [Container],
    memory: &Memory,
) -> Option<&'a Container> {
    let running = || {
        let goes_on = |c: &&Container| is_running(c) && !memory.was_asked(c);
        containers.iter().filter(goes_on)
    };
    newest(running().filter(|c| c.generation < generation))
        .or_else(|| newest(running()))
        .or_else(|| current(containers))
}

fn newest<'a>(containers: impl Iterator<Item = &'a Container>) -> Option<&'a Container> {
    containers.max_by_key(|c| (is_running(c), c.created_at, c.id.as_str()))
}

fn is_running(container: &Container) -> bool {
    container.state == ContainerState::Running
}

/// The old container goes on until the new one runs, so that it is still there when that fails.
fn replace(old: &Container, new: &Container, memory: &Memory, now: Instant) -> Next {
    let told = |run: &Run| memory.told.as_ref() == Some(run);
    match (new.state, new.run()) {
        (ContainerState::Removing, _) => Next::Do(Step::Remove(new.id.clone())),
        (ContainerState::Running, _) if is_running(old) => {
            let runs = memory
                .runs
                .as_ref()
                .filter(|(run, _)| new.run().as_ref() == Some(run));
            match runs.map_or(now, |(_, since)| *since) + SETTLING {
                settled if settled > now && !memory.was_asked(old) => Next::Wait(Some(settled)),
                _ => end(old, false, memory, now),
            }
        }
        (ContainerState::Exited, Some(run)) if is_running(old) && !told(&run) => Next::Tell(run),
        (ContainerState::Exited | ContainerState::Created, _)
            if is_running(old) || new.state == ContainerState::Created =>
        {
            start_at(new, memory.not_before, now)
        }
        _ => Next::Do(Step::Remove(old.id.clone())),
    }
}

fn make(has_image: bool, memory: &Memory, now: Instant) -> Next {
    match memory.not_before {
        Some(time) if time > now => Next::Wait(Some(time)),
        _ if has_image => Next::Do(Step::Create),
        _ => Next::Do(Step::Pull),
    }
}

fn keep_running(
    container: &Container,
    is_past: bool,
    restart: bool,
    memory: &Memory,
    now: Instant,
) -> Next {
    match container.state {
        ContainerState::Running if is_past && restart => end(container, false, memory, now),
        ContainerState::Running => Next::Wait(None),
        ContainerState::Removing => Next::Do(Step::Remove(container.id.clone())),
        ContainerState::Created => start_at(container, memory.not_before, now),
        ContainerState::Exited => {
            let earliest = (!is_past).then(|| restart_time(memory, now));
            start_at(container, earliest.max(memory.not_before), now)
        }
    }
}

/// Counted from when the end was seen, which is never before the end itself.
fn restart_time(memory: &Memory, now: Instant) -> Instant {
    let seen = memory.ended.as_ref().map_or(now, |(_, seen)| *seen);
    seen + backoff(memory.restarts)
}

fn start_at(container: &Container, earliest: Option<Instant>, now: Instant) -> Next {
    match earliest {
        Some(time) if time > now => Next::Wait(Some(time)),
        _ => Next::Do(Step::Start(container.id.clone())),
    }
}

fn end(container: &Container, kill: bool, memory: &Memory, now: Instant) -> Next {
    let id = container.id.clone();
    if kill {
        return Next::Do(Step::Kill(id));
    }
    let asked = memory.asked_to_end.as_ref();
    let asked = asked.filter(|_| memory.was_asked(container));
    match asked.map(|(_, at)| *at + GRACE) {
        None => Next::Do(Step::AskToEnd(id)),
        Some(deadline) if deadline > now => Next::Wait(Some(deadline)),
        Some(_) => Next::Do(Step::Kill(id)),
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
