//! Random conversations: whatever client and application say in whatever order, the session does
//! not panic, answers everything exactly once, and never wedges its queue.

mod support;

use std::collections::HashMap;
use std::time::Duration;

use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::{CallKey, Event, SessionConfig, Work};
use ddp_protocol::{Error, fields};
use proptest::prelude::*;
use proptest::sample::Index;
use support::Talk;

#[derive(Debug, Clone)]
enum Step {
    Call {
        known: bool,
    },
    Subscribe {
        id: u8,
        known: bool,
    },
    Unsubscribe {
        id: u8,
    },
    Garbage(usize),
    Pass {
        millis: u64,
    },
    /// The application does something to one of the handlers that run or have run.
    Act {
        on: Index,
        act: Act,
    },
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Return,
    Fail,
    Unblock,
    Ready,
    Stop,
    Added(u8),
    Changed(u8),
    Removed(u8),
    BeginWrite,
    CommitWrite,
}

const GARBAGE: [&str; 12] = [
    "",
    "{",
    "[]",
    "null",
    r#"{"msg":5}"#,
    r#"{"msg":"method"}"#,
    r#"{"msg":"sub","id":5}"#,
    r#"{"msg":"unsub","id":{}}"#,
    r#"{"msg":"pong"}"#,
    r#"{"msg":"ping","id":[1]}"#,
    r#"{"msg":"connect","version":"1","support":["1"]}"#,
    r#"{"msg":"method","id":"x","method":"m","params":[{"$type":"?","$value":0}]}"#,
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn everything_is_answered_and_nothing_wedges(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.return_everything();
        prop_assert!(world.talk.session.is_open());
        prop_assert_eq!(world.answers("result"), world.called);
        prop_assert_eq!(world.answers("updated"), world.called);
        world.talk.calls("probe");
        world.talk.runs_method("probe");
    }

    #[test]
    fn no_frame_makes_a_session_panic(frames in prop::collection::vec(".{0,40}", 0..10)) {
        let mut talk = Talk::connected(SessionConfig::default());
        for frame in frames {
            talk.says(&frame);
        }
        talk.calls("probe");
        talk.runs_method("probe");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        3 => Just(Act::Return),
        1 => Just(Act::Fail),
        1 => Just(Act::Unblock),
        1 => Just(Act::Ready),
        1 => Just(Act::Stop),
        2 => (0..3u8).prop_map(Act::Added),
        1 => (0..3u8).prop_map(Act::Changed),
        1 => (0..3u8).prop_map(Act::Removed),
        1 => Just(Act::BeginWrite),
        1 => Just(Act::CommitWrite),
    ];
    prop_oneof![
        2 => any::<bool>().prop_map(|known| Step::Call { known }),
        2 => (0..3u8, any::<bool>()).prop_map(|(id, known)| Step::Subscribe { id, known }),
        1 => (0..3u8).prop_map(|id| Step::Unsubscribe { id }),
        1 => (0..GARBAGE.len()).prop_map(Step::Garbage),
        1 => (0..5000u64).prop_map(|millis| Step::Pass { millis }),
        6 => (any::<Index>(), act).prop_map(|(on, act)| Step::Act { on, act }),
    ]
}

struct World {
    talk: Talk,
    /// Every handler that was ever started, and how many writes it has begun.
    works: Vec<(Work, usize)>,
    called: usize,
    heard: HashMap<String, usize>,
}

impl World {
    fn new() -> Self {
        let talk = Talk::connected(SessionConfig::default());
        Self {
            talk,
            works: Vec::new(),
            called: 0,
            heard: HashMap::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Call { known } => {
                self.called += 1;
                self.talk.calls(if *known { "m" } else { "no" });
            }
            Step::Subscribe { id, known } => {
                let name = if *known { "p" } else { "no" };
                self.talk
                    .says(&format!(r#"{{"msg":"sub","id":"{id}","name":"{name}"}}"#));
            }
            Step::Unsubscribe { id } => {
                self.talk.says(&format!(r#"{{"msg":"unsub","id":"{id}"}}"#));
            }
            Step::Garbage(which) => self.talk.says(GARBAGE[*which]),
            Step::Pass { millis } => {
                self.talk.passes(Duration::from_millis(*millis));
                self.talk.says(r#"{"msg":"pong"}"#);
            }
            Step::Act { on, act } if !self.works.is_empty() => {
                let on = on.index(self.works.len());
                self.act(on, *act);
            }
            Step::Act { .. } => {}
        }
        self.settle();
    }

    fn act(&mut self, on: usize, act: Act) {
        let (work, writes) = &mut self.works[on];
        let work = *work;
        match (work, act) {
            (_, Act::Unblock) => self.talk.session.unblock(work),
            (Work::Method(call), Act::BeginWrite) => {
                *writes += 1;
                self.talk.session.begin_write(call);
            }
            (Work::Method(call), Act::CommitWrite) => {
                *writes = writes.saturating_sub(1);
                self.talk.session.commit_write(call);
            }
            (Work::Method(call), act) => self.act_on_method(call, act),
            (Work::Publication(sub), act) => self.act_on_publication(sub, act),
        }
    }

    fn act_on_method(&mut self, call: CallKey, act: Act) {
        match act {
            Act::Return => self.talk.session.method_returned(call, Ok(None)),
            Act::Fail => self
                .talk
                .session
                .method_returned(call, Err(Error::internal())),
            _ => {}
        }
    }

    fn act_on_publication(&mut self, sub: SubscriptionKey, act: Act) {
        let session = &mut self.talk.session;
        let id = |doc: u8| doc.to_string().into();
        let fields = fields! { "by": sub.0 };
        match act {
            Act::Return => session.publication_returned(sub),
            Act::Fail => session.fail(sub, Error::internal()),
            Act::Ready => session.ready(sub),
            Act::Stop => session.stop(sub),
            Act::Added(doc) => session.added(sub, "c", &id(doc), fields),
            Act::Changed(doc) => {
                let _unknown = session.changed(sub, "c", &id(doc), &fields, &["x".to_owned()]);
            }
            Act::Removed(doc) => {
                let _unknown = session.removed(sub, "c", &id(doc));
            }
            Act::Unblock | Act::BeginWrite | Act::CommitWrite => {}
        }
    }

    /// All handlers return, also those that are started meanwhile.
    fn return_everything(&mut self) {
        let mut next = 0;
        while next < self.works.len() {
            for _ in 0..self.works[next].1 {
                self.act(next, Act::CommitWrite);
            }
            self.act(next, Act::Return);
            self.settle();
            next += 1;
        }
    }

    fn settle(&mut self) {
        while let Some(event) = self.talk.session.poll_event() {
            match event {
                Event::Method { call, .. } => self.works.push((Work::Method(call), 0)),
                Event::Subscribe { sub, .. } => self.works.push((Work::Publication(sub), 0)),
                Event::Connected | Event::Stopped { .. } => {}
            }
        }
        for frame in self.talk.hears() {
            let message: serde_json::Value = serde_json::from_str(&frame).unwrap_or_default();
            let kind = message["msg"].as_str().unwrap_or("close").to_owned();
            *self.heard.entry(kind).or_default() += 1;
        }
    }

    fn answers(&self, kind: &str) -> usize {
        self.heard.get(kind).copied().unwrap_or_default()
    }
}
