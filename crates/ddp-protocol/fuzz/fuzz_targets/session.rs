//! A script for one session, a line each: frames of a client, and what the application and the
//! clock do in between. Whatever is said in whatever order, the session does not panic, answers
//! every call exactly once, shows each client only documents that it has, and never wedges.
//!
//! A line that begins with `@` is no frame: `@<act><handler><document>`, for example `@a02`, or
//! `@t` and milliseconds. The acts are those of [`World::act`], and `@h`: the client stops reading,
//! or goes on.

#![no_main]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddp_protocol::ejson::{Fields, Value};
use ddp_protocol::merge_box::{LiveChange, SubscriptionKey};
use ddp_protocol::session::{CallKey, Event, Names, Session, SessionConfig, Transmit, Work};
use ddp_protocol::{Error, fields, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let script = String::from_utf8_lossy(data);
    let mut world = World::new();
    for line in script.lines().take(MAX_LINES) {
        world.take(line);
        world.settle();
    }
    world.end();
});

/// Longer scripts only take longer.
const MAX_LINES: usize = 200;

const CONNECT: &str = r#"{"msg":"connect","version":"1","support":["1"]}"#;

/// Every name exists but those that begin with `no`.
struct Most;

impl Names for Most {
    fn has_method(&self, name: &str) -> bool {
        !name.starts_with("no")
    }

    fn has_publication(&self, name: &str) -> bool {
        !name.starts_with("no")
    }

    fn universal(&self) -> usize {
        1
    }
}

