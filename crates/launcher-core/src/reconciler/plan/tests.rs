//! What the plan is in one situation after another.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A container of the first replica.
fn seen(id: &str, release: u64, state: ContainerState, started: i64) -> Seen {
    let container = Container {
        id: id.into(),
        instance: "i".into(),
        image_id: String::new(),
        generation: release,
        replica: 0,
        state,
        started_at: (started > 0).then(|| at(started)),
        finished_at: (state == ContainerState::Exited).then(|| at(started + 1)),
        exit_code: None,
        oom_killed: false,
        host_port: None,
        stop_signal: "SIGTERM".into(),
        created_at: at(1),
    };
    let health = match state {
        ContainerState::Running => Health::Healthy,
        _ => Health::None,
    };
    Seen {
        container,
        health,
        since: Instant::now(),
        inherited: false,
        is_busy: false,
    }
}

fn runs(id: &str, release: u64, started: i64) -> Seen {
    seen(id, release, ContainerState::Running, started)
}

fn exited(id: &str, release: u64, started: i64) -> Seen {
    seen(id, release, ContainerState::Exited, started)
}

fn with_health(seen: Seen, health: Health) -> Seen {
    Seen { health, ..seen }
}

fn replica(seen: Seen, replica: u32) -> Seen {
    let container = Container {
        replica,
        ..seen.container
    };
    Seen { container, ..seen }
}

fn wanted(past: &[&Seen], restart: bool) -> Wanted {
    let past = past.iter().filter_map(|seen| seen.run()).collect();
    Wanted::Running { past, restart }
}

/// What is asked again and again while things change.
struct Case {
    wanted: Wanted,
    release: u64,
    replaces: Option<u64>,
    replaced_runs: bool,
    replicas: u32,
    has_image: bool,
    policy: Policy,
    memory: Memory,
    now: Instant,
}

impl Case {
    fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            release: 0,
            replaces: None,
            replaced_runs: true,
            replicas: 1,
            has_image: true,
            policy: Policy::default(),
            memory: Memory::default(),
            now: Instant::now(),
        }
    }

    fn situation<'a>(&'a self, containers: &'a [Seen]) -> Situation<'a> {
        Situation {
            wanted: &self.wanted,
            release: self.release,
            replaces: self.replaces,
            replaced_runs: self.replaced_runs,
            replicas: self.replicas,
            containers,
            has_image: self.has_image,
            policy: &self.policy,
            memory: &self.memory,
            now: self.now,
        }
    }

    fn plan(&self, containers: &[Seen]) -> Next {
        plan(&self.situation(containers))
    }

    fn notice(&mut self, containers: &[Seen]) {
        let mut memory = self.memory.clone();
        memory.notice(&self.situation(containers));
        self.memory = memory;
    }

    fn start(&mut self, containers: &[Seen], id: &str) {
        let mut memory = self.memory.clone();
        memory.started(&self.situation(containers), id);
        self.memory = memory;
    }

    fn is_carried_out(&self, containers: &[Seen]) -> bool {
        is_carried_out(&self.situation(containers))
    }

    fn routed(&self, containers: &[Seen]) -> Vec<String> {
        let situation = self.situation(containers);
        service(&situation)
            .routed
            .iter()
            .map(|seen| seen.id().to_owned())
            .collect()
    }

    fn ask_to_end(&mut self, seen: &Seen) {
        self.memory
            .asked_to_end
            .insert(seen.id().to_owned(), (seen.run(), self.now));
    }
}

fn step(next: Step) -> Next {
    Next::Do(next)
}

#[test]
fn a_new_instance_is_pulled_created_and_started() {
    let mut case = Case::new(wanted(&[], false));
    case.has_image = false;
    assert_eq!(case.plan(&[]), step(Step::Pull));
    case.has_image = true;
    assert_eq!(case.plan(&[]), step(Step::Create(0)));
    let created = seen("c", 0, ContainerState::Created, 0);
    assert_eq!(
        case.plan(std::slice::from_ref(&created)),
        step(Step::Start("c".into()))
    );
    assert!(!case.is_carried_out(&[created]));
    let running = with_health(runs("c", 0, 5), Health::Starting);
    assert_eq!(case.plan(std::slice::from_ref(&running)), Next::Wait(None));
    assert!(
        case.is_carried_out(std::slice::from_ref(&running)),
        "started, if not ready"
    );
    assert!(case.routed(&[running]).is_empty());
}

