//! Anything may happen, in any order; in the end all must be well.

use ddp_protocol::client::{CallError, CallKey, CallOptions, Status};
use ddp_protocol::object;
use proptest::prelude::*;

use crate::world::World;

/// Something that happens, with numbers that choose which.
#[derive(Debug, Clone, Copy)]
enum Step {
    ClientSends(u8),
    ServerHears(u8),
    ServerWorks(u8),
    ServerSends(u8),
    ClientHears(u8),
    Open,
    Cut,
    Call {
        id: u8,
        n: i32,
        wait: bool,
        no_retry: bool,
    },
    Write {
        id: u8,
        n: Option<i32>,
    },
    Subscribe(bool),
    Unsubscribe(u8),
    Login,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6u8).prop_map(Step::ClientSends),
        6 => (1..6u8).prop_map(Step::ServerHears),
        6 => (1..6u8).prop_map(Step::ServerWorks),
        6 => (1..9u8).prop_map(Step::ServerSends),
        6 => (1..9u8).prop_map(Step::ClientHears),
        4 => Just(Step::Open),
        2 => Just(Step::Cut),
        4 => (0..6u8, 0..9i32, prop::bool::weighted(0.2), prop::bool::weighted(0.2))
            .prop_map(|(id, n, wait, no_retry)| Step::Call { id, n, wait, no_retry }),
        4 => (0..6u8, prop::option::of(0..9i32)).prop_map(|(id, n)| Step::Write { id, n }),
        2 => any::<bool>().prop_map(Step::Subscribe),
        1 => (0..4u8).prop_map(Step::Unsubscribe),
        1 => Just(Step::Login),
    ]
}

/// A world in which anything may happen, and what was asked for in it.
struct Story {
    world: World,
    open_subs: Vec<(String, &'static str)>,
    calls: Vec<(CallKey, String, bool)>,
    logins: Vec<CallKey>,
    cuts: u32,
    made: u32,
}

impl Story {
    fn tell(steps: Vec<Step>) -> Self {
        let mut story = Self {
            world: World::new(),
            open_subs: Vec::new(),
            calls: Vec::new(),
            logins: Vec::new(),
            cuts: 0,
            made: 0,
        };
        for step in steps {
            story.happens(step);
        }
        story.world.open();
        story.world.settles();
        story
    }

    fn happens(&mut self, step: Step) {
        let world = &mut self.world;
        match step {
            Step::ClientSends(times) => repeat(times, || world.client_sends()),
            Step::ServerHears(times) => repeat(times, || world.server_hears()),
            Step::ServerWorks(times) => repeat(times, || world.server.works()),
            Step::ServerSends(times) => repeat(times, || world.server_sends()),
            Step::ClientHears(times) => repeat(times, || world.client_hears()),
            Step::Open => world.open(),
            Step::Cut => {
                self.cuts += 1;
                world.cut();
            }
            Step::Call {
                id,
                n,
                wait,
                no_retry,
            } => self.call(id, n, wait, no_retry),
            Step::Write { id, n } => world.server.write(&id.to_string(), n),
            Step::Subscribe(even) => self.subscribe(if even { "even" } else { "all" }),
            Step::Unsubscribe(which) => {
                if usize::from(which) < self.open_subs.len() {
                    let (id, _) = self.open_subs.remove(which.into());
                    world.client.unsubscribe(&id);
                }
            }
            Step::Login => self
                .logins
                .push(world.client.login(object! {}, None).unwrap()),
        }
        self.world.listens();
    }

    fn call(&mut self, id: u8, n: i32, wait: bool, no_retry: bool) {
        self.made += 1;
        let ticket = self.made.to_string();
        let options = CallOptions {
            wait,
            no_retry,
            ..CallOptions::default()
        };
        let n = (n < 8).then_some(n);
        let call = self
            .world
            .set_with_ticket(&id.to_string(), n, &ticket, options);
        self.calls.push((call, ticket, no_retry));
    }

    fn subscribe(&mut self, name: &'static str) {
        self.made += 1;
        let id = format!("sub{}", self.made);
        self.world.subscribe(&id, name);
        self.open_subs.push((id, name));
    }
}

fn repeat(times: u8, mut act: impl FnMut() -> bool) {
    for _ in 0..times {
        act();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn whatever_happens_all_is_well_in_the_end(steps in prop::collection::vec(step(), 0..150)) {
        let story = Story::tell(steps);
        let world = &story.world;
        prop_assert_eq!(world.client.status(), Status::Connected);
        prop_assert!(!world.client.is_holding_back());
        prop_assert_eq!(world.client.unfinished_calls(), 0);
        prop_assert_eq!(world.client.ignored_messages(), 0);

        let publications: Vec<_> = story.open_subs.iter().map(|(_, name)| *name).collect();
        world.assert_same_data(&publications);
        for (id, _) in &story.open_subs {
            prop_assert!(world.client.is_ready(id));
        }
        for (call, ticket, no_retry) in &story.calls {
            let runs = world.server.runs.get(ticket).copied().unwrap_or(0);
            let most = if *no_retry { 1 } else { 1 + story.cuts };
            prop_assert!(runs <= most, "{ticket} ran {runs} times");
            match &world.finished[call][..] {
                [Ok(Some(result))] => {
                    prop_assert_eq!(result.as_str(), Some(&**ticket));
                    prop_assert!(runs >= 1);
                }
                [Err(CallError::ConnectionLost)] => prop_assert!(*no_retry && story.cuts > 0),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        for login in &story.logins {
            prop_assert_eq!(world.finished[login].len(), 1);
        }
        let user = (!story.logins.is_empty()).then_some("u");
        prop_assert_eq!(world.client.user_id(), user);
    }
}
