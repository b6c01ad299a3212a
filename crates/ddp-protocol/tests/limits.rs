//! What a client may cost: how much it may send, keep waiting, and leave unread.

mod support;

use std::time::Duration;

use ddp_protocol::fields;
use ddp_protocol::session::{CloseReason, MessageRate, SessionConfig, Work};
use support::Talk;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_client_that_sends_too_much_is_closed() {
    let mut talk = Talk::connected(SessionConfig {
        message_rate: MessageRate {
            per_second: 2,
            burst: 3,
        },
        ..Default::default()
    });
    for _ in 0..10 {
        talk.passes(SECOND);
        talk.says(r#"{"msg":"ping"}"#);
        talk.says("nonsense counts as well");
    }
    assert_eq!(talk.session.close_reason(), None);
    talk.passes(SECOND);
    for _ in 0..4 {
        talk.says(r#"{"msg":"pong"}"#);
    }
    assert_eq!(
        talk.session.close_reason(),
        Some(CloseReason::TooManyMessages)
    );
    assert_eq!(talk.session.messages_in(), 1 + 20 + 4);
}

#[test]
fn large_messages_wait_only_up_to_a_limit() {
    let mut talk = Talk::connected(SessionConfig {
        max_incoming_bytes: 500,
        ..Default::default()
    });
    let large = |id: &str| {
        let text = "x".repeat(400);
        format!(r#"{{"msg":"method","id":"{id}","method":"m","params":["{text}"]}}"#)
    };
    talk.calls("runs");
    let running = talk.runs_method("runs");
    for id in ["a", "b", "c"] {
        talk.says(&large(id));
    }
    assert_eq!(talk.session.queued_messages(), 2);
    let heard = talk.hears();
    assert!(
        heard[0].starts_with(r#"{"msg":"result","id":"c","error":{"#),
        "{heard:?}"
    );
    assert!(heard[0].contains(r#""error":"too-many-requests""#));
    assert_eq!(heard[1], r#"{"msg":"updated","methods":["c"]}"#);

    talk.session.method_returned(running, Ok(None));
    talk.runs_method("m");
    talk.says(&large("d"));
    assert_eq!(talk.session.queued_messages(), 2);
}

#[test]
fn what_open_subscriptions_keep_counts() {
    let mut talk = Talk::connected(SessionConfig {
        max_incoming_bytes: 500,
        ..Default::default()
    });
    let large = |id: &str| {
        let text = "x".repeat(600);
        format!(r#"{{"msg":"sub","id":"{id}","name":"p","params":["{text}"]}}"#)
    };
    talk.says(&large("a"));
    let sub = talk.runs_publication("p");
    talk.session.publication_returned(sub);
    talk.says(&large("b"));
    assert!(talk.hears()[0].contains(r#""error":"too-many-subscriptions""#));
    talk.says(r#"{"msg":"unsub","id":"a"}"#);
    talk.stops(sub);
    talk.says(&large("b"));
    talk.runs_publication("p");
}

#[test]
fn subscriptions_and_waiting_messages_are_counted() {
    let mut talk = Talk::connected(SessionConfig {
        max_subscriptions: 1,
        max_queued_messages: 1,
        ..Default::default()
    });
    talk.subscribes("s");
    let sub = talk.runs_publication("s");
    talk.says(r#"{"msg":"unsub","id":"other"}"#);
    talk.subscribes("one too many");
    let heard = talk.hears();
    assert!(heard[0].starts_with(r#"{"msg":"nosub","id":"one too many","error":{"#));
    talk.session.publication_returned(sub);
    talk.subscribes("t");
    let heard = talk.hears();
    assert_eq!(heard[0], r#"{"msg":"nosub","id":"other"}"#);
    assert!(heard[1].contains(r#""error":"too-many-subscriptions""#));
    assert_eq!(talk.session.subscriptions(), 1);
}

#[test]
fn methods_that_have_unblocked_are_counted() {
    let mut talk = Talk::connected(SessionConfig {
        max_running_calls: 1,
        ..Default::default()
    });
    talk.calls("a");
    let running = talk.runs_method("a");
    talk.session.begin_write(running);
    talk.session.unblock(Work::Method(running));
    let refused = |talk: &mut Talk| {
        talk.calls("b");
        talk.hears()[0].contains(r#""error":"too-many-requests""#)
    };
    assert!(refused(&mut talk));
    talk.session.method_returned(running, Ok(None));
    talk.hears();
    assert!(refused(&mut talk), "a write has not ended");
    talk.session.commit_write(running);
    talk.hears();
    talk.calls("c");
    talk.runs_method("c");
}

#[test]
fn a_subscription_can_be_ended_however_much_waits() {
    let mut talk = Talk::connected(SessionConfig {
        max_queued_messages: 0,
        ..Default::default()
    });
    talk.subscribes("s");
    let sub = talk.runs_publication("s");
    talk.says(r#"{"msg":"unsub","id":"s"}"#);
    assert_eq!(talk.hears(), [r#"{"msg":"nosub","id":"s"}"#]);
    talk.stops(sub);
    assert_eq!(talk.session.subscriptions(), 0);
}

#[test]
fn one_document_that_changes_for_ever_does_not_fill_the_queue() {
    let mut talk = Talk::connected(SessionConfig {
        drain_bytes: 200,
        max_queued_bytes: 2000,
        ..Default::default()
    });
    talk.subscribes("s");
    let sub = talk.runs_publication("s");
    talk.session
        .added(sub, "c", &"d".into(), fields! { "n": 0 });
    let set = |talk: &mut Talk, n: i32| {
        let changed = talk
            .session
            .changed(sub, "c", &"d".into(), &fields! { "n": n }, &[]);
        assert_eq!(changed, Ok(()));
    };
    assert!(!talk.session.wants_drain());
    (1..=1000).for_each(|n| set(&mut talk, n));
    assert!(talk.session.wants_drain());
    talk.session.ready(sub);
    (1001..=2000).for_each(|n| set(&mut talk, n));
    let heard = talk.hears();
    assert_eq!(
        heard[heard.len() - 2..],
        [
            r#"{"msg":"changed","collection":"c","id":"d","fields":{"n":2000}}"#,
            r#"{"msg":"ready","subs":["s"]}"#,
        ]
    );
    assert!(!talk.session.wants_drain());
    assert_eq!(talk.session.messages_out(), 1 + heard.len() as u64);
}

#[test]
fn what_is_said_in_one_moment_does_not_make_a_slow_reader() {
    let mut talk = Talk::connected(SessionConfig {
        max_queued_bytes: 500,
        ..Default::default()
    });
    talk.subscribes("s");
    let sub = talk.runs_publication("s");
    for n in 0..100 {
        talk.session
            .added(sub, "c", &n.to_string().into(), fields! {});
        talk.hears();
    }
    assert_eq!(talk.session.documents(), 100);
    talk.session.stop(sub);
    assert!(talk.session.queued_bytes() > 500);
    assert_eq!(talk.session.documents(), 0);
    let heard = talk.hears();
    assert_eq!(heard.len(), 101);
    assert!(talk.session.is_open());
}
