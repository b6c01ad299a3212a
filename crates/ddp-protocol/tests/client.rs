//! The promises of a client's connection, one short conversation each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use ddp_protocol::client::{
    CallError, CallKey, CallOptions, Change, Connection, ConnectionConfig, Event, LimitError, Loss,
    Status, Transmit,
};
use ddp_protocol::ejson::Value;
use ddp_protocol::{Error, object};

const SECOND: Duration = Duration::from_secs(1);

/// A client, and a server made of strings.
struct Talk {
    client: Connection,
    now: Instant,
}

impl Talk {
    fn new(config: ConnectionConfig) -> Self {
        Self {
            client: Connection::new(config),
            now: Instant::now(),
        }
    }

    fn connected() -> Self {
        let mut talk = Self::new(ConnectionConfig::default());
        talk.connects();
        talk.happens();
        talk
    }

    /// Opens a connection, and the server agrees. What the client said.
    fn connects(&mut self) -> Vec<String> {
        self.client.handle_open(self.now);
        let said = self.says();
        self.hears(r#"{"msg":"connected","session":"S"}"#);
        said
    }

    fn reconnects(&mut self) -> Vec<String> {
        self.client.handle_disconnect();
        self.connects()
    }

    fn hears(&mut self, frame: &str) {
        self.client.handle_text(frame, self.now);
    }

    /// What the client sends; a close is an empty frame.
    fn says(&mut self) -> Vec<String> {
        let frames = std::iter::from_fn(|| self.client.poll_transmit());
        frames
            .map(|transmit| match transmit {
                Transmit::Text(frame) => frame,
                Transmit::Close => String::new(),
            })
            .collect()
    }

    /// What the application is told, but for the status.
    fn happens(&mut self) -> Vec<Event> {
        let events = std::iter::from_fn(|| self.client.poll_event());
        events
            .filter(|event| !matches!(event, Event::Status(_)))
            .collect()
    }

    fn calls(&mut self, options: CallOptions) -> CallKey {
        self.client.call("m", vec![], options).unwrap()
    }

    fn subscribes(&mut self, id: &str) {
        self.client.subscribe(id, "pub", vec![]).unwrap();
    }

    /// Subscribes, and the server adds a document of the same id.
    fn has(&mut self, id: &str) {
        self.subscribes(id);
        self.hears(&added(id, 1));
        self.hears(&ready(id));
        self.says();
        self.happens();
    }

    fn passes(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.client.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.client.handle_timeout(at);
        }
        self.now = until;
    }

    fn ids(&self) -> Vec<&str> {
        let documents = self.client.collection("c");
        documents
            .into_iter()
            .flatten()
            .map(|(id, _)| id.as_wire())
            .collect()
    }
}

