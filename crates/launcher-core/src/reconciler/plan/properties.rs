//! Applying the plan until nothing is left to do always ends in what was wanted, from any state and
//! through any history.

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

/// More steps than any way from one state to another takes.
const PLENTY: usize = 1_000;
/// The engine's time when a history begins, in seconds.
const START: i64 = 1_000_000;

/// A machine with one instance on it.
#[derive(Debug)]
struct World {
    wanted: Wanted,
    release: u64,
    replaces: Option<u64>,
    replaced_runs: bool,
    replicas: u32,
    containers: Vec<Seen>,
    has_image: bool,
    /// Whether programs end when they are asked to.
    obedient: bool,
    policy: Policy,
    memory: Memory,
    now: Instant,
    /// The engine's clock, which may be wrong and here goes backwards.
    engine_clock: i64,
}

/// What somebody else does.
#[derive(Clone, Debug)]
enum Mishap {
    /// A program ends.
    Crash(usize),
    /// Somebody removes a container.
    Removal(usize),
    /// Somebody starts a container.
    Start(usize),
    /// An app ceases to answer, or comes to.
    Health(usize, Health),
    /// The launcher is killed, and started again.
    Amnesia,
    /// The image is removed.
    NoImage,
}

impl World {
    fn situation(&self) -> Situation<'_> {
        Situation {
            wanted: &self.wanted,
            release: self.release,
            replaces: self.replaces,
            replaced_runs: self.replaced_runs,
            replicas: self.replicas,
            containers: &self.containers,
            has_image: self.has_image,
            policy: &self.policy,
            memory: &self.memory,
            now: self.now,
        }
    }

    /// Takes one step or waits as the plan says; true when nothing is left to do.
    fn go_on(&mut self) -> bool {
        self.now += Duration::from_millis(1);
        let mut memory = self.memory.clone();
        memory.notice(&self.situation());
        self.memory = memory;
        match plan(&self.situation()) {
            Next::Forget | Next::Wait(None) => return !self.is_recorded() && self.answers(),
            Next::Wait(Some(time)) => {
                let wait = time.duration_since(self.now);
                let most = LONGEST_BACKOFF
                    .max(self.policy.grace)
                    .max(Duration::from_secs(300))
                    .max(STABLE_AFTER);
                assert!(!wait.is_zero() && wait <= most, "waits {wait:?}");
                self.now = time;
            }
            Next::Fail(problem) => {
                assert_ne!(self.memory.told, Some(self.release), "once");
                assert!(
                    self.containers
                        .iter()
                        .any(|seen| seen.id() == problem.container())
                );
                self.memory.told = Some(self.release);
            }
            Next::GiveUp(_) => self.wanted = Wanted::Stopped { kill: false },
            Next::Do(step) => self.take(&step),
        }
        false
    }

    /// Whoever deploys writes down that it is done, and wakes whoever waits for that.
    fn is_recorded(&mut self) -> bool {
        let is_done = is_carried_out(&self.situation());
        is_done && self.replaces.take().is_some()
    }

    /// Whoever waits is woken when an app comes to answer; true when all do already.
    fn answers(&mut self) -> bool {
        let silent = |seen: &&mut Seen| seen.is_running() && seen.health != Health::Healthy;
        match self.containers.iter_mut().find(silent) {
            Some(seen) => {
                seen.health = Health::Healthy;
                seen.inherited = false;
                false
            }
            None => true,
        }
    }

    fn take(&mut self, step: &Step) {
        self.keeps_what_serves(step);
        self.engine_clock -= 1;
        let now = Timestamp::from_second(self.engine_clock).unwrap();
        match step {
            Step::Pull => self.has_image = true,
            Step::Create(replica) => {
                let place = (self.release, *replica);
                assert!(self.has_image && *replica < self.replicas);
                assert!(
                    self.containers.iter().all(|seen| seen.place() != place),
                    "one in a place"
                );
                let id = format!("new{}", self.engine_clock);
                let mut made = container(&id, ContainerState::Created, None, None);
                (made.container.generation, made.container.replica) = place;
                self.containers.push(made);
            }
            Step::Start(id) => {
                self.starts_what_is_wanted(id);
                let mut memory = self.memory.clone();
                memory.started(&self.situation(), id);
                self.memory = memory;
                let seen = self.find(id);
                seen.container.state = ContainerState::Running;
                seen.container.started_at = Some(now);
                seen.health = Health::Starting;
            }
            Step::Switch => self.memory.switched = Some(self.release),
            Step::Drain(id) => drop(self.memory.draining.insert(id.clone(), self.now)),
            Step::AskToEnd(id) => {
                let run = self.find(id).run();
                self.memory.asked_to_end.insert(id.clone(), (run, self.now));
                if self.obedient {
                    self.end(id, now);
                }
            }
            Step::Kill(id) => self.end(id, now),
            Step::Remove(id) => self.containers.retain(|seen| seen.id() != id),
        }
    }

    fn end(&mut self, id: &str, now: Timestamp) {
        let seen = self.find(id);
        seen.container.state = ContainerState::Exited;
        seen.container.finished_at = Some(now);
        seen.health = Health::None;
        seen.inherited = false;
    }

    /// What visitors are sent to, and is to run, ends only for a restart or because it does not answer,
    /// never because another release is on its way.
    fn keeps_what_serves(&self, step: &Step) {
        let (Step::AskToEnd(id) | Step::Kill(id) | Step::Remove(id)) = step else {
            return;
        };
        let Wanted::Running { restart, .. } = &self.wanted else {
            return;
        };
        let situation = self.situation();
        let service = service(&situation);
        let Some(ends) = service.routed.iter().find(|seen| seen.id() == id) else {
            return;
        };
        let is_restart = *restart && situation.is_past(ends);
        let is_sick = ends.health == Health::Unhealthy;
        let is_double = self
            .containers
            .iter()
            .filter(|seen| seen.place() == ends.place())
            .count()
            > 1;
        assert!(
            is_restart || is_sick || is_double,
            "{step:?} of {service:?}"
        );
    }

    /// Of other releases than the wanted one only that is started which serves until it is ready, and
    /// ran when that was wished.
    fn starts_what_is_wanted(&self, id: &str) {
        let is_it = |seen: &&Seen| seen.id() == id;
        let container = &self.containers.iter().find(is_it).unwrap().container;
        let serves = self.replaced_runs && self.replaces == Some(container.generation);
        let is_switched = self.memory.switched == Some(self.release);
        assert!(container.generation == self.release || serves && !is_switched);
        assert!(container.replica < self.replicas);
    }

    fn find(&mut self, id: &str) -> &mut Seen {
        self.containers
            .iter_mut()
            .find(|seen| seen.id() == id)
            .expect("steps are about what there is")
    }

    fn suffer(&mut self, mishap: &Mishap) {
        self.engine_clock -= 1;
        let now = Timestamp::from_second(self.engine_clock).unwrap();
        let number = self.containers.len();
        let id = |index: usize| self.containers[index % number].id().to_owned();
        match mishap {
            Mishap::NoImage => self.has_image = false,
            Mishap::Amnesia => {
                self.memory = Memory::default();
                for seen in &mut self.containers {
                    (seen.inherited, seen.health) = match seen.is_running() {
                        true => (true, Health::Starting),
                        false => (false, Health::None),
                    };
                }
            }
            _ if number == 0 => {}
            Mishap::Crash(index) => {
                let id = id(*index);
                if self.find(&id).is_running() {
                    self.end(&id, now);
                }
            }
            Mishap::Removal(index) => {
                let id = id(*index);
                self.containers.retain(|seen| seen.id() != id);
            }
            Mishap::Start(index) => {
                let id = id(*index);
                let seen = self.find(&id);
                if !seen.is_running() && seen.container.state != ContainerState::Removing {
                    seen.container.state = ContainerState::Running;
                    seen.container.started_at = Some(now);
                    seen.health = Health::Starting;
                }
            }
            Mishap::Health(index, health) => {
                let (id, since) = (id(*index), self.now);
                let seen = self.find(&id);
                if seen.is_running() {
                    (seen.health, seen.since) = (*health, since);
                    seen.inherited = false;
                }
            }
        }
    }

    fn is_as_wanted(&self) -> bool {
        let running = || self.containers.iter().filter(|seen| seen.is_running());
        let situation = self.situation();
        match &self.wanted {
            Wanted::Removed => self.containers.is_empty(),
            Wanted::Stopped { .. } => running().next().is_none() && is_carried_out(&situation),
            Wanted::Running { restart, .. } => {
                let places: HashSet<_> = running().map(Seen::place).collect();
                let expected = (0..self.replicas)
                    .map(|replica| (self.release, replica))
                    .collect();
                let stopped = self.containers.len() - running().count();
                places == expected
                    && running().count() == places.len()
                    && stopped <= 1
                    && running().all(|seen| !(*restart && situation.is_past(seen)))
                    && service(&situation).routed.len() == places.len()
                    && is_carried_out(&situation)
            }
        }
    }
}

