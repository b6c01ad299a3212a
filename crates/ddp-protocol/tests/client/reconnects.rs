//! What survives the loss of a connection.

use ddp_protocol::client::{CallError, ConnectionConfig, Event, Loss, Status};

use crate::talk::{
    CONNECT, Talk, added, failed, finished, method, no_retry, plain, ready, result, sub, updated,
    wait,
};

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
fn a_subscription_that_is_ended_before_it_is_sent_again_is_not_waited_for() {
    let mut talk = Talk::connected();
    talk.has("a");
    talk.has("b");
    talk.client.handle_disconnect();
    talk.client.handle_open(talk.now);
    assert!(talk.client.poll_transmit().is_some(), "says connect");
    talk.client
        .handle_text(r#"{"msg":"connected","session":"T"}"#, talk.now);
    talk.client.unsubscribe("a");
    assert_eq!(talk.says(), [sub("b")]);
    talk.hears(&added("b", 1));
    talk.hears(&ready("b"));
    assert!(!talk.client.is_holding_back());
    assert_eq!(talk.ids(), ["b"]);
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