fn added(id: &str, n: i32) -> String {
    format!(r#"{{"msg":"added","collection":"c","id":"{id}","fields":{{"n":{n}}}}}"#)
}

fn ready(sub: &str) -> String {
    format!(r#"{{"msg":"ready","subs":["{sub}"]}}"#)
}

fn updated(call: CallKey) -> String {
    format!(r#"{{"msg":"updated","methods":["{call}"]}}"#)
}

fn result(call: CallKey) -> String {
    format!(r#"{{"msg":"result","id":"{call}","result":1}}"#)
}

fn method(call: CallKey) -> String {
    format!(r#"{{"msg":"method","method":"m","params":[],"id":"{call}"}}"#)
}

fn sub(id: &str) -> String {
    format!(r#"{{"msg":"sub","id":"{id}","name":"pub","params":[]}}"#)
}

fn finished(call: CallKey) -> Event {
    Event::CallFinished {
        call,
        result: Ok(Some(1.into())),
    }
}

fn failed(call: CallKey, error: CallError) -> Event {
    Event::CallFinished {
        call,
        result: Err(error),
    }
}

fn wait() -> CallOptions {
    CallOptions {
        wait: true,
        ..CallOptions::default()
    }
}

fn no_retry() -> CallOptions {
    CallOptions {
        no_retry: true,
        ..CallOptions::default()
    }
}

fn plain() -> CallOptions {
    CallOptions::default()
}

const CONNECT: &str = r#"{"msg":"connect","version":"1","support":["1","pre2","pre1"]}"#;

#[test]
fn what_was_asked_for_before_there_is_a_connection_is_sent_with_the_first() {
    let mut talk = Talk::new(ConnectionConfig::default());
    let call = talk.calls(plain());
    talk.subscribes("s");
    assert!(talk.says().is_empty());
    assert_eq!(
        talk.connects(),
        [CONNECT.to_owned(), method(call), sub("s")]
    );
}

#[test]
fn the_version_that_the_server_speaks_is_tried_next_and_nothing_lost() {
    let mut talk = Talk::new(ConnectionConfig::default());
    let call = talk.calls(no_retry());
    talk.client.handle_open(talk.now);
    talk.says();
    talk.hears(r#"{"msg":"failed","version":"pre1"}"#);
    assert_eq!(talk.client.status(), Status::Offline(Loss::OtherVersion));
    assert_eq!(talk.says(), [""]);
    let said = talk.connects();
    assert_eq!(said[0], CONNECT.replacen("\"1\"", "\"pre1\"", 1));
    assert_eq!(said[1], method(call));
    talk.passes(100 * SECOND);
    assert_eq!(talk.client.status(), Status::Connected);
    assert!(talk.says().is_empty(), "pre1 knows no pings");
}

#[test]
fn a_server_that_speaks_none_of_our_versions_ends_all_calls() {
    for refusals in [&["7"][..], &["1"], &["pre2", "1"]] {
        let mut talk = Talk::new(ConnectionConfig::default());
        let call = talk.calls(plain());
        for version in refusals {
            talk.client.handle_open(talk.now);
            talk.hears(&format!(r#"{{"msg":"failed","version":"{version}"}}"#));
        }
        assert_eq!(talk.client.status(), Status::Offline(Loss::NoCommonVersion));
        assert_eq!(
            talk.happens(),
            [failed(call, CallError::NoCommonVersion)],
            "{refusals:?}"
        );
        let refused = talk.client.call("m", vec![], plain());
        assert_eq!(refused, Err(LimitError::NoCommonVersion));
    }
}

#[test]
fn a_call_is_over_when_both_its_result_and_its_data_are_there() {
    let mut talk = Talk::connected();
    let (first, second) = (talk.calls(plain()), talk.calls(plain()));
    talk.hears(&result(first));
    talk.hears(&updated(second));
    assert!(talk.happens().is_empty());
    talk.hears(&updated(first));
    assert_eq!(talk.happens(), [finished(first)]);
    talk.hears(&result(second));
    assert_eq!(talk.happens(), [finished(second)]);
    talk.hears(&result(second));
    assert!(talk.happens().is_empty());
}

#[test]
fn errors_and_results_are_told_apart() {
    let mut talk = Talk::connected();
    let call = talk.calls(plain());
    talk.hears(&updated(call));
    talk.hears(&format!(
        r#"{{"msg":"result","id":"{call}","error":{{"error":404,"reason":"r","details":{{"$date":1}}}}}}"#
    ));
    let error = Error::new(404, "r").details(object! { "$date": 1 });
    assert_eq!(talk.happens(), [failed(call, CallError::Server(error))]);
    let call = talk.calls(plain());
    talk.hears(&updated(call));
    talk.hears(&format!(
        r#"{{"msg":"result","id":"{call}","result":{{"$binary":5}}}}"#
    ));
    assert_eq!(talk.happens(), [failed(call, CallError::UnreadableResult)]);
}

#[test]
fn a_wait_call_waits_for_earlier_ones_and_later_ones_for_it() {
    let mut talk = Talk::connected();
    let [a, b] = [talk.calls(plain()), talk.calls(plain())];
    let alone = talk.calls(wait());
    let [c, d] = [talk.calls(plain()), talk.calls(plain())];
    assert_eq!(talk.says(), [method(a), method(b)]);
    for call in [a, b] {
        assert!(talk.says().is_empty());
        talk.hears(&result(call));
        talk.hears(&updated(call));
    }
    assert_eq!(talk.says(), [method(alone)]);
    talk.hears(&result(alone));
    assert!(talk.says().is_empty());
    talk.hears(&updated(alone));
    assert_eq!(talk.says(), [method(c), method(d)]);
    let e = talk.calls(plain());
    assert_eq!(talk.says(), [method(e)]);
}

#[test]
fn data_is_held_back_while_a_wait_call_runs() {
    let mut talk = Talk::connected();
    talk.subscribes("s");
    let call = talk.calls(wait());
    talk.says();
    talk.hears(&added("d", 1));
    talk.hears(&ready("s"));
    talk.hears(&result(call));
    assert!(talk.happens().is_empty());
    talk.hears(&updated(call));
    let happened = talk.happens();
    assert!(matches!(
        &happened[0],
        Event::Data(Change { before: None, .. })
    ));
    assert_eq!(happened[1], Event::Ready { sub: "s".into() });
    assert_eq!(happened[2], finished(call));
}

#[test]
fn a_reconnect_sends_again_what_has_no_result_and_all_subscriptions() {
    let mut talk = Talk::connected();
    talk.has("s");
    talk.subscribes("late");
    let answered = talk.calls(plain());
    let open = talk.calls(plain());
    talk.says();
    talk.hears(&result(answered));
    talk.hears(&updated(open));
    let again = talk.reconnects();
    let connect = CONNECT.replacen(r#""version""#, r#""session":"S","version""#, 1);
    assert_eq!(again, [connect, method(open), sub("s"), sub("late")]);

    talk.hears(&ready("s"));
    talk.hears(&result(open));
    assert!(
        talk.happens().is_empty(),
        "the data of the call is not there"
    );
    talk.hears(&updated(open));
    let mut calls = talk.happens();
    calls.retain(|event| matches!(event, Event::CallFinished { .. }));
    assert_eq!(calls, [finished(open), finished(answered)]);
    assert!(!talk.client.is_holding_back(), "late was never ready");
}

#[test]
fn after_a_reconnect_the_old_data_stays_until_all_is_there_again_and_nothing_flaps() {
    let mut talk = Talk::connected();
    for id in ["same", "gone", "other"] {
        talk.has(id);
    }
    talk.reconnects();
    talk.hears(&added("same", 1));
    talk.hears(&ready("same"));
    talk.hears(&added("other", 1));
    talk.hears(r#"{"msg":"changed","collection":"c","id":"other","fields":{"n":2}}"#);
    talk.hears(&added("new", 1));
    talk.hears(&ready("other"));
    assert!(talk.happens().is_empty());
    assert_eq!(talk.ids(), ["gone", "other", "same"]);
    talk.hears(r#"{"msg":"nosub","id":"gone","error":{"error":404}}"#);
    let changed: Vec<_> = talk
        .happens()
        .into_iter()
        .map(|event| match event {
            Event::Data(change) => change.id.to_string(),
            Event::Stopped { sub, error } => format!("{sub} stopped {}", error.unwrap()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(changed, ["gone", "other", "new", "gone stopped [404]"]);
    assert_eq!(talk.ids(), ["new", "other", "same"]);
}

#[test]
fn a_second_loss_while_data_is_held_back_begins_anew() {
    let mut talk = Talk::connected();
    talk.has("a");
    talk.has("b");
    talk.reconnects();
    talk.hears(&added("x", 1));
    talk.hears(&ready("a"));
    talk.reconnects();
    talk.hears(&ready("b"));
    assert_eq!(talk.ids(), ["a", "b"]);
    talk.hears(&ready("a"));
    assert!(talk.ids().is_empty());
}

#[test]
fn a_call_without_retry_fails_only_if_it_was_on_its_way() {
    let mut talk = Talk::connected();
    let sent = talk.calls(no_retry());
    talk.says();
    let waiting = talk.calls(no_retry());
    talk.client.handle_disconnect();
    assert_eq!(talk.happens(), [failed(sent, CallError::ConnectionLost)]);
    assert_eq!(talk.connects()[1..], [method(waiting)]);
    talk.hears(&result(waiting));
    talk.reconnects();
    assert_eq!(talk.happens(), [finished(waiting)]);
}

#[test]
fn a_cancelled_call_is_not_sent_not_sent_again_and_holds_nothing_up() {
    let mut talk = Talk::connected();
    let never = talk.calls(plain());
    talk.client.cancel(never);
    assert!(talk.says().is_empty());
    let stuck = talk.calls(wait());
    let next = talk.calls(plain());
    talk.subscribes("s");
    assert_eq!(talk.says(), [method(stuck), sub("s")]);
    talk.hears(&ready("s"));
    talk.client.cancel(stuck);
    assert_eq!(talk.happens(), [Event::Ready { sub: "s".into() }]);
    assert_eq!(talk.says(), [method(next)]);
    talk.hears(&result(stuck));
    talk.hears(&updated(stuck));
    assert_eq!(talk.reconnects()[1..], [method(next), sub("s")]);
    assert!(talk.happens().is_empty());
}

#[test]
fn a_call_that_is_cancelled_before_the_session_begins_does_not_wipe_the_data() {
    let mut talk = Talk::connected();
    talk.has("a");
    let call = talk.calls(wait());
    talk.says();
    talk.reconnects();
    talk.client.handle_disconnect();
    talk.client.handle_open(talk.now);
    talk.client.cancel(call);
    assert_eq!(talk.ids(), ["a"]);
}

#[test]
fn calls_are_given_up_at_their_deadline_connected_or_not() {
    let mut talk = Talk::new(ConnectionConfig::default());
    let call = talk.calls(CallOptions {
        deadline: Some(talk.now + SECOND),
        ..plain()
    });
    talk.passes(SECOND / 2);
    assert!(talk.happens().is_empty());
    talk.passes(SECOND / 2);
    assert_eq!(talk.happens(), [failed(call, CallError::Timeout)]);
    assert_eq!(talk.connects().len(), 1);
    assert_eq!(talk.client.unfinished_calls(), 0);
}

fn login(talk: &mut Talk, token: &str) {
    let call = talk
        .client
        .login(object! { "password": "p" }, None)
        .unwrap();
    talk.says();
    talk.hears(&format!(
        r#"{{"msg":"result","id":"{call}","result":{{"id":"u","token":"{token}"}}}}"#
    ));
}

#[test]
fn a_login_is_repeated_ahead_of_everything_and_what_follows_waits_for_it() {
    let mut talk = Talk::connected();
    talk.has("s");
    // the connection is lost between the login's result and its data
    login(&mut talk, "t1");
    assert_eq!(talk.client.user_id(), None);
    talk.reconnects();
    talk.client.handle_disconnect();
    let call = talk.calls(plain());
    let resume = r#""method":"login","params":[{"resume":"t1"}]"#;
    let said = talk.connects();
    assert!(said[1].contains(resume), "{said:?}");
    assert_eq!(said[2..], [sub("s")]);
    let id = said[1].split('"').nth_back(1).unwrap().to_owned();
    talk.hears(&ready("s"));
    talk.hears(&format!(
        r#"{{"msg":"result","id":"{id}","result":{{"id":"u","token":"t2"}}}}"#
    ));
    assert_eq!(talk.client.user_id(), None);
    talk.hears(&format!(r#"{{"msg":"updated","methods":["{id}"]}}"#));
    assert_eq!(talk.client.user_id(), Some("u"));
    assert_eq!(talk.says(), [method(call)]);
    let logins = talk
        .happens()
        .into_iter()
        .filter(|event| matches!(event, Event::CallFinished { .. }));
    assert_eq!(logins.count(), 1, "only the login that was asked for");
    assert!(talk.reconnects()[1].contains(r#"{"resume":"t2"}"#));
}

#[test]
fn a_login_that_cannot_be_repeated_is_lost() {
    let mut talk = Talk::connected();
    login(&mut talk, "t");
    talk.hears(r#"{"msg":"updated","methods":["1"]}"#);
    talk.happens();
    talk.reconnects();
    talk.hears(r#"{"msg":"result","id":"2","error":{"error":403}}"#);
    talk.hears(r#"{"msg":"updated","methods":["2"]}"#);
    let error = CallError::Server(Error::code_only(403));
    assert_eq!(
        talk.happens(),
        [Event::User { id: None }, Event::LoginLost(error)]
    );
    assert_eq!(talk.reconnects().len(), 1);
}

#[test]
fn after_a_logout_no_login_is_repeated() {
    let mut talk = Talk::connected();
    login(&mut talk, "t");
    talk.hears(r#"{"msg":"updated","methods":["1"]}"#);
    let logout = talk.client.logout(None).unwrap();
    talk.hears(&updated(logout));
    talk.hears(&format!(r#"{{"msg":"result","id":"{logout}"}}"#));
    assert_eq!(talk.client.user_id(), None);
    assert_eq!(talk.reconnects().len(), 1);
}

#[test]
fn heartbeats_go_both_ways() {
    let mut talk = Talk::connected();
    talk.hears(r#"{"msg":"ping","id":"p"}"#);
    talk.hears(r#"{"msg":"ping"}"#);
    assert_eq!(
        talk.says(),
        [r#"{"msg":"pong","id":"p"}"#, r#"{"msg":"pong"}"#]
    );
    talk.passes(35 * SECOND);
    assert_eq!(talk.says(), [r#"{"msg":"ping"}"#]);
    talk.hears(r#"{"msg":"pong"}"#);
    talk.passes(35 * SECOND);
    assert_eq!(talk.says(), [r#"{"msg":"ping"}"#]);
    talk.passes(15 * SECOND);
    assert_eq!(
        talk.client.status(),
        Status::Offline(Loss::HeartbeatTimeout)
    );
    assert_eq!(talk.says(), [""]);
}

#[test]
fn a_server_that_reads_no_pongs_does_not_make_them_pile_up() {
    let mut talk = Talk::connected();
    for _ in 0..10_000 {
        talk.hears(r#"{"msg":"ping"}"#);
    }
    assert_eq!(talk.says().len(), 64);
    talk.hears(r#"{"msg":"ping"}"#);
    assert_eq!(talk.says().len(), 1);
}

#[test]
fn a_server_that_does_not_answer_connect_is_given_up() {
    let mut talk = Talk::new(ConnectionConfig::default());
    talk.client.handle_open(talk.now);
    talk.passes(10 * SECOND);
    assert_eq!(talk.client.status(), Status::Offline(Loss::ConnectTimeout));
    talk.hears(r#"{"msg":"connected","session":"S"}"#);
    assert_eq!(talk.client.status(), Status::Offline(Loss::ConnectTimeout));
}

#[test]
fn nothing_counts_before_the_session_begins() {
    let mut talk = Talk::new(ConnectionConfig::default());
    let call = talk.calls(plain());
    talk.client.handle_open(talk.now);
    talk.hears(&result(call));
    talk.hears(&updated(call));
    talk.hears(&added("d", 1));
    assert!(talk.happens().is_empty());
    assert_eq!(talk.client.ignored_messages(), 3);
}

#[test]
fn messages_that_make_no_sense_are_passed_over_and_counted() {
    let mut talk = Talk::new(ConnectionConfig::default());
    talk.hears(r#"{"server_id":"0"}"#);
    assert_eq!(talk.client.ignored_messages(), 0, "there is no connection");
    talk.client.handle_open(talk.now);
    let senseless = [
        r#"{"server_id":"0"}"#,
        r#"{"msg":"result","id":"1"}"#,
        r#"{"msg":"connected"}"#,
        r#"{"msg":"connected"}"#,
        r#"{"msg":"failed","version":"pre1"}"#,
        r#"{"msg":"result","id":"1"}"#,
        r#"{"msg":"movedBefore","collection":"c","id":"d"}"#,
        "{",
    ];
    for frame in senseless {
        talk.hears(frame);
    }
    assert_eq!(talk.client.ignored_messages(), 7);
    assert_eq!(talk.client.status(), Status::Connected);
    talk.happens();
    // no harm, and not counted: the server may say these at any time
    talk.hears(r#"{"msg":"removed","collection":"c","id":"d"}"#);
    talk.hears(r#"{"msg":"ready","subs":["x"]}"#);
    talk.hears(r#"{"msg":"updated","methods":["77","x"]}"#);
    talk.hears(r#"{"msg":"nosub","id":"x"}"#);
    assert!(talk.happens().is_empty());
    talk.hears(r#"{"msg":"error","reason":"Bad request"}"#);
    let reason = "Bad request".into();
    assert_eq!(talk.happens(), [Event::Misunderstood { reason }]);
}

#[test]
fn what_is_held_back_is_limited() {
    let mut talk = Talk::new(ConnectionConfig {
        max_held_bytes: 500,
        ..ConnectionConfig::default()
    });
    talk.connects();
    talk.has("s");
    talk.reconnects();
    for n in 0..20 {
        talk.hears(&added(&n.to_string(), 1));
    }
    assert_eq!(talk.client.status(), Status::Offline(Loss::TooMuchHeld));
    assert_eq!(talk.client.held_bytes(), 0);
    assert_eq!(talk.ids(), ["s"]);
}

#[test]
fn what_may_wait_is_limited() {
    let mut talk = Talk::new(ConnectionConfig {
        max_calls: 2,
        max_subscriptions: 1,
        ..ConnectionConfig::default()
    });
    let first = talk.calls(plain());
    talk.calls(plain());
    assert_eq!(
        talk.client.call("m", vec![], plain()),
        Err(LimitError::Calls)
    );
    talk.client.cancel(first);
    talk.calls(plain());
    talk.subscribes("s");
    let subscribe = |talk: &mut Talk, id| talk.client.subscribe(id, "pub", vec![]);
    assert_eq!(subscribe(&mut talk, "s"), Err(LimitError::SubscriptionId));
    assert_eq!(subscribe(&mut talk, "t"), Err(LimitError::Subscriptions));
    talk.client.unsubscribe("s");
    assert_eq!(subscribe(&mut talk, "t"), Ok(()));
}

#[test]
fn the_bytes_of_calls_that_wait_are_limited() {
    let mut talk = Talk::new(ConnectionConfig {
        max_call_bytes: 1000,
        ..ConnectionConfig::default()
    });
    let large: Value = "x".repeat(2000).into();
    let large = talk.client.call("m", vec![large], plain()).unwrap();
    assert_eq!(
        talk.client.call("m", vec![], plain()),
        Err(LimitError::CallBytes)
    );
    talk.client.cancel(large);
    talk.calls(plain());
}

#[test]
fn a_disconnect_keeps_calls_and_subscriptions_for_the_next_connection() {
    let mut talk = Talk::connected();
    talk.has("s");
    talk.client.disconnect();
    assert_eq!(talk.says(), [""]);
    assert_eq!(talk.client.status(), Status::Offline(Loss::Requested));
    let call = talk.calls(plain());
    talk.client.unsubscribe("gone");
    assert_eq!(talk.connects()[1..], [method(call), sub("s")]);
    talk.client.unsubscribe("s");
    assert_eq!(talk.says(), [r#"{"msg":"unsub","id":"s"}"#]);
}
