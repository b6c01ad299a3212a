//! What to do next for one app instance: a pure function of what is wanted and what is the case.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    Wanted,
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

/// What the worker remembers between two looks. All of it may be lost: then steps are repeated, and
/// every step can be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// When the container's program was asked to end.
    pub asked_to_end: Option<Timestamp>,
    /// Restarts after exits that nobody asked for, since the program was last stable.
    pub restarts: u32,
    /// Attempts that failed in a row.
    pub failures: u32,
    /// No attempt before this.
    pub not_before: Option<Timestamp>,
}

/// What to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// Take this step, then look again.
    Do(Step),
    /// All is as wanted, or must wait; look again when something happens, at the latest at this
    /// time.
    Wait(Option<Timestamp>),
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

/// Decides. `has_image` matters only when there is no container.
#[must_use]
pub fn plan(
    wanted: &Wanted,
    containers: &[Container],
    has_image: bool,
    memory: &Memory,
    now: Timestamp,
) -> Next {
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
        (
            Wanted::Running {
                since,
                restart_before,
            },
            Some(container),
        ) => {
            let outdated = restart_before.is_some_and(|t| container.started_at < Some(t));
            keep_running(container, *since, outdated, memory, now)
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
        Wanted::Running {
            since,
            restart_before,
        } => {
            container.state == ContainerState::Exited
                && container.finished_at > Some(*since)
                && restart_before.is_none_or(|t| container.started_at >= Some(t))
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
    containers
        .iter()
        .max_by_key(|c| (is_running(c), c.created_at, c.id.as_str()))
}

fn is_running(container: &Container) -> bool {
    container.state == ContainerState::Running
}

fn make(has_image: bool, memory: &Memory, now: Timestamp) -> Next {
    match memory.not_before {
        Some(time) if time > now => Next::Wait(Some(time)),
        _ if has_image => Next::Do(Step::Create),
        _ => Next::Do(Step::Pull),
    }
}

fn keep_running(
    container: &Container,
    since: Timestamp,
    outdated: bool,
    memory: &Memory,
    now: Timestamp,
) -> Next {
    match container.state {
        ContainerState::Running if outdated => end(container, false, memory, now),
        ContainerState::Running => Next::Wait(None),
        ContainerState::Removing => Next::Do(Step::Remove(container.id.clone())),
        ContainerState::Created => start_at(container, memory.not_before, now),
        ContainerState::Exited => {
            let asked_for = outdated || container.finished_at <= Some(since);
            let earliest = (!asked_for)
                .then(|| restart_time(container, memory))
                .flatten();
            start_at(container, earliest.max(memory.not_before), now)
        }
    }
}

fn restart_time(container: &Container, memory: &Memory) -> Option<Timestamp> {
    container
        .finished_at
        .map(|end| end + signed(backoff(memory.restarts)))
}

fn start_at(container: &Container, earliest: Option<Timestamp>, now: Timestamp) -> Next {
    match earliest {
        Some(time) if time > now => Next::Wait(Some(time)),
        _ => Next::Do(Step::Start(container.id.clone())),
    }
}

fn end(container: &Container, kill: bool, memory: &Memory, now: Timestamp) -> Next {
    let id = container.id.clone();
    if kill {
        return Next::Do(Step::Kill(id));
    }
    match memory.asked_to_end.map(|asked| asked + signed(GRACE)) {
        None => Next::Do(Step::AskToEnd(id)),
        Some(deadline) if deadline > now => Next::Wait(Some(deadline)),
        Some(_) => Next::Do(Step::Kill(id)),
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn container(state: ContainerState, started: i64, finished: i64) -> Container {
        Container {
            id: "c".into(),
            instance: "i".into(),
            state,
            started_at: (started > 0).then(|| at(started)),
            finished_at: (finished > 0).then(|| at(finished)),
            host_port: None,
            stop_signal: "SIGTERM".into(),
            created_at: at(1),
        }
    }

    fn running(since: i64) -> Wanted {
        Wanted::running(at(since))
    }

    fn next(wanted: &Wanted, containers: &[Container]) -> Next {
        plan(wanted, containers, true, &Memory::default(), at(NOW))
    }

    #[test]
    fn a_new_instance_is_pulled_created_and_started() {
        let memory = Memory::default();
        assert_eq!(
            plan(&running(NOW), &[], false, &memory, at(NOW)),
            Next::Do(Step::Pull)
        );
        assert_eq!(next(&running(NOW), &[]), Next::Do(Step::Create));
        let created = container(ContainerState::Created, 0, 0);
        assert_eq!(
            next(&running(NOW), &[created]),
            Next::Do(Step::Start("c".into()))
        );
        let runs = container(ContainerState::Running, NOW, 0);
        assert_eq!(next(&running(NOW), &[runs]), Next::Wait(None));
    }

    #[test]
    fn an_exit_that_nobody_asked_for_waits_for_its_backoff() {
        let ended = container(ContainerState::Exited, NOW - 50, NOW);
        assert_eq!(
            next(&running(NOW - 60), std::slice::from_ref(&ended)),
            Next::Wait(Some(at(NOW + 1)))
        );
        let memory = Memory {
            restarts: 3,
            ..Memory::default()
        };
        let later = plan(&running(NOW - 60), &[ended], true, &memory, at(NOW + 7));
        assert_eq!(later, Next::Wait(Some(at(NOW + 8))));
    }

    #[test]
    fn an_exit_before_the_wish_is_started_at_once() {
        let ended = container(ContainerState::Exited, NOW - 50, NOW - 1);
        assert_eq!(
            next(&running(NOW), &[ended]),
            Next::Do(Step::Start("c".into()))
        );
    }

    #[test]
    fn a_restart_ends_the_old_process_and_starts_a_new_one_at_once() {
        let wanted = Wanted::restarted(at(NOW - 2));
        let old = container(ContainerState::Running, NOW - 50, 0);
        assert_eq!(next(&wanted, &[old]), Next::Do(Step::AskToEnd("c".into())));
        let ended = container(ContainerState::Exited, NOW - 50, NOW - 1);
        assert_eq!(next(&wanted, &[ended]), Next::Do(Step::Start("c".into())));
        let new = container(ContainerState::Running, NOW, 0);
        assert_eq!(next(&wanted, &[new]), Next::Wait(None));
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_after_the_grace_period() {
        let wanted = Wanted::Stopped { kill: false };
        let runs = [container(ContainerState::Running, NOW - 50, 0)];
        let memory = Memory {
            asked_to_end: Some(at(NOW)),
            ..Memory::default()
        };
        let deadline = NOW + GRACE.as_secs() as i64;
        let asked = plan(&wanted, &runs, true, &memory, at(NOW + 1));
        assert_eq!(asked, Next::Wait(Some(at(deadline))));
        let late = plan(&wanted, &runs, true, &memory, at(deadline));
        assert_eq!(late, Next::Do(Step::Kill("c".into())));
        assert_eq!(
            next(&Wanted::Stopped { kill: true }, &runs),
            Next::Do(Step::Kill("c".into())),
        );
    }

    #[test]
    fn removal_ends_with_forgetting() {
        let runs = container(ContainerState::Running, NOW - 50, 0);
        assert_eq!(
            next(&Wanted::Removed, &[runs]),
            Next::Do(Step::Remove("c".into()))
        );
        assert_eq!(next(&Wanted::Removed, &[]), Next::Forget);
    }

    #[test]
    fn of_several_containers_the_running_one_stays() {
        let runs = container(ContainerState::Running, NOW - 50, 0);
        let newer = Container {
            id: "newer".into(),
            created_at: at(NOW),
            ..container(ContainerState::Created, 0, 0)
        };
        let step = next(&running(NOW - 60), &[newer, runs]);
        assert_eq!(step, Next::Do(Step::Remove("newer".into())));
    }

    #[test]
    fn backoff_doubles_up_to_a_minute() {
        let seconds: Vec<u64> = (0..8).map(|n| backoff(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff(u32::MAX), LONGEST_BACKOFF);
    }
}