struct World {
    session: Session,
    now: Instant,
    /// Every handler that was ever started.
    works: Vec<Work>,
    /// How many writes the calls have begun and not ended.
    writes: HashMap<CallKey, usize>,
    started: usize,
    heard: HashMap<String, usize>,
    /// What the client has.
    documents: HashSet<(String, String)>,
    open_subscriptions: HashSet<SubscriptionKey>,
    /// A live collection, as it is.
    live: HashMap<u32, Arc<Fields>>,
    reads: bool,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(Arc::new(SessionConfig::default()), Arc::new(Most), "S", now),
            now,
            works: Vec::new(),
            writes: HashMap::new(),
            started: 0,
            heard: HashMap::new(),
            documents: HashSet::new(),
            open_subscriptions: HashSet::new(),
            live: HashMap::new(),
            reads: true,
        }
    }

    fn take(&mut self, line: &str) {
        let Some(command) = line.strip_prefix('@') else {
            return self.session.handle_text(line, self.now);
        };
        if let Some(millis) = command.strip_prefix('t') {
            return self.pass(millis.parse().unwrap_or(1000));
        }
        let mut characters = command.chars();
        let act = characters.next().unwrap_or('r');
        let mut number = || characters.next().and_then(|c| c.to_digit(36)).unwrap_or(0);
        let (on, document) = (number(), number());
        match self.works.get(on as usize).copied() {
            _ if act == 'h' => self.reads = !self.reads,
            Some(work) => self.act(work, act, document),
            None if act == 'X' => self.session.handle_disconnect(),
            None if act == 'C' => self.session.close(),
            None => {}
        }
    }

    fn pass(&mut self, millis: u32) {
        self.now += Duration::from_millis(millis.into());
        while self.session.poll_timeout().is_some_and(|at| at <= self.now) {
            self.session.handle_timeout(self.now);
        }
    }

    fn act(&mut self, work: Work, act: char, document: u32) {
        match work {
            work if act == 'u' => self.session.unblock(work),
            Work::Method(call) => self.act_on_method(call, act),
            Work::Publication(sub) => self.act_on_publication(sub, act, document),
        }
    }

    fn act_on_method(&mut self, call: CallKey, act: char) {
        let writes = self.writes.entry(call).or_default();
        match act {
            'r' => self.session.method_returned(call, Ok(None)),
            'v' => self.session.method_returned(call, Ok(Some(Value::Null))),
            'e' => self.session.method_returned(call, Err(Error::internal())),
            'i' => {
                let _too_late = self.session.set_user_id(call, Some("u".into()));
            }
            'o' => {
                let _too_late = self.session.set_user_id(call, None);
            }
            'w' => {
                *writes += 1;
                self.session.begin_write(call);
            }
            'c' if *writes > 0 => {
                *writes -= 1;
                self.session.commit_write(call);
            }
            _ => {}
        }
    }

    fn act_on_publication(&mut self, sub: SubscriptionKey, act: char, document: u32) {
        let session = &mut self.session;
        let id = (document / 2).to_string().into();
        let fields = fields! { "by": sub.0, "n": document };
        match act {
            'r' => session.publication_returned(sub),
            'e' => session.fail(sub, Error::internal()),
            'y' => session.ready(sub),
            's' => session.stop(sub),
            'a' => session.added(sub, "c", &id, fields),
            'g' => {
                let _unknown = session.changed(sub, "c", &id, &fields, &["by".to_owned()]);
            }
            'd' => {
                let _unknown = session.removed(sub, "c", &id);
            }
            'l' => self.change_live(sub, document),
            _ => {}
        }
    }

    /// A document of the live collection gets its next version, or goes.
    fn change_live(&mut self, sub: SubscriptionKey, document: u32) {
        let id = (document / 3).to_string();
        let after = Arc::new(fields! { "n": document, "live": true });
        let before = self.live.remove(&(document / 3));
        let change = match before {
            Some(_) if document % 3 == 0 => Some(LiveChange::removed("c", id)),
            Some(before) => LiveChange::changed("c", id, before, Arc::clone(&after)),
            None => Some(LiveChange::added("c", id, Arc::clone(&after))),
        };
        if !matches!(&change, Some(change) if change.text().contains("removed")) {
            self.live.insert(document / 3, after);
        }
        if let Some(change) = change {
            let _unknown = self.session.apply(sub, &Arc::new(change));
        }
    }

    fn settle(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Method { call, .. } => {
                    self.started += 1;
                    self.works.push(Work::Method(call));
                }
                Event::Subscribe { sub, .. } => {
                    assert!(self.open_subscriptions.insert(sub));
                    self.works.push(Work::Publication(sub));
                }
                Event::Stopped { sub } => assert!(self.open_subscriptions.remove(&sub)),
                Event::Connected => {}
            }
        }
        if self.reads {
            self.read();
        }
    }

    fn read(&mut self) {
        while let Some(transmit) = self.session.poll_transmit() {
            if let Transmit::Text(frame) = transmit {
                self.hear(&frame);
            }
        }
        assert_eq!(self.session.queued_bytes(), 0);
    }

    fn hear(&mut self, frame: &str) {
        let message = json::parse(frame).unwrap_or(Value::Null);
        let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default();
        let msg = text("msg");
        let document = (text("collection").to_owned(), text("id").to_owned());
        match msg {
            "" => panic!("no message: {frame}"),
            "added" => assert!(self.documents.insert(document), "again: {frame}"),
            "changed" => assert!(self.documents.contains(&document), "unknown: {frame}"),
            "removed" => assert!(self.documents.remove(&document), "unknown: {frame}"),
            _ => {}
        }
        *self.heard.entry(msg.to_owned()).or_default() += 1;
    }

    /// All handlers return, also those that are started meanwhile; then there is an answer to
    /// everything, and the next call runs.
    fn end(&mut self) {
        self.reads = true;
        if self.session.close_reason().is_none() {
            self.session.handle_text(CONNECT, self.now);
            self.settle();
        }
        self.return_everything();
        if self.session.is_open() {
            assert_eq!(self.heard("result"), self.heard("updated"));
            assert!(self.heard("result") >= self.started);
            let probe = r#"{"msg":"method","id":"probe","method":"probe"}"#;
            let before = self.started;
            self.session.handle_text(probe, self.now);
            self.settle();
            assert_eq!(self.started, before + 1, "the queue is wedged");
        }
        self.session.handle_disconnect();
        self.settle();
        assert!(self.open_subscriptions.is_empty());
    }

    fn return_everything(&mut self) {
        let mut next = 0;
        while let Some(work) = self.works.get(next).copied() {
            if let Work::Method(call) = work {
                for _ in 0..self.writes.remove(&call).unwrap_or(0) {
                    self.session.commit_write(call);
                }
            }
            self.act(work, 'r', 0);
            self.settle();
            next += 1;
        }
    }

    fn heard(&self, msg: &str) -> usize {
        self.heard.get(msg).copied().unwrap_or_default()
    }
}