#[test]
fn every_replica_gets_a_container_and_loses_it_when_there_are_to_be_fewer() {
    let mut case = Case::new(wanted(&[], false));
    case.replicas = 3;
    let mut all = vec![runs("a", 0, 5)];
    assert_eq!(case.plan(&all), step(Step::Create(1)));
    all.push(replica(runs("b", 0, 6), 1));
    assert_eq!(case.plan(&all), step(Step::Create(2)));
    all.push(replica(runs("c", 0, 7), 2));
    assert_eq!(case.plan(&all), Next::Wait(None));
    assert_eq!(case.routed(&all), ["a", "b", "c"]);

    case.replicas = 2;
    all[2].is_busy = true;
    assert_eq!(case.routed(&all), ["a", "b"]);
    assert!(case.is_carried_out(&all));
    assert_eq!(case.plan(&all), step(Step::Drain("c".into())));
    case.memory.draining.insert("c".into(), case.now);
    let Next::Wait(Some(soon)) = case.plan(&all) else {
        panic!()
    };
    case.now = soon;
    assert!(
        matches!(case.plan(&all), Next::Wait(Some(_))),
        "a request is open"
    );
    all[2].is_busy = false;
    assert_eq!(case.plan(&all), step(Step::AskToEnd("c".into())));
    case.ask_to_end(&all[2]);
    assert_eq!(
        case.plan(&all),
        Next::Wait(Some(case.now + case.policy.grace))
    );
    case.now += case.policy.grace;
    assert_eq!(case.plan(&all), step(Step::Kill("c".into())));
}

#[test]
fn an_exit_that_nobody_asked_for_waits_for_its_backoff() {
    let earlier = runs("c", 0, 4);
    let ended = [exited("c", 0, 5)];
    let mut case = Case::new(wanted(&[&earlier], false));
    let seen = case.now;
    case.notice(&ended);
    case.memory.crashes.get_mut(&(0, 0)).unwrap().restarts = 3;
    case.now += Duration::from_secs(2);
    case.notice(&ended);
    let due = seen + Duration::from_secs(8);
    assert_eq!(case.plan(&ended), Next::Wait(Some(due)));
    case.now = due;
    assert_eq!(case.plan(&ended), step(Step::Start("c".into())));
}

#[test]
fn a_run_that_had_ended_before_the_wish_is_followed_by_another_at_once() {
    let ended = exited("c", 0, 5);
    let case = Case::new(wanted(&[&ended], false));
    assert!(!case.is_carried_out(std::slice::from_ref(&ended)));
    assert_eq!(case.plan(&[ended]), step(Step::Start("c".into())));
}

#[test]
fn a_restart_ends_the_past_run_and_starts_another_at_once() {
    let old = runs("c", 0, 5);
    let case = Case::new(wanted(&[&old], true));
    assert!(!case.is_carried_out(std::slice::from_ref(&old)));
    assert_eq!(case.plan(&[old]), step(Step::AskToEnd("c".into())));
    assert_eq!(
        case.plan(&[exited("c", 0, 5)]),
        step(Step::Start("c".into()))
    );
    // However the engine's clock goes: the run is another one.
    for other in [4, 6] {
        assert_eq!(case.plan(&[runs("c", 0, other)]), Next::Wait(None));
    }
}

