//! Two machines, one wire, in memory: our client's connection against our session, with the wire
//! cut wherever it hurts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use ddp_protocol::client::{
    self, CallError, CallKey, CallOptions, Connection, ConnectionConfig, Status,
};
use ddp_protocol::ejson::{Fields, Value};
use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::{self, Names, Session, SessionConfig};
use ddp_protocol::{Error, fields, object};
use proptest::prelude::*;

struct Any;

impl Names for Any {
    fn has_method(&self, _name: &str) -> bool {
        true
    }

    fn has_publication(&self, name: &str) -> bool {
        name != "none"
    }
}

/// A server with numbers as documents. Publication `all` has them all, `even` those whose number
/// is even, with a field of its own; method `set(id, n)` writes and counts.
struct Server {
    session: Session,
    documents: BTreeMap<String, i32>,
    publications: BTreeMap<SubscriptionKey, String>,
    runs: BTreeMap<String, u32>,
    sessions: u32,
}

impl Server {
    fn new() -> Self {
        Self {
            session: session(0),
            documents: BTreeMap::new(),
            publications: BTreeMap::new(),
            runs: BTreeMap::new(),
            sessions: 0,
        }
    }

    fn open(&mut self) {
        self.sessions += 1;
        self.session = session(self.sessions);
        self.publications.clear();
    }

    /// Does one thing that the session asks for. Whether there was one.
    fn works(&mut self) -> bool {
        match self.session.poll_event() {
            Some(session::Event::Method {
                call, name, params, ..
            }) => {
                let result = self.run(&name, &params);
                self.session.method_returned(call, result);
            }
            Some(session::Event::Subscribe { sub, origin, .. }) => {
                let session::Origin::Client { name, .. } = origin else {
                    unreachable!("nothing is universal here");
                };
                self.publications.insert(sub, name);
                for (id, n) in self.documents.clone() {
                    self.publish(sub, &id, None, Some(n));
                }
                self.session.ready(sub);
                self.session.publication_returned(sub);
            }
            Some(session::Event::Stopped { sub }) => {
                self.publications.remove(&sub);
            }
            Some(_) => {}
            None => return false,
        }
        true
    }

    fn run(&mut self, name: &str, params: &[Value]) -> Result<Option<Value>, Error> {
        let text = |at: usize| params.get(at).and_then(Value::as_str);
        match name {
            "set" => {
                let id = text(0).ok_or_else(Error::match_failed)?.to_owned();
                let n = params.get(1).and_then(Value::as_f64);
                let ticket = text(2).unwrap_or_default().to_owned();
                *self.runs.entry(ticket.clone()).or_default() += 1;
                self.write(&id, n.map(|n| n as i32));
                Ok(Some(ticket.into()))
            }
            "login" => Ok(Some(object! { "id": "u", "token": "t" })),
            _ => Err(Error::not_found(name)),
        }
    }

    /// Sets or removes a document, and tells the publications.
    fn write(&mut self, id: &str, n: Option<i32>) {
        let before = match n {
            Some(n) => self.documents.insert(id.to_owned(), n),
            None => self.documents.remove(id),
        };
        for sub in self.publications.keys().copied().collect::<Vec<_>>() {
            self.publish(sub, id, before, n);
        }
    }

    fn publish(&mut self, sub: SubscriptionKey, id: &str, before: Option<i32>, n: Option<i32>) {
        let publication = self.publications[&sub].clone();
        let visible = |n: Option<i32>| n.and_then(|n| view(&publication, n));
        let session = &mut self.session;
        let id = &id.into();
        let outcome = match (visible(before), visible(n)) {
            (None, Some(fields)) => {
                session.added(sub, "docs", id, fields);
                Ok(())
            }
            (Some(_), Some(fields)) => session.changed(sub, "docs", id, &fields, &[]),
            (Some(_), None) => session.removed(sub, "docs", id),
            (None, None) => Ok(()),
        };
        outcome.unwrap();
    }

    /// What a client with these publications should have.
    fn published(&self, publications: &[&str]) -> BTreeMap<String, Fields> {
        let mut expected: BTreeMap<String, Fields> = BTreeMap::new();
        for (id, n) in &self.documents {
            for fields in publications.iter().filter_map(|name| view(name, *n)) {
                expected.entry(id.clone()).or_default().extend(fields);
            }
        }
        expected
    }
}

fn session(number: u32) -> Session {
    let config = Arc::new(SessionConfig::default());
    Session::new(config, Arc::new(Any), format!("S{number}"), Instant::now())
}

fn view(publication: &str, n: i32) -> Option<Fields> {
    match publication {
        "all" => Some(fields! { "n": n }),
        "even" if n % 2 == 0 => Some(fields! { "n": n, "half": n / 2 }),
        _ => None,
    }
}

