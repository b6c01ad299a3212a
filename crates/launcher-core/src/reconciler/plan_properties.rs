//! Applying the plan until nothing is left to do always ends in what was wanted, from any state.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use proptest::prelude::*;

use super::plan::{FIRST_BACKOFF, GRACE, LONGEST_BACKOFF, Memory, Next, Step, plan};
use crate::{
    Wanted,
    engine::{Container, ContainerState},
};

/// More steps than any way from one state to another takes.
const PLENTY: usize = 40;
/// The engine's time when a history begins, in seconds.
const START: i64 = 1_000_000;

/// A machine with one instance on it.
#[derive(Debug)]
struct World {
    wanted: Wanted,
    generation: u64,
    containers: Vec<Container>,
    has_image: bool,
    /// Whether programs end when they are asked to.
    obedient: bool,
    memory: Memory,
    now: Instant,
    /// The engine's clock, which may be wrong and here goes backwards.
    engine_clock: i64,
}

impl World {
    /// Takes one step or waits as the plan says; true when nothing is left to do.
    fn go_on(&mut self) -> bool {
        self.now += Duration::from_millis(1);
        self.memory.notice(&self.containers, self.now);
        match plan(
            &self.wanted,
            self.generation,
            &self.containers,
            self.has_image,
            &self.memory,
            self.now,
        ) {
            Next::Forget | Next::Wait(None) => return true,
            Next::Wait(Some(time)) => {
                let wait = time.duration_since(self.now);
                assert!(
                    !wait.is_zero() && wait <= LONGEST_BACKOFF.max(GRACE),
                    "waits {wait:?}"
                );
                self.now = time;
            }
            Next::Tell(run) => {
                assert_ne!(self.memory.told.as_ref(), Some(&run), "once");
                self.memory.told = Some(run);
                self.memory.not_before = Some(self.now + FIRST_BACKOFF);
            }
            Next::Do(step) => self.take(&step),
        }
        false
    }

    fn take(&mut self, step: &Step) {
        self.keeps_what_runs(step);
        self.engine_clock -= 1;
        let now = Timestamp::from_second(self.engine_clock).unwrap();
        match step {
            Step::Pull => self.has_image = true,
            Step::Create => {
                let fresh = |c: &Container| c.generation >= self.generation;
                assert!(self.has_image && !self.containers.iter().any(fresh));
                let id = format!("new{}", self.engine_clock);
                self.containers.push(Container {
                    generation: self.generation,
                    ..container(&id, ContainerState::Created, None, None)
                });
            }
            Step::Start(id) => {
                let container = self.find(id);
                container.state = ContainerState::Running;
                container.started_at = Some(now);
            }
            Step::AskToEnd(id) if !self.obedient => {
                self.memory.asked_to_end = Some((id.clone(), self.now));
            }
            Step::AskToEnd(id) | Step::Kill(id) => {
                let container = self.find(id);
                container.state = ContainerState::Exited;
                container.finished_at = Some(now);
            }
            Step::Remove(id) => self.containers.retain(|c| c.id != *id),
        }
    }

    /// What runs, and is to run, ends only for a restart, or when another one runs.
    fn keeps_what_runs(&self, step: &Step) {
        let (Step::AskToEnd(id) | Step::Kill(id) | Step::Remove(id)) = step else {
            return;
        };
        let Wanted::Running { past, restart } = &self.wanted else {
            return;
        };
        let runs = |c: &&Container| c.state == ContainerState::Running;
        let mut running = self.containers.iter().filter(runs);
        if let Some(ends) = running.clone().find(|c| c.id == *id) {
            let restarts = *restart && ends.run() == *past;
            assert!(restarts || running.any(|c| c.id != *id), "{step:?}");
        }
    }

    fn find(&mut self, id: &str) -> &mut Container {
        self.containers
            .iter_mut()
            .find(|c| c.id == id)
            .expect("steps are about what there is")
    }

    fn is_as_wanted(&self) -> bool {
        let mut running = self
            .containers
            .iter()
            .filter(|c| c.state == ContainerState::Running);
        match &self.wanted {
            Wanted::Removed => self.containers.is_empty(),
            Wanted::Stopped { .. } => running.next().is_none(),
            Wanted::Running { past, restart } => {
                self.containers.len() == 1
                    && running.next().is_some_and(|c| {
                        c.generation >= self.generation && (!restart || c.run() != *past)
                    })
            }
        }
    }
}

fn container(
    id: &str,
    state: ContainerState,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
) -> Container {
    Container {
        id: id.into(),
        instance: "i".into(),
        image_id: String::new(),
        generation: 0,
        state,
        started_at: started,
        finished_at: finished,
        exit_code: None,
        host_port: None,
        stop_signal: "SIGTERM".into(),
        created_at: started.unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

/// Few enough that a run is often the past one.
fn time() -> impl Strategy<Value = Timestamp> {
    (START..START + 3).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn any_container() -> impl Strategy<Value = Container> {
    let state = prop_oneof![
        Just(ContainerState::Created),
        Just(ContainerState::Running),
        Just(ContainerState::Exited),
        Just(ContainerState::Removing),
    ];
    ("[a-d]", state, time(), time(), 0..3_u64).prop_map(|(id, state, a, b, generation)| {
        let container = match state {
            ContainerState::Created => container(&id, state, None, None),
            ContainerState::Running => container(&id, state, Some(a), None),
            _ => container(&id, state, Some(a), Some(b)),
        };
        Container {
            generation,
            ..container
        }
    })
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let past = proptest::option::of(any_container().prop_map(|c| c.run()));
    prop_oneof![
        Just(Wanted::Removed),
        any::<bool>().prop_map(|kill| Wanted::Stopped { kill }),
        (past, any::<bool>()).prop_map(|(past, restart)| Wanted::Running {
            past: past.flatten(),
            restart
        }),
    ]
}

fn world() -> impl Strategy<Value = World> {
    let containers = proptest::collection::vec(any_container(), 0..4);
    let delays = (
        proptest::option::of(0..20_u64),
        0..50_u32,
        proptest::option::of(0..60_u64),
    );
    let wanted = (wanted(), 0..3_u64);
    (wanted, containers, any::<bool>(), any::<bool>(), delays).prop_map(
        |(
            (wanted, generation),
            mut containers,
            has_image,
            obedient,
            (asked_before, restarts, wait),
        )| {
            let now = Instant::now() + Duration::from_secs(3_600);
            let mut ids = HashSet::new();
            containers.retain(|c| ids.insert(c.id.clone()));
            let memory = Memory {
                asked_to_end: asked_before.map(|s| ("a".into(), now - Duration::from_secs(s))),
                told: None,
                ended: None,
                runs: None,
                restarts,
                failures: 0,
                not_before: wait.map(|s| now + Duration::from_secs(s)),
            };
            let engine_clock = START - 5_000;
            World {
                wanted,
                generation,
                containers,
                has_image,
                obedient,
                memory,
                now,
                engine_clock,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn the_plan_ends_in_what_was_wanted(
        mut world in world(),
        wishes in proptest::collection::vec((wanted(), 0..2_u64, 0..4_usize), 0..4),
    ) {
        for (wish, renewals, steps) in wishes {
            for _ in 0..steps {
                world.go_on();
            }
            world.wanted = wish;
            world.generation += renewals;
            world.memory.notice_wish();
        }
        let ended = (0..PLENTY).any(|_| world.go_on());
        prop_assert!(ended && world.is_as_wanted(), "{world:?}");
    }
}