#[test]
fn replicas_are_restarted_one_after_another() {
    let (a, b) = (runs("a", 0, 5), replica(runs("b", 0, 5), 1));
    let mut case = Case::new(wanted(&[&a, &b], true));
    case.replicas = 2;
    assert_eq!(
        case.plan(&[a.clone(), b.clone()]),
        step(Step::Drain("a".into()))
    );
    case.memory.draining.insert("a".into(), case.now);
    assert!(matches!(
        case.plan(&[a.clone(), b.clone()]),
        Next::Wait(Some(_))
    ));
    case.now += SHORTEST_DRAIN;
    assert_eq!(
        case.plan(&[a.clone(), b.clone()]),
        step(Step::AskToEnd("a".into()))
    );
    case.ask_to_end(&a);
    case.memory.draining.clear();
    let ended = exited("a", 0, 5);
    assert_eq!(
        case.plan(&[ended, b.clone()]),
        step(Step::Start("a".into()))
    );
    let starts = with_health(runs("a", 0, 6), Health::Starting);
    assert_eq!(
        case.plan(&[starts, b.clone()]),
        Next::Wait(None),
        "b serves alone"
    );
    assert_eq!(
        case.plan(&[runs("a", 0, 6), b]),
        step(Step::Drain("b".into()))
    );
}

#[test]
fn a_program_that_does_not_end_is_killed_after_the_grace_period() {
    let running = [runs("c", 0, 5)];
    let mut case = Case::new(Wanted::Stopped { kill: false });
    assert_eq!(case.plan(&running), step(Step::AskToEnd("c".into())));
    case.ask_to_end(&running[0]);
    case.memory.notice_wish();
    let deadline = case.now + case.policy.grace;
    assert_eq!(
        case.plan(&running),
        Next::Wait(Some(deadline)),
        "also through another wish"
    );
    case.now = deadline;
    assert_eq!(case.plan(&running), step(Step::Kill("c".into())));
    let kill = Case::new(Wanted::Stopped { kill: true });
    assert_eq!(kill.plan(&running), step(Step::Kill("c".into())));
}

#[test]
fn removal_ends_with_forgetting() {
    let case = Case::new(Wanted::Removed);
    assert_eq!(
        case.plan(&[runs("c", 0, 5)]),
        step(Step::Remove("c".into()))
    );
    assert_eq!(case.plan(&[]), Next::Forget);
}

#[test]
fn of_several_containers_in_one_place_the_running_one_stays() {
    let mut newer = seen("newer", 0, ContainerState::Created, 0);
    newer.container.created_at = at(9);
    let case = Case::new(wanted(&[], false));
    assert_eq!(
        case.plan(&[newer, runs("c", 0, 5)]),
        step(Step::Remove("newer".into()))
    );
}

#[test]
fn old_containers_serve_until_the_new_ones_are_ready() {
    let old = runs("old", 0, 5);
    let mut case = Case::new(wanted(&[&old], false));
    (case.release, case.replaces) = (2, Some(0));
    case.has_image = false;
    assert_eq!(case.plan(std::slice::from_ref(&old)), step(Step::Pull));
    case.has_image = true;
    assert_eq!(case.plan(std::slice::from_ref(&old)), step(Step::Create(0)));
    let starts = with_health(runs("new", 2, 6), Health::Starting);
    let both = [old.clone(), starts];
    assert_eq!(case.plan(&both), Next::Wait(None));
    assert_eq!(case.routed(&both), ["old"]);
    assert!(!case.is_carried_out(&both));

    let both = [old, runs("new", 2, 6)];
    assert_eq!(case.plan(&both), step(Step::Switch));
    assert_eq!(case.routed(&both), ["old"], "not before the switch");
    case.memory.switched = Some(2);
    assert_eq!(case.routed(&both), ["new"]);
    assert!(case.is_carried_out(&both), "visitors have the new one");
    assert_eq!(case.plan(&both), Next::Wait(None), "for the record of it");
    case.replaces = None;
    assert_eq!(case.plan(&both), step(Step::Drain("old".into())));
    case.memory.draining.insert("old".into(), case.now);
    case.now += SHORTEST_DRAIN;
    assert_eq!(case.plan(&both), step(Step::AskToEnd("old".into())));
    // The last one that ended can still be read.
    let ended = [exited("old", 0, 5), runs("new", 2, 6)];
    assert_eq!(case.plan(&ended), Next::Wait(None));
    let two = [
        exited("older", 0, 4),
        replica(exited("old", 0, 5), 1),
        runs("new", 2, 6),
    ];
    assert_eq!(case.plan(&two), step(Step::Remove("older".into())));
}