/// Client and server, and the frames between them.
struct World {
    client: Connection,
    server: Server,
    to_server: VecDeque<String>,
    to_client: VecDeque<String>,
    sent: Vec<String>,
    finished: BTreeMap<CallKey, Vec<Result<Option<Value>, CallError>>>,
    changes: Vec<client::Change>,
    stopped: Vec<String>,
    mirror: BTreeMap<String, Fields>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self {
            client: Connection::new(ConnectionConfig::default()),
            server: Server::new(),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            sent: Vec::new(),
            finished: BTreeMap::new(),
            changes: Vec::new(),
            stopped: Vec::new(),
            mirror: BTreeMap::new(),
            now: Instant::now(),
        }
    }

    fn connected() -> Self {
        let mut world = World::new();
        world.open();
        world.settles();
        world
    }

    fn open(&mut self) {
        if matches!(self.client.status(), Status::Offline(_)) {
            self.server.open();
            self.client.handle_open(self.now);
        }
    }

    /// Everything that is on its way is lost, on both sides.
    fn cut(&mut self) {
        self.to_server.clear();
        self.to_client.clear();
        self.client.handle_disconnect();
        self.server.session.handle_disconnect();
        self.listens();
    }

    fn client_sends(&mut self) -> bool {
        let Some(client::Transmit::Text(frame)) = self.client.poll_transmit() else {
            return false;
        };
        self.sent.push(frame.clone());
        self.to_server.push_back(frame);
        true
    }

    fn server_sends(&mut self) -> bool {
        let Some(session::Transmit::Text(frame)) = self.server.session.poll_transmit() else {
            return false;
        };
        self.to_client.push_back(frame.into_string());
        true
    }

    fn server_hears(&mut self) -> bool {
        let frame = self.to_server.pop_front();
        if let Some(frame) = &frame {
            self.server.session.handle_text(frame, self.now);
        }
        frame.is_some()
    }

    fn client_hears(&mut self) -> bool {
        let frame = self.to_client.pop_front();
        if let Some(frame) = &frame {
            self.client.handle_text(frame, self.now);
        }
        self.listens();
        frame.is_some()
    }

    /// Until nobody has anything to do.
    fn settles(&mut self) {
        while self.client_sends()
            | self.server_hears()
            | self.server.works()
            | self.server_sends()
            | self.client_hears()
        {}
    }

    /// What the application hears, and that it makes sense.
    fn listens(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                client::Event::CallFinished { call, result } => {
                    self.finished.entry(call).or_default().push(result);
                }
                client::Event::Data(change) => {
                    self.follow(&change);
                    self.changes.push(change);
                }
                client::Event::Stopped { sub, .. } => self.stopped.push(sub),
                _ => {}
            }
        }
    }

    /// Each change begins where the last one ended.
    fn follow(&mut self, change: &client::Change) {
        let id = change.id.to_string();
        let before = change.before.as_deref();
        assert_eq!(self.mirror.get(&id), before, "{id}");
        assert_ne!(change.before, change.after, "a change that is none");
        match &change.after {
            Some(after) => self.mirror.insert(id, (**after).clone()),
            None => self.mirror.remove(&id),
        };
    }

    fn subscribe(&mut self, id: &str, name: &str) {
        self.client.subscribe(id, name, vec![]).unwrap();
    }

    fn set(&mut self, id: &str, n: i32, options: CallOptions) -> CallKey {
        let ticket = self.server.runs.len().to_string();
        self.set_with_ticket(id, Some(n), &ticket, options)
    }

    fn set_with_ticket(
        &mut self,
        id: &str,
        n: Option<i32>,
        ticket: &str,
        options: CallOptions,
    ) -> CallKey {
        let n = n.map_or(Value::Null, Value::from);
        let params = vec![id.into(), n, ticket.into()];
        self.client.call("set", params, options).unwrap()
    }

    /// What kinds of message the client has sent since this was last asked.
    fn said(&mut self) -> Vec<String> {
        let frames = std::mem::take(&mut self.sent);
        let kind = |frame: String| frame.split('"').nth(3).unwrap().to_owned();
        frames.into_iter().map(kind).collect()
    }

    fn assert_same_data(&self, publications: &[&str]) {
        let documents = self.client.collection("docs");
        let documents: BTreeMap<String, Fields> = documents
            .into_iter()
            .flatten()
            .map(|(id, fields)| (id.to_string(), (**fields).clone()))
            .collect();
        assert_eq!(documents, self.server.published(publications));
        assert_eq!(documents, self.mirror);
    }
}

