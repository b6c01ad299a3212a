//! An application that does anything at any time, and a client that checks what it hears.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ddp_protocol::ejson::Fields;
use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::{CallKey, CannotSetUser, Event, SessionConfig, Work};
use ddp_protocol::{Error, LiveChange, fields};
use proptest::sample::Index;

use super::Talk;
use super::listener::Listener;

#[derive(Debug, Clone)]
pub(crate) enum Step {
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
    /// The client reads what was sent.
    Read,
    /// There is one more universal publication.
    AddUniversal,
    /// The application does something to one of the handlers that run or have run.
    Act {
        on: Index,
        act: Act,
    },
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
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
    /// The method writes to the ledger, which some publications publish.
    Write,
    SetUser(u8),
}

pub(crate) const GARBAGE: [&str; 12] = [
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

struct Handler {
    work: Work,
    /// What the client calls it, if it is a method.
    id: String,
    /// How many writes it has begun.
    writes: usize,
    returned: bool,
}

pub(crate) struct World {
    pub(crate) talk: Talk,
    pub(crate) listener: Listener,
    /// Every handler that was ever started.
    handlers: Vec<Handler>,
    open: BTreeSet<SubscriptionKey>,
    ledger: Arc<Fields>,
    written: i32,
}

impl World {
    pub(crate) fn new() -> Self {
        let config = SessionConfig {
            drain_bytes: 300,
            ..SessionConfig::default()
        };
        let mut talk = Talk::new(config);
        talk.names.universal.store(1, Ordering::Relaxed);
        talk.connects();
        Self {
            talk,
            listener: Listener::default(),
            handlers: Vec::new(),
            open: BTreeSet::new(),
            ledger: Arc::new(fields! { "n": 0 }),
            written: 0,
        }
    }

    pub(crate) fn take(&mut self, step: &Step) {
        match step {
            Step::Call { known } => self.call(if *known { "m" } else { "no" }),
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
            Step::Read => self.read(),
            Step::AddUniversal => {
                self.talk.names.universal.fetch_add(1, Ordering::Relaxed);
                self.talk.session.start_universal();
            }
            Step::Act { on, act } if !self.handlers.is_empty() => {
                let on = on.index(self.handlers.len());
                self.act(on, *act);
            }
            Step::Act { .. } => {}
        }
        self.start();
    }

    /// All handlers return, also those that are started meanwhile.
    pub(crate) fn return_everything(&mut self) {
        self.start();
        let mut next = 0;
        while next < self.handlers.len() {
            for _ in 0..self.handlers[next].writes {
                self.act(next, Act::CommitWrite);
            }
            self.act(next, Act::Return);
            self.start();
            next += 1;
        }
        self.read();
    }

    fn call(&mut self, method: &str) {
        let id = self.listener.calls.len().to_string();
        self.talk.says(&format!(
            r#"{{"msg":"method","id":"{id}","method":"{method}","params":["{id}"]}}"#
        ));
        self.listener.calls.insert(id, 0);
    }

    fn act(&mut self, on: usize, act: Act) {
        let work = self.handlers[on].work;
        match (work, act) {
            (_, Act::Unblock) => self.talk.session.unblock(work),
            (Work::Method(call), act) => self.act_on_method(on, call, act),
            (Work::Publication(sub), act) => self.act_on_publication(sub, act),
        }
    }

    fn act_on_method(&mut self, on: usize, call: CallKey, act: Act) {
        let (session, handler) = (&mut self.talk.session, &mut self.handlers[on]);
        match act {
            Act::Return | Act::Fail => {
                let failed = matches!(act, Act::Fail);
                let result = failed.then(Error::internal).map_or(Ok(None), Err);
                session.method_returned(call, result);
                handler.returned = true;
            }
            Act::BeginWrite if !handler.is_over() => {
                session.begin_write(call);
                handler.writes += 1;
            }
            Act::CommitWrite => {
                session.commit_write(call);
                handler.writes = handler.writes.saturating_sub(1);
            }
            Act::SetUser(user) => {
                let user = (user > 0).then(|| user.to_string().into());
                let _unblocked: Result<(), CannotSetUser> = session.set_user_id(call, user);
            }
            Act::Write if !handler.is_over() => {
                let id = handler.id.clone();
                self.write();
                self.listener.calls.insert(id, self.written);
            }
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
            _ => {}
        }
    }

    fn write(&mut self) {
        self.written += 1;
        let after = Arc::new(fields! { "n": self.written });
        let before = std::mem::replace(&mut self.ledger, Arc::clone(&after));
        let Some(change) = LiveChange::changed("ledger", "l", before, after).map(Arc::new) else {
            return;
        };
        for sub in &self.open {
            let told = self.talk.session.apply(*sub, &change);
            assert_eq!(told, Ok(()), "all have the ledger");
        }
    }

    /// Starts the handlers that the session asks for.
    fn start(&mut self) {
        while let Some(event) = self.talk.session.poll_event() {
            match event {
                Event::Connected => {}
                Event::Method { call, params, .. } => {
                    let id = params[0].as_str().unwrap_or_default();
                    self.handlers.push(Handler::new(Work::Method(call), id));
                }
                Event::Subscribe { sub, .. } => {
                    self.handlers.push(Handler::new(Work::Publication(sub), ""));
                    self.open.insert(sub);
                    let ledger = LiveChange::added("ledger", "l", Arc::clone(&self.ledger));
                    let told = self.talk.session.apply(sub, &Arc::new(ledger));
                    assert_eq!(told, Ok(()));
                }
                Event::Stopped { sub } => {
                    self.open.remove(&sub);
                }
            }
        }
    }

    fn read(&mut self) {
        for frame in self.talk.hears() {
            self.listener.hear(&frame);
        }
    }
}

impl Handler {
    fn new(work: Work, id: &str) -> Self {
        Self {
            work,
            id: id.to_owned(),
            writes: 0,
            returned: false,
        }
    }

    /// Whether nothing that it does now belongs to the call any more.
    fn is_over(&self) -> bool {
        self.returned && self.writes == 0
    }
}