#[test]
fn what_served_before_leaves_also_while_another_release_is_on_its_way() {
    let starts = with_health(runs("new", 3, 7), Health::Starting);
    let all = [runs("oldest", 1, 5), runs("old", 2, 6), starts];
    let mut case = Case::new(wanted(&[], false));
    (case.release, case.replaces) = (3, Some(2));
    assert_eq!(case.plan(&all), step(Step::Drain("oldest".into())));
    case.memory.draining.insert("oldest".into(), case.now);
    let end = case.now + SHORTEST_DRAIN;
    assert_eq!(case.plan(&all), Next::Wait(Some(end)));
    assert_eq!(case.routed(&all), ["old"]);

    // A newer wish does not make it wait any longer.
    case.memory.notice_wish();
    case.notice(&all);
    case.now = end;
    assert_eq!(case.plan(&all), step(Step::AskToEnd("oldest".into())));
}

#[test]
fn a_replica_that_was_to_go_stays_when_it_is_wanted_again() {
    let all = [runs("first", 0, 5), replica(runs("second", 0, 5), 1)];
    let mut case = Case::new(wanted(&[], false));
    assert_eq!(case.plan(&all), step(Step::Drain("second".into())));
    case.memory.draining.insert("second".into(), case.now);
    case.replicas = 2;
    case.memory.notice_wish();
    case.notice(&all);
    assert_eq!(case.routed(&all), ["first", "second"]);
    assert_eq!(case.plan(&all), Next::Wait(None));
}

#[test]
fn a_new_launcher_knows_which_release_had_taken_the_place_of_the_other() {
    let inherited = |seen: Seen| Seen {
        inherited: true,
        ..with_health(seen, Health::Starting)
    };
    let both = [inherited(runs("old", 0, 5)), inherited(runs("new", 2, 6))];
    let mut case = Case::new(wanted(&[], false));
    (case.release, case.replaces) = (2, Some(0));
    assert_eq!(case.routed(&both), ["old"], "it had not been recorded");
    case.replaces = None;
    assert_eq!(case.routed(&both), ["new"]);
    assert_eq!(case.plan(&both), step(Step::Drain("old".into())));
    let [old, new] = both;
    let ended = [old.clone(), exited("new", 2, 6)];
    assert_eq!(
        case.routed(&ended),
        ["old"],
        "as long as nothing better runs"
    );
    let silent = [
        old,
        with_health(
            Seen {
                inherited: false,
                ..new
            },
            Health::Unhealthy,
        ),
    ];
    assert_eq!(case.routed(&silent), ["old"]);
}

#[test]
fn what_is_not_probed_has_to_run_for_a_while() {
    let old = runs("old", 0, 5);
    let mut case = Case::new(wanted(&[&old], false));
    (case.release, case.replaces) = (2, Some(0));
    let both = [old, with_health(runs("new", 2, 6), Health::None)];
    case.notice(&both);
    assert_eq!(case.plan(&both), Next::Wait(Some(case.now + SETTLING)));
    case.now += SETTLING;
    assert_eq!(case.plan(&both), step(Step::Switch));
}

#[test]
fn a_release_that_does_not_get_ready_is_told_of_once_and_replaces_nothing() {
    let old = runs("old", 0, 5);
    let mut case = Case::new(wanted(&[&old], false));
    (case.release, case.replaces) = (2, Some(0));
    let sick = [old, with_health(runs("new", 2, 6), Health::Unhealthy)];
    assert_eq!(
        case.plan(&sick),
        Next::Fail(Problem::NotReady("new".into()))
    );
    case.memory.told = Some(2);
    assert!(matches!(case.plan(&sick), Next::Wait(_)));
    assert_eq!(case.routed(&sick), ["old"]);
    // It is wanted no more.
    (case.release, case.replaces) = (0, None);
    assert_eq!(case.plan(&sick), step(Step::Remove("new".into())));
}

