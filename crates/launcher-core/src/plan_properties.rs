//! Applying the plan until nothing is left to do always ends in what was wanted, from any state.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::{
    Wanted,
    engine::{Container, ContainerState},
    plan::{GRACE, LONGEST_BACKOFF, Memory, Next, Step, plan},
};

/// More steps than any way from one state to another takes.
const PLENTY: usize = 40;
/// The time at which a history begins, in seconds.
const START: i64 = 1_000_000;

/// A machine with one instance on it.
#[derive(Debug)]
struct World {
    wanted: Wanted,
    containers: Vec<Container>,
    has_image: bool,
    /// Whether programs end when they are asked to.
    obedient: bool,
    memory: Memory,
    now: Timestamp,
}

impl World {
    /// Takes one step or waits as the plan says; true when nothing is left to do.
    fn go_on(&mut self) -> bool {
        self.now += SignedDuration::from_millis(1);
        match plan(
            &self.wanted,
            &self.containers,
            self.has_image,
            &self.memory,
            self.now,
        ) {
            Next::Forget | Next::Wait(None) => return true,
            Next::Wait(Some(time)) => {
                let longest = LONGEST_BACKOFF.max(GRACE) + Duration::from_secs(1);
                let wait = time.duration_since(self.now);
                assert!(
                    wait.is_positive() && wait <= signed(longest),
                    "waits {wait:?}"
                );
                self.now = time;
            }
            Next::Do(step) => self.take(&step),
        }
        false
    }

    fn take(&mut self, step: &Step) {
        let now = self.now;
        match step {
            Step::Pull => self.has_image = true,
            Step::Create => {
                assert!(self.has_image && self.containers.is_empty());
                self.containers
                    .push(container("new", ContainerState::Created, None, None));
            }
            Step::Start(id) => {
                let container = self.find(id);
                container.state = ContainerState::Running;
                container.started_at = Some(now);
            }
            Step::AskToEnd(_) if !self.obedient => self.memory.asked_to_end = Some(now),
            Step::AskToEnd(id) | Step::Kill(id) => {
                let container = self.find(id);
                container.state = ContainerState::Exited;
                container.finished_at = Some(now);
                self.memory.asked_to_end = None;
            }
            Step::Remove(id) => self.containers.retain(|c| c.id != *id),
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
            Wanted::Running { restart_before, .. } => {
                self.containers.len() == 1
                    && running
                        .next()
                        .is_some_and(|c| c.started_at >= *restart_before)
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
        state,
        started_at: started,
        finished_at: finished,
        host_port: None,
        stop_signal: "SIGTERM".into(),
        created_at: started.unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap()
}

fn time() -> impl Strategy<Value = Timestamp> {
    (START - 2_000..START).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        Just(Wanted::Removed),
        any::<bool>().prop_map(|kill| Wanted::Stopped { kill }),
        (time(), proptest::option::of(time())).prop_map(|(since, restart_before)| {
            Wanted::Running {
                since,
                restart_before,
            }
        }),
    ]
}

fn any_container() -> impl Strategy<Value = Container> {
    let state = prop_oneof![
        Just(ContainerState::Created),
        Just(ContainerState::Running),
        Just(ContainerState::Exited),
        Just(ContainerState::Removing),
    ];
    ("[a-z]{4}", state, time(), time()).prop_map(|(id, state, a, b)| match state {
        ContainerState::Created => container(&id, state, None, None),
        ContainerState::Running => container(&id, state, Some(a), None),
        _ => container(&id, state, Some(a.min(b)), Some(a.max(b))),
    })
}

fn world() -> impl Strategy<Value = World> {
    let containers = proptest::collection::vec(any_container(), 0..4);
    let memory = (
        proptest::option::of(time()),
        0..50_u32,
        proptest::option::of(time()),
    );
    (wanted(), containers, any::<bool>(), any::<bool>(), memory).prop_map(
        |(wanted, mut containers, has_image, obedient, (asked_to_end, restarts, not_before))| {
            containers.dedup_by(|a, b| a.id == b.id);
            World {
                wanted,
                containers,
                has_image,
                obedient,
                memory: Memory {
                    asked_to_end,
                    restarts,
                    failures: 0,
                    not_before,
                },
                now: Timestamp::from_second(START).unwrap(),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_plan_ends_in_what_was_wanted(mut world in world(), wishes in proptest::collection::vec((wanted(), 0..4_usize), 0..4)) {
        for (wish, steps) in wishes {
            for _ in 0..steps {
                world.go_on();
            }
            world.wanted = wish;
        }
        let ended = (0..PLENTY).any(|_| world.go_on());
        prop_assert!(ended && world.is_as_wanted(), "{world:?}");
    }
}
