//! What clients hear when they become another user (the recording `setUserId-reruns-subs`, and
//! what its server is known to get wrong).

mod support;

use std::sync::Arc;
use std::time::Duration;

use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::{CannotSetUser, CloseReason, Event, Origin, SessionConfig, Work};
use ddp_protocol::{Error, LiveChange, fields, object};
use support::Talk;
use support::login::{becomes, done, has, logging_in, user};

fn talk() -> Talk {
    Talk::connected(SessionConfig::default())
}

#[test]
fn one_difference_then_ready_then_the_answer() {
    let mut talk = talk();
    let before = [
        ("gone", fields! { "n": 1 }),
        ("same", fields! { "n": 1 }),
        ("else", fields! { "n": 1, "m": 1 }),
    ];
    let call = logging_in(&mut talk, "s", &before);
    let sub = becomes(&mut talk, call, "bob");
    has(&mut talk, sub, "new", fields! { "n": 3 });
    has(&mut talk, sub, "else", fields! { "n": 2 });
    has(&mut talk, sub, "same", fields! { "n": 1 });
    talk.session
        .method_returned(call, Ok(Some(object! { "id": "bob" })));
    assert!(talk.hears().is_empty(), "the subscription is not there yet");
    done(&mut talk, sub);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"removed","collection":"c","id":"gone"}"#,
            r#"{"msg":"changed","collection":"c","id":"else","fields":{"n":2},"cleared":["m"]}"#,
            r#"{"msg":"added","collection":"c","id":"new","fields":{"n":3}}"#,
            r#"{"msg":"ready","subs":["s"]}"#,
            r#"{"msg":"updated","methods":["login"]}"#,
            r#"{"msg":"result","id":"login","result":{"id":"bob"}}"#,
        ]
    );
    assert_eq!(talk.session.user_id(), user("bob").as_ref());
}

