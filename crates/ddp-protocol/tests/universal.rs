//! Publications that every client gets without asking.

mod support;

use std::sync::atomic::Ordering;

use ddp_protocol::session::SessionConfig;
use ddp_protocol::{Error, fields};
use support::Talk;

fn talk(universal: usize) -> Talk {
    let mut talk = Talk::new(SessionConfig::default());
    talk.names.universal.store(universal, Ordering::Relaxed);
    talk.connects();
    talk
}

#[test]
fn they_begin_with_the_connection_and_are_never_ready() {
    let mut talk = talk(2);
    let first = talk.runs_universal(0);
    let second = talk.runs_universal(1);
    assert_eq!(talk.session.subscriptions(), 0);
    talk.session
        .added(first, "c", &"d".into(), fields! { "n": 1 });
    talk.session
        .added(second, "c", &"d".into(), fields! { "m": 1 });
    talk.session.ready(first);
    talk.session.publication_returned(first);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"added","collection":"c","id":"d","fields":{"n":1}}"#,
            r#"{"msg":"changed","collection":"c","id":"d","fields":{"m":1}}"#,
        ]
    );
}

#[test]
fn they_hold_up_nothing() {
    let mut talk = talk(1);
    talk.runs_universal(0);
    talk.calls("m");
    talk.runs_method("m");
}

#[test]
fn their_end_is_no_news_but_their_documents_go() {
    let mut talk = talk(2);
    let failing = talk.runs_universal(0);
    let broken = talk.runs_universal(1);
    talk.session.added(failing, "c", &"d".into(), fields! {});
    talk.session.fail(failing, Error::internal());
    talk.stops(failing);
    let unknown = talk
        .session
        .changed(broken, "c", &"d".into(), &fields! {}, &[]);
    assert!(unknown.is_err());
    talk.stops(broken);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"added","collection":"c","id":"d"}"#,
            r#"{"msg":"removed","collection":"c","id":"d"}"#,
        ]
    );
}

#[test]
fn one_that_is_added_later_begins_once_and_only_where_a_client_is() {
    let mut opening = Talk::new(SessionConfig::default());
    opening.names.universal.store(1, Ordering::Relaxed);
    opening.session.start_universal();
    assert_eq!(opening.session.poll_event(), None);
    opening.connects();
    opening.runs_universal(0);
    opening.session.start_universal();
    assert_eq!(opening.session.poll_event(), None);

    opening.names.universal.store(2, Ordering::Relaxed);
    opening.session.start_universal();
    let late = opening.runs_universal(1);
    opening.session.close();
    opening.session.start_universal();
    opening.session.poll_event();
    opening.stops(late);
    assert_eq!(opening.session.poll_event(), None);
}