#[test]
fn a_wire_cut_in_the_middle_of_a_subscription_loses_and_doubles_no_document() {
    let mut world = World::connected();
    for n in 0..5 {
        world.server.write(&n.to_string(), Some(n));
    }
    world.subscribe("s", "all");
    while world.client_sends() || world.server_hears() || world.server.works() {}
    for _ in 0..3 {
        world.server_sends();
        world.client_hears();
    }
    assert_eq!(world.changes.len(), 3);
    assert!(!world.client.is_ready("s"));
    world.cut();
    world.said();
    world.open();
    world.settles();
    assert_eq!(world.said(), ["connect", "sub"]);
    // as in Meteor: what was never ready is not waited for, so its three documents go and come
    assert_eq!(world.changes.len(), 3 + 3 + 5);
    assert!(world.client.is_ready("s"));
    world.assert_same_data(&["all"]);
}

#[test]
fn what_changed_while_the_wire_was_cut_arrives_as_one_difference() {
    let mut world = World::connected();
    for n in 0..5 {
        world.server.write(&n.to_string(), Some(n));
    }
    world.subscribe("a", "all");
    world.subscribe("e", "even");
    world.settles();
    world.cut();
    world.server.write("0", None);
    world.server.write("1", Some(10));
    world.server.write("new", Some(7));
    world.changes.clear();
    world.open();
    world.settles();
    let changes: Vec<_> = world.changes.iter().map(|c| c.id.to_string()).collect();
    assert_eq!(changes, ["0", "1", "new"]);
    world.assert_same_data(&["all", "even"]);
}

#[test]
fn a_call_that_was_cut_off_before_the_server_heard_it_runs_once() {
    let mut world = World::connected();
    let call = world.set("a", 1, CallOptions::default());
    world.client_sends();
    world.cut();
    world.said();
    world.open();
    world.settles();
    assert_eq!(world.said(), ["connect", "method"]);
    assert_eq!(world.server.runs["0"], 1);
    assert_eq!(world.finished[&call], [Ok(Some("0".into()))]);
}

#[test]
fn a_call_whose_answer_was_lost_runs_again() {
    let mut world = World::connected();
    let call = world.set("a", 1, CallOptions::default());
    while world.client_sends() | world.server_hears() | world.server.works() {}
    assert_eq!(world.server.runs["0"], 1);
    world.cut();
    world.open();
    world.settles();
    assert_eq!(world.server.runs["0"], 2);
    assert_eq!(world.finished[&call], [Ok(Some("0".into()))]);
}

#[test]
fn a_call_without_retry_whose_answer_was_lost_fails_and_does_not_run_again() {
    let mut world = World::connected();
    let options = CallOptions {
        no_retry: true,
        ..CallOptions::default()
    };
    let call = world.set("a", 1, options);
    while world.client_sends() | world.server_hears() | world.server.works() {}
    world.cut();
    world.open();
    world.settles();
    assert_eq!(world.server.runs["0"], 1);
    assert_eq!(world.finished[&call], [Err(CallError::ConnectionLost)]);
}

#[test]
fn a_call_whose_result_came_does_not_run_again_though_its_data_was_lost() {
    let mut world = World::connected();
    world.subscribe("s", "all");
    world.settles();
    let call = world.set("a", 1, CallOptions::default());
    while world.client_sends() | world.server_hears() | world.server.works() {}
    while world.server_sends() {}
    // as a server with a write that ends late says it: the result first, the data never
    let result = world.to_client.pop_back().unwrap();
    assert!(result.contains("result"));
    world.to_client.clear();
    world.to_client.push_back(result);
    world.client_hears();
    assert!(world.finished.is_empty());
    world.cut();
    world.open();
    world.settles();
    assert_eq!(world.server.runs["0"], 1);
    assert_eq!(world.finished[&call], [Ok(Some("0".into()))]);
    world.assert_same_data(&["all"]);
}

#[test]
fn a_login_that_was_cut_off_is_sent_again_and_once_known_goes_first() {
    let mut world = World::connected();
    world.subscribe("s", "all");
    let login = world.client.login(object! { "password": "p" }, None);
    let login = login.unwrap();
    let call = world.set("a", 1, CallOptions::default());
    while world.client_sends() {}
    assert_eq!(world.said(), ["connect", "sub", "method"], "the call waits");
    world.cut();
    world.open();
    world.settles();
    assert_eq!(world.said(), ["connect", "method", "sub", "method"]);
    assert_eq!(world.client.user_id(), Some("u"));
    world.cut();
    world.open();
    while world.client_sends() {}
    assert!(world.sent[1].contains(r#""params":[{"resume":"t"}]"#));
    assert_eq!(world.said(), ["connect", "method", "sub"]);
    world.settles();
    assert_eq!(world.finished[&login].len(), 1);
    assert_eq!(world.finished[&call].len(), 1);
    world.assert_same_data(&["all"]);
}

#[test]
fn a_subscription_that_the_server_refuses_is_not_made_again() {
    let mut world = World::connected();
    world.subscribe("s", "none");
    world.settles();
    assert_eq!(world.stopped, ["s"]);
    world.cut();
    world.said();
    world.open();
    world.settles();
    assert_eq!(world.said(), ["connect"]);
}

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