#[test]
fn the_same_user_again_begins_everything_again_without_flapping() {
    let mut talk = talk();
    let call = logging_in(&mut talk, "s", &[("d", fields! { "n": 1 })]);
    let sub = becomes(&mut talk, call, "bob");
    has(&mut talk, sub, "d", fields! { "n": 1 });
    done(&mut talk, sub);
    assert_eq!(talk.hears(), [r#"{"msg":"ready","subs":["s"]}"#]);
    let sub = becomes(&mut talk, call, "bob");
    has(&mut talk, sub, "d", fields! { "n": 1 });
    done(&mut talk, sub);
    assert_eq!(talk.hears(), [r#"{"msg":"ready","subs":["s"]}"#]);
    talk.session.method_returned(call, Ok(None));
    assert_eq!(talk.hears().len(), 2);
}

#[test]
fn without_subscriptions_nothing_is_waited_for() {
    let mut talk = talk();
    talk.calls("login");
    let call = talk.runs_method("login");
    assert_eq!(talk.session.set_user_id(call, user("bob")), Ok(()));
    talk.session.method_returned(call, Ok(None));
    assert_eq!(talk.hears().len(), 2);
    talk.calls("whoami");
    match talk.session.poll_event() {
        Some(Event::Method { user_id, .. }) => assert_eq!(user_id, user("bob")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_user_is_set_by_a_method_that_holds_the_queue_and_by_no_other() {
    let mut talk = talk();
    talk.calls("m");
    let call = talk.runs_method("m");
    talk.session.unblock(Work::Method(call));
    assert_eq!(
        talk.session.set_user_id(call, user("bob")),
        Err(CannotSetUser)
    );
    talk.calls("n");
    let late = talk.runs_method("n");
    talk.session.method_returned(late, Ok(None));
    assert_eq!(talk.session.set_user_id(late, None), Err(CannotSetUser));
    assert_eq!(talk.session.user_id(), None);
}

#[test]
fn a_subscription_that_fails_says_so_at_once_and_its_documents_go() {
    let mut talk = talk();
    let call = logging_in(&mut talk, "s", &[("d", fields! {})]);
    talk.session.method_returned(call, Ok(None));
    talk.subscribes("t");
    let other = talk.runs_publication("t");
    done(&mut talk, other);
    talk.hears();
    talk.calls("login");
    let call = talk.runs_method("login");
    assert_eq!(talk.session.set_user_id(call, user("bob")), Ok(()));
    while let Some(Event::Stopped { .. }) = talk.session.poll_event() {}
    let t = talk.runs_publication("t");
    let s = SubscriptionKey(t.0 - 1);
    talk.session.fail(s, Error::new(412, "no users"));
    let heard = talk.hears();
    assert!(heard[0].starts_with(r#"{"msg":"nosub","id":"s","error":{"#));
    assert_eq!(heard.len(), 1);
    done(&mut talk, t);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"removed","collection":"c","id":"d"}"#,
            r#"{"msg":"ready","subs":["t"]}"#,
        ]
    );
}

#[test]
fn what_the_former_user_had_does_not_come_back() {
    let mut talk = talk();
    let call = logging_in(&mut talk, "s", &[("d", fields! {})]);
    let old = SubscriptionKey(1);
    let sub = becomes(&mut talk, call, "bob");
    has(&mut talk, old, "e", fields! {});
    let change = Arc::new(LiveChange::removed("c", "d"));
    assert_eq!(talk.session.apply(old, &change), Ok(()));
    talk.session.ready(old);
    talk.session.fail(old, Error::internal());
    has(&mut talk, sub, "d", fields! {});
    done(&mut talk, sub);
    assert_eq!(talk.hears(), [r#"{"msg":"ready","subs":["s"]}"#]);
}

#[test]
fn a_subscription_that_never_begins_holds_up_neither_pings_nor_the_end() {
    let mut talk = talk();
    let call = logging_in(&mut talk, "s", &[]);
    let sub = becomes(&mut talk, call, "bob");
    talk.session.method_returned(call, Ok(None));
    talk.calls("waits");
    talk.says(r#"{"msg":"ping","id":"p"}"#);
    talk.passes(Duration::from_secs(31));
    assert_eq!(
        talk.hears(),
        [r#"{"msg":"pong","id":"p"}"#, r#"{"msg":"ping"}"#]
    );
    talk.session.close();
    talk.stops(sub);
    assert_eq!(talk.session.poll_event(), None);
    assert_eq!(talk.hears(), [""]);
    assert_eq!(talk.session.close_reason(), Some(CloseReason::Application));
}

#[test]
fn the_queue_goes_on_when_the_difference_is_told() {
    let mut talk = talk();
    let call = logging_in(&mut talk, "s", &[]);
    let sub = becomes(&mut talk, call, "bob");
    talk.says(r#"{"msg":"unsub","id":"s"}"#);
    talk.calls("next");
    talk.session.unblock(Work::Method(call));
    assert_eq!(talk.session.poll_event(), None);
    has(&mut talk, sub, "d", fields! {});
    // that it has unblocked is as good as having returned
    talk.session.unblock(Work::Publication(sub));
    talk.stops(sub);
    talk.runs_method("next");
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"added","collection":"c","id":"d"}"#,
            r#"{"msg":"removed","collection":"c","id":"d"}"#,
            r#"{"msg":"nosub","id":"s"}"#,
        ]
    );
}

#[test]
fn another_user_while_the_last_one_is_not_yet_there() {
    let mut talk = talk();
    let call = logging_in(&mut talk, "s", &[("d", fields! { "n": 1 })]);
    let first = becomes(&mut talk, call, "bob");
    has(&mut talk, first, "bobs", fields! {});
    let second = becomes(&mut talk, call, "eve");
    has(&mut talk, first, "bobs too", fields! {});
    talk.session.publication_returned(first);
    assert!(talk.hears().is_empty());
    has(&mut talk, second, "d", fields! { "n": 2 });
    done(&mut talk, second);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"changed","collection":"c","id":"d","fields":{"n":2}}"#,
            r#"{"msg":"ready","subs":["s"]}"#,
        ]
    );
}

#[test]
fn results_of_other_methods_do_not_overtake_their_data() {
    let mut talk = talk();
    talk.calls("writes");
    let writes = talk.runs_method("writes");
    talk.session.unblock(Work::Method(writes));
    let call = logging_in(&mut talk, "s", &[]);
    let sub = becomes(&mut talk, call, "bob");
    has(&mut talk, sub, "written", fields! {});
    talk.session.method_returned(writes, Ok(None));
    assert!(talk.hears().is_empty());
    done(&mut talk, sub);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"added","collection":"c","id":"written"}"#,
            r#"{"msg":"ready","subs":["s"]}"#,
            r#"{"msg":"updated","methods":["writes"]}"#,
            r#"{"msg":"result","id":"writes"}"#,
        ]
    );
}

#[test]
fn ids_names_and_arguments_stay_the_same() {
    let mut talk = talk();
    talk.says(r#"{"msg":"sub","id":"s","name":"list","params":["home"]}"#);
    let sub = talk.runs_publication("list");
    done(&mut talk, sub);
    talk.calls("login");
    let call = talk.runs_method("login");
    assert_eq!(talk.session.set_user_id(call, user("bob")), Ok(()));
    talk.stops(sub);
    match talk.session.poll_event() {
        Some(Event::Subscribe { origin, .. }) => assert_eq!(
            origin,
            Origin::Client {
                id: "s".into(),
                name: "list".into(),
                params: vec!["home".into()],
            }
        ),
        other => panic!("{other:?}"),
    }
}
