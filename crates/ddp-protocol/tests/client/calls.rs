//! When calls are sent, and when they are over.

use ddp_protocol::client::{CallError, CallOptions, Change, ConnectionConfig, Event};
use ddp_protocol::{Error, object};

use crate::talk::{
    SECOND, Talk, added, failed, finished, method, plain, ready, result, sub, updated, wait,
};

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
