//! What becomes of publications for everybody, and of collections that are not merged, when a
//! client becomes another user.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ddp_protocol::fields;
use ddp_protocol::merge_box::{Strategies, Strategy};
use ddp_protocol::session::SessionConfig;
use support::Talk;
use support::login::{becomes, done, has, logging_in, user};

#[test]
fn universal_publications_are_part_of_the_same_difference() {
    let mut talk = Talk::new(SessionConfig::default());
    talk.names.universal.store(1, Ordering::Relaxed);
    talk.connects();
    let universal = talk.runs_universal(0);
    has(&mut talk, universal, "nobody", fields! {});
    talk.session.publication_returned(universal);
    let call = logging_in(&mut talk, "s", &[("d", fields! {})]);
    assert_eq!(talk.session.set_user_id(call, user("bob")), Ok(()));
    talk.stops(universal);
    talk.session.poll_event();
    let named = talk.runs_publication("s");
    let universal = talk.runs_universal(0);
    has(&mut talk, named, "d", fields! {});
    done(&mut talk, named);
    talk.session.method_returned(call, Ok(None));
    assert!(talk.hears().is_empty());
    has(&mut talk, universal, "bob", fields! {});
    done(&mut talk, universal);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"removed","collection":"c","id":"nobody"}"#,
            r#"{"msg":"added","collection":"c","id":"bob"}"#,
            r#"{"msg":"ready","subs":["s"]}"#,
            r#"{"msg":"updated","methods":["login"]}"#,
            r#"{"msg":"result","id":"login"}"#,
        ]
    );
}

#[test]
fn a_universal_publication_without_end_is_not_waited_for_but_one_that_ended_runs_again() {
    let mut talk = Talk::new(SessionConfig::default());
    talk.names.universal.store(2, Ordering::Relaxed);
    talk.connects();
    let endless = talk.runs_universal(0);
    let ended = talk.runs_universal(1);
    talk.session.stop(ended);
    talk.stops(ended);
    talk.calls("login");
    let call = talk.runs_method("login");
    assert_eq!(talk.session.set_user_id(call, user("bob")), Ok(()));
    talk.stops(endless);
    talk.runs_universal(0);
    let ended = talk.runs_universal(1);
    talk.session.method_returned(call, Ok(None));
    assert!(talk.hears().is_empty());
    talk.session.publication_returned(ended);
    assert_eq!(talk.hears().len(), 2);
}

#[test]
fn what_is_not_merged_is_taken_back_and_said_again() {
    let mut strategies = Strategies::default();
    strategies.set("c", Strategy::NoMerge);
    let mut talk = Talk::connected(SessionConfig {
        strategies: Arc::new(strategies),
        ..SessionConfig::default()
    });
    let call = logging_in(&mut talk, "s", &[("d", fields! { "n": 1 })]);
    let sub = becomes(&mut talk, call, "bob");
    has(&mut talk, sub, "d", fields! { "n": 1 });
    done(&mut talk, sub);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"removed","collection":"c","id":"d"}"#,
            r#"{"msg":"added","collection":"c","id":"d","fields":{"n":1}}"#,
            r#"{"msg":"ready","subs":["s"]}"#,
        ]
    );
}

#[test]
fn what_is_not_merged_and_was_for_a_user_who_is_gone_is_forgotten() {
    let mut talk = Talk::connected(SessionConfig {
        strategies: Arc::new(Strategies::with_default(Strategy::NoMergeNoHistory)),
        ..SessionConfig::default()
    });
    let call = logging_in(&mut talk, "s", &[]);
    let sub = becomes(&mut talk, call, "bob");
    has(&mut talk, sub, "bobs", fields! {});
    let sub = becomes(&mut talk, call, "eve");
    has(&mut talk, sub, "eves", fields! {});
    done(&mut talk, sub);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"added","collection":"c","id":"eves"}"#,
            r#"{"msg":"ready","subs":["s"]}"#,
        ]
    );
}

#[test]
fn a_flood_of_what_is_not_merged_is_not_kept_for_ever() {
    let strategies = Strategies::with_default(Strategy::NoMergeNoHistory);
    let mut talk = Talk::connected(SessionConfig {
        strategies: Arc::new(strategies),
        max_queued_bytes: 1000,
        ..SessionConfig::default()
    });
    let call = logging_in(&mut talk, "s", &[]);
    let sub = becomes(&mut talk, call, "bob");
    for n in 0..20 {
        let text = "x".repeat(100);
        has(&mut talk, sub, &n.to_string(), fields! { "text": text });
        talk.hears();
    }
    assert!(talk.session.is_open());
    talk.session.method_returned(call, Ok(None));
    assert_eq!(talk.hears().len(), 2);
}