fn container(
    id: &str,
    state: ContainerState,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
) -> Seen {
    let container = Container {
        id: id.into(),
        instance: "i".into(),
        image_id: String::new(),
        generation: 0,
        replica: 0,
        state,
        started_at: started,
        finished_at: finished,
        exit_code: None,
        oom_killed: false,
        host_port: None,
        stop_signal: "SIGTERM".into(),
        created_at: started.unwrap_or(Timestamp::UNIX_EPOCH),
    };
    Seen {
        container,
        health: Health::None,
        since: Instant::now(),
        inherited: false,
        is_busy: false,
    }
}

/// Few enough that a run is often the past one.
fn time() -> impl Strategy<Value = Timestamp> {
    (START..START + 3).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![
        Just(Health::Starting),
        Just(Health::Healthy),
        Just(Health::Unhealthy)
    ]
}

fn any_container() -> impl Strategy<Value = Seen> {
    let state = prop_oneof![
        Just(ContainerState::Created),
        Just(ContainerState::Running),
        Just(ContainerState::Exited),
        Just(ContainerState::Removing),
    ];
    let place = (0..3_u64, 0..3_u32);
    (
        "[a-d]",
        state,
        time(),
        time(),
        place,
        health(),
        any::<bool>(),
    )
        .prop_map(|(id, state, a, b, (release, replica), health, is_busy)| {
            let mut seen = match state {
                ContainerState::Created => container(&id, state, None, None),
                ContainerState::Running => container(&id, state, Some(a), None),
                _ => container(&id, state, Some(a), Some(b)),
            };
            (seen.container.generation, seen.container.replica) = (release, replica);
            if seen.is_running() {
                (seen.health, seen.is_busy) = (health, is_busy);
            }
            seen
        })
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let past = proptest::collection::vec(any_container().prop_map(|seen| seen.run()), 0..3);
    prop_oneof![
        1 => Just(Wanted::Removed),
        2 => any::<bool>().prop_map(|kill| Wanted::Stopped { kill }),
        4 => (past, any::<bool>()).prop_map(|(past, restart)| Wanted::Running {
            past: past.into_iter().flatten().collect(),
            restart
        }),
    ]
}

