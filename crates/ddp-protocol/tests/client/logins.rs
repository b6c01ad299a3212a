//! Who is logged in, and stays it.

use ddp_protocol::client::{CallError, Event, Loss, Status};
use ddp_protocol::{Error, object};

use crate::talk::{SECOND, Talk, method, plain, ready, sub, updated};

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
fn a_login_that_is_not_answered_in_time_is_repeated_on_the_next_connection() {
    let mut talk = Talk::connected();
    talk.has("s");
    login(&mut talk, "t");
    talk.hears(r#"{"msg":"updated","methods":["1"]}"#);
    talk.happens();
    assert!(talk.reconnects()[1].contains(r#"{"resume":"t"}"#));
    let call = talk.calls(plain());
    talk.hears(&ready("s"));
    talk.passes(29 * SECOND);
    assert_eq!(talk.client.status(), Status::Connected);
    talk.hears(r#"{"msg":"ping"}"#);
    talk.passes(SECOND);
    assert_eq!(talk.client.status(), Status::Offline(Loss::LoginTimeout));
    assert_eq!(talk.client.user_id(), Some("u"));
    assert_eq!(talk.client.unfinished_calls(), 1);
    assert!(talk.connects()[1].contains(r#"{"resume":"t"}"#));
    talk.hears(r#"{"msg":"result","id":"4","result":{"id":"u","token":"t"}}"#);
    talk.hears(r#"{"msg":"updated","methods":["4"]}"#);
    talk.hears(&ready("s"));
    assert_eq!(talk.says(), [method(call)]);
    assert_eq!(talk.client.user_id(), Some("u"));
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
