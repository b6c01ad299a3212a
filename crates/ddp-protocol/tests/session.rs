//! The session's promises, one short conversation each. What Meteor's own server says in the same
//! conversations is replayed in `ddp-server`.

mod support;

use std::time::Duration;

use ddp_protocol::ejson::Value;
use ddp_protocol::session::{CloseReason, Event, SessionConfig, Work};
use ddp_protocol::{Error, fields};
use support::Talk;

fn talk() -> Talk {
    Talk::connected(SessionConfig::default())
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_connection_that_never_says_connect_is_closed_after_45_seconds() {
    let mut talk = Talk::new(SessionConfig::default());
    talk.says(r#"{"msg":"ping"}"#);
    talk.hears();
    talk.passes(44 * SECOND);
    assert_eq!(talk.session.close_reason(), None);
    talk.passes(SECOND);
    assert_eq!(
        talk.session.close_reason(),
        Some(CloseReason::ConnectTimeout)
    );
    assert_eq!(talk.hears(), [""]);
    assert_eq!(talk.session.poll_timeout(), None);
}

#[test]
fn the_first_check_that_fails_is_the_one_that_is_told() {
    let mut talk = Talk::new(SessionConfig::default());
    talk.says("{");
    talk.says(r#"{"params":[{"$binary":5}]}"#);
    talk.says(r#"{"id":1}"#);
    talk.says(r#"{"msg":"nonsense"}"#);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"error","reason":"Bad request"}"#,
            r#"{"msg":"error","reason":"Parse error"}"#,
            r#"{"msg":"error","reason":"Bad request","offendingMessage":{"id":1}}"#,
            r#"{"msg":"error","reason":"Must connect first","offendingMessage":{"msg":"nonsense"}}"#,
        ]
    );
}

#[test]
fn a_silent_client_is_pinged_after_15_seconds_and_closed_after_30() {
    let mut talk = talk();
    talk.passes(15 * SECOND);
    assert_eq!(talk.hears(), [r#"{"msg":"ping"}"#]);
    talk.passes(15 * SECOND);
    assert_eq!(
        talk.session.close_reason(),
        Some(CloseReason::HeartbeatTimeout)
    );
}

#[test]
fn any_message_answers_a_ping() {
    let mut talk = talk();
    for _ in 0..10 {
        talk.passes(16 * SECOND);
        talk.says("what is this?");
    }
    assert!(talk.session.is_open());
}

#[test]
fn messages_are_served_one_by_one_and_pings_at_once() {
    let mut talk = talk();
    talk.calls("first");
    talk.subscribes("second");
    talk.says(r#"{"msg":"nonsense"}"#);
    talk.says(r#"{"msg":"ping","id":"p"}"#);
    assert_eq!(talk.hears(), [r#"{"msg":"pong","id":"p"}"#]);
    let call = talk.runs_method("first");
    assert_eq!(talk.session.poll_event(), None);

    talk.session.method_returned(call, Ok(None));
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"updated","methods":["first"]}"#,
            r#"{"msg":"result","id":"first"}"#
        ]
    );
    let sub = talk.runs_publication("second");
    talk.session.ready(sub);
    assert_eq!(talk.hears(), [r#"{"msg":"ready","subs":["second"]}"#]);
    talk.session.publication_returned(sub);
    assert_eq!(talk.hears().len(), 1);
}

#[test]
fn unblocking_lets_exactly_one_more_message_start() {
    let mut talk = talk();
    for name in ["a", "b", "c"] {
        talk.calls(name);
    }
    let a = talk.runs_method("a");
    talk.session.unblock(Work::Method(a));
    let b = talk.runs_method("b");
    talk.session.unblock(Work::Method(a));
    talk.session.method_returned(a, Ok(None));
    assert_eq!(talk.session.poll_event(), None);
    talk.session.method_returned(b, Ok(None));
    talk.runs_method("c");
}

#[test]
fn names_that_wedge_meteors_queue_do_not_wedge_ours() {
    let mut talk = talk();
    talk.says(r#"{"msg":"unsub","id":5}"#);
    talk.says(r#"{"msg":"__proto__"}"#);
    talk.says(r#"{"msg":"unsub"}"#);
    let heard = talk.hears();
    assert_eq!(heard[0], r#"{"msg":"nosub","id":5}"#);
    assert!(heard[1].starts_with(r#"{"msg":"error","reason":"Bad request""#));
    assert_eq!(heard[2], r#"{"msg":"nosub"}"#);
    talk.calls("alive");
    talk.runs_method("alive");
}

#[test]
fn a_method_answers_once() {
    let mut talk = talk();
    talk.calls("m");
    let call = talk.runs_method("m");
    talk.session.method_returned(call, Ok(Some(Value::Null)));
    talk.session.method_returned(call, Err(Error::internal()));
    let heard = talk.hears();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[1], r#"{"msg":"result","id":"m","result":null}"#);
}

#[test]
fn updated_waits_for_every_write_but_the_queue_does_not() {
    let mut talk = talk();
    talk.calls("m");
    talk.calls("next");
    let call = talk.runs_method("m");
    talk.session.begin_write(call);
    talk.session.begin_write(call);
    talk.session.method_returned(call, Ok(None));
    assert_eq!(talk.hears(), [r#"{"msg":"result","id":"m"}"#]);
    talk.runs_method("next");
    talk.session.commit_write(call);
    assert!(talk.hears().is_empty());
    talk.session.commit_write(call);
    assert_eq!(talk.hears(), [r#"{"msg":"updated","methods":["m"]}"#]);
    talk.session.commit_write(call);
    assert!(talk.hears().is_empty());
}

#[test]
fn a_late_publication_does_not_write_into_the_next_one_of_the_same_id() {
    let mut talk = talk();
    talk.subscribes("s");
    let old = talk.runs_publication("s");
    talk.session.publication_returned(old);
    talk.says(r#"{"msg":"unsub","id":"s"}"#);
    assert_eq!(talk.session.poll_event(), Some(Event::Stopped { sub: old }));
    talk.subscribes("s");
    talk.runs_publication("s");
    talk.hears();

    talk.session
        .added(old, "c", &"d".into(), fields! { "n": 1 });
    assert!(
        talk.session
            .changed(old, "c", &"d".into(), &fields! { "n": 1 }, &[])
            .is_ok()
    );
    talk.session.ready(old);
    talk.session.fail(old, Error::internal());
    assert!(talk.hears().is_empty());
}

#[test]
fn a_change_of_an_unknown_document_fails_the_handler_but_not_what_it_started() {
    let mut talk = talk();
    talk.subscribes("s");
    let sub = talk.runs_publication("s");
    talk.session.publication_returned(sub);
    assert!(talk.session.removed(sub, "c", &"d".into()).is_err());
    assert!(talk.hears().is_empty());

    talk.subscribes("t");
    let sub = talk.runs_publication("t");
    assert!(talk.session.removed(sub, "c", &"d".into()).is_err());
    assert!(talk.hears()[0].starts_with(r#"{"msg":"nosub","id":"t","error":{"#));
}

#[test]
fn closing_stops_subscriptions_and_says_nothing_more() {
    let mut talk = talk();
    talk.subscribes("s");
    let sub = talk.runs_publication("s");
    talk.session.added(sub, "c", &"d".into(), fields! {});
    talk.session.publication_returned(sub);
    talk.calls("m");
    talk.calls("waits");
    let call = talk.runs_method("m");
    talk.session.close();
    talk.session.method_returned(call, Ok(None));
    talk.says(r#"{"msg":"ping"}"#);
    assert_eq!(
        talk.hears(),
        [r#"{"msg":"added","collection":"c","id":"d"}"#, ""]
    );
    assert_eq!(talk.session.poll_event(), Some(Event::Stopped { sub }));
    assert_eq!(talk.session.poll_event(), None);
    assert_eq!(talk.session.close_reason(), Some(CloseReason::Application));
}

#[test]
fn a_client_that_does_not_read_is_closed_and_nothing_kept_for_it() {
    let mut talk = Talk::connected(SessionConfig {
        max_queued_bytes: 150,
        ..Default::default()
    });
    talk.subscribes("s");
    let sub = talk.runs_publication("s");
    for n in 0..3 {
        assert_eq!(talk.session.close_reason(), None);
        let fields = fields! { "text": "x".repeat(40) };
        talk.session.added(sub, "c", &n.to_string().into(), fields);
    }
    assert_eq!(talk.session.close_reason(), Some(CloseReason::SlowReader));
    assert_eq!(talk.session.queued_bytes(), 0);
    assert_eq!(talk.hears(), [""]);
}

#[test]
fn one_large_document_does_not_make_a_slow_reader() {
    let mut talk = Talk::connected(SessionConfig {
        max_queued_bytes: 100,
        ..Default::default()
    });
    talk.subscribes("s");
    let sub = talk.runs_publication("s");
    talk.session
        .added(sub, "c", &"d".into(), fields! { "text": "x".repeat(1000) });
    assert_eq!(talk.hears().len(), 1);
    talk.session.ready(sub);
    assert!(talk.session.is_open());
}