#[test]
fn a_new_program_may_end_twice_but_not_three_times() {
    let old = runs("old", 0, 5);
    let mut case = Case::new(wanted(&[&old], false));
    (case.release, case.replaces) = (2, Some(0));
    for exit in 0..3 {
        let both = [old.clone(), exited("new", 2, 6 + exit)];
        case.notice(&both);
        match (exit, case.plan(&both)) {
            (2, next) => assert_eq!(next, Next::Fail(Problem::Exits("new".into()))),
            (_, Next::Wait(Some(due))) => case.now = due,
            (_, other) => panic!("{other:?}"),
        }
        if exit < 2 {
            assert_eq!(case.plan(&both), step(Step::Start("new".into())));
            case.start(&both, "new");
        }
    }
}

#[test]
fn what_is_to_be_replaced_is_started_again_until_it_is() {
    let old = runs("old", 0, 5);
    let mut case = Case::new(wanted(&[&old], false));
    (case.release, case.replaces) = (2, Some(0));
    case.policy.most_restarts = 3;
    let starting = with_health(runs("new", 2, 6), Health::Starting);
    let both = [exited("old", 0, 5), starting];
    case.notice(&both);
    let due = case.now + FIRST_BACKOFF;
    assert_eq!(case.plan(&both), Next::Wait(Some(due)));
    let shown = |case: &Case, all: &[Seen]| service(&case.situation(all)).release;
    assert_eq!(shown(&case, &both), 0, "that is what is to serve");
    assert_eq!(
        keep_replaced(&case.situation(&both)),
        Next::Wait(Some(due)),
        "while an image is pulled"
    );
    case.now = due;
    assert_eq!(case.plan(&both), step(Step::Start("old".into())));
    case.memory.not_before = Some(due + LONGEST_BACKOFF);
    case.start(&both, "old");
    assert!(
        case.memory.not_before.is_some(),
        "that is about the new one"
    );
    case.memory.not_before = None;

    case.replaced_runs = false;
    assert_eq!(case.plan(&both), Next::Wait(None), "it was stopped");
    case.replaced_runs = true;
    let ready = [exited("old", 0, 5), runs("new", 2, 6)];
    assert_eq!(case.plan(&ready), Next::Wait(None), "it is replaced");
    assert_eq!(shown(&case, &ready), 2);
    assert!(case.is_carried_out(&ready));

    let [_, starting] = both;
    for crash in 0..3 {
        let again = [exited("old", 0, 7 + crash), starting.clone()];
        case.notice(&again);
        case.now += LONGEST_BACKOFF;
        match crash {
            2 => assert_eq!(case.plan(&again), Next::Wait(None), "often enough"),
            _ => assert_eq!(case.plan(&again), step(Step::Start("old".into()))),
        }
        case.start(&again, "old");
    }
}

#[test]
fn a_release_on_its_way_is_taken_back_and_not_given_up() {
    let mut case = Case::new(wanted(&[], false));
    (case.release, case.replaces) = (2, Some(0));
    case.replaced_runs = false;
    case.policy.most_restarts = 1;
    for exit in 0..3 {
        let new = [exited("new", 2, 6 + exit)];
        case.notice(&new);
        case.now += LONGEST_BACKOFF;
        match exit {
            2 => assert!(matches!(case.plan(&new), Next::Fail(_))),
            _ => assert_eq!(case.plan(&new), step(Step::Start("new".into()))),
        }
        case.start(&new, "new");
    }
}

#[test]
fn a_release_that_was_overtaken_before_it_served_is_removed() {
    let old = runs("old", 0, 5);
    let mut case = Case::new(wanted(&[&old], false));
    (case.release, case.replaces) = (3, Some(0));
    let all = [
        old,
        with_health(runs("second", 2, 6), Health::Starting),
        runs("third", 3, 7),
    ];
    assert_eq!(case.routed(&all), ["old"]);
    assert_eq!(case.plan(&all), step(Step::Remove("second".into())));
}

#[test]
fn a_stopped_instance_keeps_its_containers_until_it_is_started() {
    let old = exited("old", 0, 5);
    let mut case = Case::new(Wanted::Stopped { kill: false });
    case.release = 2;
    assert_eq!(case.plan(std::slice::from_ref(&old)), Next::Wait(None));
    case.wanted = wanted(&[&old], false);
    assert_eq!(case.plan(&[old]), step(Step::Create(0)));
}

