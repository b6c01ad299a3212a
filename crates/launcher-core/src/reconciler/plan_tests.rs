//! What the plan is in one situation after another.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::plan::*;
use crate::{
    Wanted,
    app_instance::Run,
    engine::{Container, ContainerState},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn container(state: ContainerState, started: i64) -> Container {
    Container {
        id: "c".into(),
        instance: "i".into(),
        image_id: String::new(),
        generation: 0,
        state,
        started_at: (started > 0).then(|| at(started)),
        finished_at: (state == ContainerState::Exited).then(|| at(started + 1)),
        exit_code: None,
        host_port: None,
        stop_signal: "SIGTERM".into(),
        created_at: at(1),
    }
}

fn run(started: i64) -> Option<Run> {
    container(ContainerState::Running, started).run()
}

fn wanted(past: Option<Run>, restart: bool) -> Wanted {
    Wanted::Running { past, restart }
}

fn next(wanted: &Wanted, containers: &[Container]) -> Next {
    plan(
        wanted,
        0,
        containers,
        true,
        &Memory::default(),
        Instant::now(),
    )
}

#[test]
fn a_new_instance_is_pulled_created_and_started() {
    let (wish, memory) = (wanted(None, false), Memory::default());
    assert_eq!(
        plan(&wish, 0, &[], false, &memory, Instant::now()),
        Next::Do(Step::Pull)
    );
    assert_eq!(next(&wish, &[]), Next::Do(Step::Create));
    let created = container(ContainerState::Created, 0);
    assert_eq!(next(&wish, &[created]), Next::Do(Step::Start("c".into())));
    assert_eq!(
        next(&wish, &[container(ContainerState::Running, 5)]),
        Next::Wait(None)
    );
}

#[test]
fn an_exit_that_nobody_asked_for_waits_for_its_backoff() {
    let ended = [container(ContainerState::Exited, 5)];
    let (wish, seen) = (wanted(run(4), false), Instant::now());
    let mut memory = Memory {
        restarts: 3,
        ..Memory::default()
    };
    memory.notice(&ended, seen);
    memory.notice(&ended, seen + Duration::from_secs(2));
    let due = seen + Duration::from_secs(8);
    assert_eq!(
        plan(&wish, 0, &ended, true, &memory, seen),
        Next::Wait(Some(due))
    );
    assert_eq!(
        plan(&wish, 0, &ended, true, &memory, due),
        Next::Do(Step::Start("c".into()))
    );
}

#[test]
fn a_run_that_had_ended_before_the_wish_is_followed_by_another_at_once() {
    let ended = container(ContainerState::Exited, 5);
    assert_eq!(
        next(&wanted(run(5), false), &[ended]),
        Next::Do(Step::Start("c".into()))
    );
}

#[test]
fn a_restart_ends_the_past_run_and_starts_another_at_once() {
    let wish = wanted(run(5), true);
    let old = container(ContainerState::Running, 5);
    assert_eq!(next(&wish, &[old]), Next::Do(Step::AskToEnd("c".into())));
    let ended = container(ContainerState::Exited, 5);
    assert_eq!(next(&wish, &[ended]), Next::Do(Step::Start("c".into())));
    // However the engine's clock goes: the run is another one.
    for other in [4, 6] {
        let new = container(ContainerState::Running, other);
        assert_eq!(next(&wish, &[new]), Next::Wait(None));
    }
}

#[test]
fn a_program_that_does_not_end_is_killed_after_the_grace_period() {
    let wish = Wanted::Stopped { kill: false };
    let runs = [container(ContainerState::Running, 5)];
    let asked = Instant::now();
    let mut memory = Memory {
        asked_to_end: Some(("c".into(), asked)),
        ..Memory::default()
    };
    memory.notice_wish();
    let waits = plan(
        &wish,
        0,
        &runs,
        true,
        &memory,
        asked + Duration::from_secs(1),
    );
    assert_eq!(
        waits,
        Next::Wait(Some(asked + GRACE)),
        "also through another wish to stop"
    );
    let late = plan(&wish, 0, &runs, true, &memory, asked + GRACE);
    assert_eq!(late, Next::Do(Step::Kill("c".into())));
    let kill = Wanted::Stopped { kill: true };
    assert_eq!(next(&kill, &runs), Next::Do(Step::Kill("c".into())));
}

#[test]
fn removal_ends_with_forgetting() {
    let runs = container(ContainerState::Running, 5);
    assert_eq!(
        next(&Wanted::Removed, &[runs]),
        Next::Do(Step::Remove("c".into()))
    );
    assert_eq!(next(&Wanted::Removed, &[]), Next::Forget);
}

#[test]
fn of_several_containers_the_running_one_stays() {
    let runs = container(ContainerState::Running, 5);
    let newer = Container {
        id: "newer".into(),
        created_at: at(9),
        ..container(ContainerState::Created, 0)
    };
    let step = next(&wanted(None, false), &[newer, runs]);
    assert_eq!(step, Next::Do(Step::Remove("newer".into())));
}

fn renewed(containers: &[Container], memory: &Memory, now: Instant) -> Next {
    plan(&wanted(run(5), false), 2, containers, true, memory, now)
}

#[test]
fn an_old_container_goes_on_until_the_new_one_runs() {
    let (mut memory, now) = (Memory::default(), Instant::now());
    let next = |containers: &[Container]| renewed(containers, &Memory::default(), now);
    let old = container(ContainerState::Running, 5);
    let new = |state, started| Container {
        id: "new".into(),
        generation: 2,
        ..container(state, started)
    };
    let pull = plan(
        &wanted(run(5), false),
        2,
        std::slice::from_ref(&old),
        false,
        &memory,
        now,
    );
    assert_eq!(pull, Next::Do(Step::Pull));
    assert_eq!(next(std::slice::from_ref(&old)), Next::Do(Step::Create));
    let created = new(ContainerState::Created, 0);
    assert_eq!(
        next(&[old.clone(), created]),
        Next::Do(Step::Start("new".into()))
    );
    let runs = new(ContainerState::Running, 6);
    let both = [old, runs.clone()];
    memory.notice(&both, now);
    let settled = now + SETTLING;
    assert_eq!(renewed(&both, &memory, now), Next::Wait(Some(settled)));
    assert_eq!(serving(2, &both, &memory).unwrap().id, "c");
    let ask = Next::Do(Step::AskToEnd("c".into()));
    assert_eq!(renewed(&both, &memory, settled), ask);
    memory.asked_to_end = Some(("c".into(), settled));
    assert_eq!(serving(2, &both, &memory).unwrap().id, "new");
    let ended = container(ContainerState::Exited, 5);
    assert_eq!(
        next(&[ended, runs.clone()]),
        Next::Do(Step::Remove("c".into()))
    );
    assert_eq!(next(&[runs]), Next::Wait(None));
}

#[test]
fn a_new_container_that_ends_at_once_is_told_of_and_replaces_nothing() {
    let now = Instant::now();
    let old = container(ContainerState::Running, 5);
    let new = Container {
        id: "new".into(),
        generation: 2,
        ..container(ContainerState::Exited, 6)
    };
    let failed = new.run().unwrap();
    let both = [old, new];
    let mut memory = Memory::default();
    assert_eq!(renewed(&both, &memory, now), Next::Tell(failed.clone()));
    memory.told = Some(failed);
    memory.not_before = Some(now + FIRST_BACKOFF);
    assert_eq!(renewed(&both, &memory, now), Next::Wait(memory.not_before));
    let later = renewed(&both, &memory, now + FIRST_BACKOFF);
    assert_eq!(later, Next::Do(Step::Start("new".into())));
}

#[test]
fn a_stopped_instance_keeps_its_old_container_until_it_is_started() {
    let old = container(ContainerState::Exited, 5);
    let stopped = Wanted::Stopped { kill: false };
    let memory = Memory::default();
    let next = |wanted| {
        plan(
            wanted,
            2,
            std::slice::from_ref(&old),
            true,
            &memory,
            Instant::now(),
        )
    };
    assert_eq!(next(&stopped), Next::Wait(None));
    assert_eq!(next(&wanted(run(5), false)), Next::Do(Step::Create));
}

#[test]
fn backoff_doubles_up_to_a_minute() {
    let seconds: Vec<u64> = (0..8).map(|n| backoff(n).as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(backoff(u32::MAX), LONGEST_BACKOFF);
}
