//! A script for one client, a line each: frames of a server, and what the application, the wire and
//! the clock do in between. Whatever is said in whatever order, the client does not panic, ends
//! every call once at most, tells each change of a document as it is, bounds what it holds, and
//! works again with a server that behaves.
//!
//! A line that begins with `@` is no frame: `@` and an act of [`World::act`], of which some take a
//! digit. In a frame `%` stands for the id of the last call.

#![no_main]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddp_protocol::client::{
    CallKey, CallOptions, Change, Connection, ConnectionConfig, Event, Status, Transmit,
};
use ddp_protocol::ejson::{self, Fields, Value};
use ddp_protocol::{DocumentId, json, object};
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

/// Small, so that it is reached.
const MAX_HELD_BYTES: usize = 1000;

const CONNECTED: &str = r#"{"msg":"connected","session":"S"}"#;

struct World {
    client: Connection,
    now: Instant,
    last_call: Option<CallKey>,
    /// The calls that are not over, as far as the application knows.
    open_calls: HashSet<CallKey>,
    /// What the client has told of each collection.
    documents: HashMap<(Arc<str>, DocumentId), Arc<Fields>>,
}

impl World {
    fn new() -> Self {
        let config = ConnectionConfig {
            max_held_bytes: MAX_HELD_BYTES,
            max_calls: 20,
            max_subscriptions: 10,
            ..ConnectionConfig::default()
        };
        Self {
            client: Connection::new(config),
            now: Instant::now(),
            last_call: None,
            open_calls: HashSet::new(),
            documents: HashMap::new(),
        }
    }

    fn take(&mut self, line: &str) {
        match line.strip_prefix('@') {
            Some(act) => {
                let mut characters = act.chars();
                let name = characters.next().unwrap_or('o');
                let number = characters.next().and_then(|c| c.to_digit(36));
                self.act(name, number.unwrap_or(0));
            }
            None => {
                let id = self.last_call.map(|call| call.to_string());
                let frame = line.replace('%', &id.unwrap_or_default());
                self.client.handle_text(&frame, self.now);
            }
        }
    }

    fn act(&mut self, name: char, number: u32) {
        let sub = number.to_string();
        match name {
            'o' => self.client.handle_open(self.now),
            // a server that agrees
            'O' => {
                self.client.handle_open(self.now);
                self.client.handle_text(CONNECTED, self.now);
            }
            'x' => self.client.handle_disconnect(),
            'd' => self.client.disconnect(),
            'c' => self.call(number),
            'k' => self.cancel(),
            's' => {
                let _too_many = self.client.subscribe(sub, "pub", vec![]);
            }
            'u' => self.client.unsubscribe(&sub),
            'l' => {
                let login = self.client.login(object! { "password": number }, None);
                self.started(login.ok());
            }
            'L' => {
                let logout = self.client.logout(None);
                self.started(logout.ok());
            }
            'w' => drop(self.write()),
            't' => self.pass(number),
            _ => {}
        }
    }

    fn call(&mut self, kind: u32) {
        let options = CallOptions {
            wait: kind & 1 != 0,
            no_retry: kind & 2 != 0,
            deadline: (kind & 4 != 0).then(|| self.now + Duration::from_secs(5)),
            random_seed: None,
        };
        let call = self.client.call("m", vec![], options);
        self.started(call.ok());
    }

    fn started(&mut self, call: Option<CallKey>) {
        if let Some(call) = call {
            assert!(self.open_calls.insert(call), "{call} twice");
            self.last_call = Some(call);
        }
    }

    fn cancel(&mut self) {
        if let Some(call) = self.last_call {
            self.client.cancel(call);
            self.open_calls.remove(&call);
        }
    }

    fn write(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(transmit) = self.client.poll_transmit() {
            if let Transmit::Text(frame) = transmit {
                said.push(frame);
            }
        }
        said
    }

    /// Time passes, by seconds that grow.
    fn pass(&mut self, seconds: u32) {
        self.now += Duration::from_secs((seconds * seconds).into());
        while self.client.poll_timeout().is_some_and(|at| at <= self.now) {
            self.client.handle_timeout(self.now);
        }
    }

    fn settle(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::CallFinished { call, .. } => {
                    assert!(self.open_calls.remove(&call), "{call} ended twice");
                }
                Event::Data(change) => self.see(change),
                _ => {}
            }
        }
        // what reaches the limit is let go at once
        assert!(self.client.held_bytes() <= MAX_HELD_BYTES);
        assert!(self.client.subscriptions() <= 10);
        // the login is repeated whether there is room or not
        assert!(self.client.unfinished_calls() <= 21);
    }

    fn see(&mut self, change: Change) {
        assert_ne!(change.before, change.after);
        let key = (change.collection, change.id);
        let before = match change.after {
            Some(after) => self.documents.insert(key, after),
            None => self.documents.remove(&key),
        };
        assert_eq!(before, change.before);
    }

    /// A server that answers everything finds a client that asks for an end, and then has nothing.
    fn end(&mut self) {
        self.client.handle_disconnect();
        self.client.handle_open(self.now);
        let mut said = self.write();
        self.client.handle_text(CONNECTED, self.now);
        for _ in 0..200 {
            said.append(&mut self.write());
            if said.is_empty() {
                break;
            }
            said.drain(..)
                .for_each(|frame| answer(&mut self.client, &frame, self.now));
            self.settle();
        }
        assert_eq!(self.client.status(), Status::Connected);
        assert_eq!(self.client.unfinished_calls(), 0);
        assert!(self.open_calls.is_empty(), "{:?}", self.open_calls);
        assert!(!self.client.is_holding_back());
        assert!(self.documents.is_empty());
    }
}

/// What a server says that publishes nothing.
fn answer(client: &mut Connection, frame: &str, now: Instant) {
    let message = json::parse(frame).unwrap_or(Value::Null);
    let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default();
    let id = Value::from(text("id"));
    let answers = match text("msg") {
        "method" => vec![
            object! { "msg": "updated", "methods": Value::Array(vec![id.clone()]) },
            object! { "msg": "result", "id": id },
        ],
        // publications that are gone end likewise
        "sub" if text("id") < "5" => {
            vec![object! { "msg": "ready", "subs": Value::Array(vec![id]) }]
        }
        "sub" | "unsub" => vec![object! { "msg": "nosub", "id": id }],
        _ => vec![],
    };
    for answer in answers {
        client.handle_text(&ejson::stringify(&answer), now);
    }
}