#[test]
fn what_fails_to_answer_is_out_of_the_route_while_another_answers() {
    let case = Case {
        replicas: 2,
        ..Case::new(wanted(&[], false))
    };
    let sick = |id, replica_number| {
        replica(
            with_health(runs(id, 0, 5), Health::Unhealthy),
            replica_number,
        )
    };
    assert_eq!(
        case.routed(&[sick("a", 0), replica(runs("b", 0, 5), 1)]),
        ["b"]
    );
    assert_eq!(
        case.routed(&[sick("a", 0), sick("b", 1)]),
        ["a", "b"],
        "better than nothing"
    );
}

#[test]
fn what_fails_to_answer_for_long_is_restarted() {
    let mut case = Case::new(wanted(&[], false));
    let sick = with_health(runs("c", 0, 5), Health::Unhealthy);
    let due = sick.since + Duration::from_secs(300);
    case.policy.restart_after = Some(Duration::from_secs(300));
    assert_eq!(
        case.plan(std::slice::from_ref(&sick)),
        Next::Wait(Some(due))
    );
    case.now = due;
    assert_eq!(
        case.plan(std::slice::from_ref(&sick)),
        step(Step::AskToEnd("c".into()))
    );
    case.ask_to_end(&sick);
    let ended = [exited("c", 0, 5)];
    case.notice(&ended);
    assert_eq!(
        case.plan(&ended),
        step(Step::Start("c".into())),
        "that is no crash"
    );
    case.policy.restart_after = None;
    case.memory = Memory::default();
    assert_eq!(case.plan(&[sick]), Next::Wait(None));
}

#[test]
fn five_crashes_in_five_minutes_are_a_loop_until_the_program_is_stable() {
    let mut case = Case::new(wanted(&[], false));
    let is_loop = |case: &Case| case.memory.crashes[&(0, 0)].is_loop;
    for crash in 0..5 {
        let ended = [exited("c", 0, 10 + crash)];
        case.notice(&ended);
        assert_eq!(is_loop(&case), crash == 4, "{crash}");
        case.start(&ended, "c");
        case.now += Duration::from_secs(40);
    }
    // It runs for ten minutes, whether it ends then or goes on.
    let mut goes_on = Case::new(wanted(&[], false));
    (goes_on.memory, goes_on.now) = (case.memory.clone(), case.now);
    let running = [runs("c", 0, 100)];
    goes_on.notice(&running);
    let due = goes_on.now + STABLE_AFTER;
    assert_eq!(goes_on.plan(&running), Next::Wait(Some(due)));
    assert!(is_loop(&goes_on));
    goes_on.now = due;
    goes_on.notice(&running);
    assert!(!is_loop(&goes_on));
    assert_eq!(goes_on.plan(&running), Next::Wait(None));

    let mut stable = exited("c", 0, 100);
    stable.container.finished_at = Some(at(100 + 601));
    case.notice(&[stable]);
    assert!(!is_loop(&case));
    assert_eq!(case.memory.crashes[&(0, 0)].total_restarts, 5);
}

#[test]
fn crashes_that_are_far_apart_are_no_loop() {
    let mut case = Case::new(wanted(&[], false));
    for crash in 0..20 {
        let ended = [exited("c", 0, 10 + crash)];
        case.notice(&ended);
        assert!(!case.memory.crashes[&(0, 0)].is_loop);
        case.now += Duration::from_secs(80);
    }
}

#[test]
fn an_instance_is_given_up_after_a_number_of_restarts() {
    let mut case = Case::new(wanted(&[], false));
    case.policy.most_restarts = 2;
    for crash in 0..3 {
        let ended = [exited("c", 0, 10 + crash)];
        case.notice(&ended);
        case.now += LONGEST_BACKOFF;
        match crash {
            2 => assert_eq!(case.plan(&ended), Next::GiveUp(0)),
            _ => assert_eq!(case.plan(&ended), step(Step::Start("c".into()))),
        }
        case.start(&ended, "c");
    }
}

#[test]
fn backoff_doubles_up_to_a_minute() {
    let seconds: Vec<u64> = (0..8).map(|n| backoff(n).as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(backoff(u32::MAX), LONGEST_BACKOFF);
}
