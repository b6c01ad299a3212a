//! What makes no sense, and what is too much.

use std::time::Duration;

use ddp_protocol::client::{ConnectionConfig, Event, LimitError, Status};
use ddp_protocol::ejson::Value;

use crate::talk::{SECOND, Talk, added, plain, ready, result, updated, wait};

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
    for n in 0..9 {
        talk.hears(&added(&n.to_string(), 1));
        assert!(talk.client.held_bytes() <= 500);
    }
    assert_eq!(talk.happens()[0], Event::ShownEarly);
    assert!(!talk.client.is_holding_back());
    assert_eq!(talk.ids().len(), 9, "and the old document is gone");
    talk.hears(&ready("s"));
    assert_eq!(talk.client.status(), Status::Connected);
    assert!(talk.happens().is_empty(), "it was ready before");
}

#[test]
fn a_subscription_that_is_never_ready_again_does_not_keep_old_data_for_good() {
    let mut talk = Talk::connected();
    talk.has("old");
    talk.has("there");
    talk.reconnects();
    talk.hears(&added("there", 1));
    talk.hears(&ready("there"));
    for _ in 0..4 {
        talk.passes(14 * SECOND);
        talk.hears(r#"{"msg":"pong"}"#);
    }
    assert_eq!(talk.ids(), ["old", "there"]);
    assert!(talk.happens().is_empty());
    talk.passes(4 * SECOND);
    assert_eq!(talk.happens()[0], Event::ShownEarly);
    assert_eq!(talk.ids(), ["there"]);
    talk.hears(&added("new", 1));
    assert_eq!(talk.ids(), ["new", "there"]);
}

#[test]
fn a_wait_call_holds_data_back_for_a_limited_time_from_the_first_message_on() {
    let mut talk = Talk::new(ConnectionConfig {
        heartbeat_interval: Duration::ZERO,
        ..ConnectionConfig::default()
    });
    talk.connects();
    talk.calls(wait());
    talk.says();
    talk.passes(100 * SECOND);
    talk.hears(&added("d", 1));
    talk.passes(59 * SECOND);
    assert!(talk.ids().is_empty());
    talk.passes(SECOND);
    assert_eq!(talk.ids(), ["d"]);
    assert_eq!(talk.client.unfinished_calls(), 1);
}

#[test]
fn what_is_taken_back_before_it_is_sent_does_not_pile_up() {
    let mut talk = Talk::connected();
    talk.says();
    for n in 0..100 {
        let call = talk.calls(plain());
        talk.client.cancel(call);
        talk.subscribes(&n.to_string());
        talk.client.unsubscribe(&n.to_string());
        assert!(!talk.client.has_transmit());
    }
}

#[test]
fn times_without_end_are_no_times() {
    let mut talk = Talk::new(ConnectionConfig {
        connect_timeout: Duration::MAX,
        login_timeout: Duration::MAX,
        heartbeat_interval: Duration::MAX,
        heartbeat_timeout: Duration::MAX,
        max_hold_time: Duration::MAX,
        ..ConnectionConfig::default()
    });
    talk.connects();
    talk.has("s");
    talk.reconnects();
    assert_eq!(talk.client.poll_timeout(), None);
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
