//! How a session begins, and that it is alive.

use ddp_protocol::client::{CallError, ConnectionConfig, LimitError, Loss, Status};

use crate::talk::{CONNECT, SECOND, Talk, failed, method, no_retry, plain};

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
fn a_server_that_does_not_answer_connect_is_given_up() {
    let mut talk = Talk::new(ConnectionConfig::default());
    talk.client.handle_open(talk.now);
    talk.passes(10 * SECOND);
    assert_eq!(talk.client.status(), Status::Offline(Loss::ConnectTimeout));
    talk.hears(r#"{"msg":"connected","session":"S"}"#);
    assert_eq!(talk.client.status(), Status::Offline(Loss::ConnectTimeout));
}