fn mishap() -> impl Strategy<Value = Mishap> {
    let index = 0..8_usize;
    prop_oneof![
        index.clone().prop_map(Mishap::Crash),
        index.clone().prop_map(Mishap::Removal),
        index.clone().prop_map(Mishap::Start),
        (index, health()).prop_map(|(index, health)| Mishap::Health(index, health)),
        Just(Mishap::Amnesia),
        Just(Mishap::NoImage),
    ]
}

fn world() -> impl Strategy<Value = World> {
    let containers = proptest::collection::vec(any_container(), 0..6);
    let delay = proptest::option::of(0..60_u64);
    (
        wanted(),
        0..3_u64,
        1..4_u32,
        containers,
        any::<bool>(),
        any::<bool>(),
        delay,
    )
        .prop_map(
            |(wanted, release, replicas, mut containers, has_image, obedient, wait)| {
                let now = Instant::now() + Duration::from_secs(3_600);
                let mut ids = HashSet::new();
                containers.retain(|seen| ids.insert(seen.id().to_owned()));
                World {
                    wanted,
                    release,
                    replaces: None,
                    replaced_runs: false,
                    replicas,
                    containers,
                    has_image,
                    obedient,
                    policy: Policy {
                        most_restarts: 0,
                        ..Policy::default()
                    },
                    memory: Memory {
                        not_before: wait.map(|seconds| now + Duration::from_secs(seconds)),
                        ..Memory::default()
                    },
                    now,
                    engine_clock: START - 5_000,
                }
            },
        )
}

/// Another wish: what, whether it is a new release, how many replicas, and what happens before.
fn wish() -> impl Strategy<Value = (Wanted, bool, u32, Vec<Option<Mishap>>)> {
    let steps = proptest::collection::vec(proptest::option::of(mishap()), 0..8);
    (wanted(), any::<bool>(), 1..4_u32, steps)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn the_plan_ends_in_what_was_wanted(
        mut world in world(),
        wishes in proptest::collection::vec(wish(), 0..4),
    ) {
        for (wish, is_release, replicas, steps) in wishes {
            for mishap in steps {
                match mishap {
                    Some(mishap) => world.suffer(&mishap),
                    None => drop(world.go_on()),
                }
            }
            world.is_recorded();
            let runs = matches!(wish, Wanted::Running { .. });
            if is_release {
                if world.replaces.is_none() {
                    world.replaced_runs = matches!(world.wanted, Wanted::Running { .. });
                }
                world.replaces = runs.then_some(world.replaces.unwrap_or(world.release));
                world.release += 1;
            } else if !runs {
                world.replaces = None;
            }
            world.wanted = wish;
            world.replicas = replicas;
            world.memory.notice_wish();
        }
        // Nobody hinders it any more.
        world.has_image = true;
        let ended = (0..PLENTY).any(|_| world.go_on());
        prop_assert!(ended && world.is_as_wanted(), "{world:?}");
    }
}
