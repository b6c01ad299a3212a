//! Changes of a live collection: written once, kept once, whoever hears of them.

mod support;

use std::sync::Arc;

use ddp_protocol::ejson::Fields;
use ddp_protocol::merge_box::{Delivery, MergeBox, SubscriptionKey, UnknownDocument};
use ddp_protocol::session::{SessionConfig, Text, Transmit};
use ddp_protocol::{LiveChange, fields};
use support::Talk;

const A: SubscriptionKey = SubscriptionKey(1);
const B: SubscriptionKey = SubscriptionKey(2);

fn version(n: i32) -> Arc<Fields> {
    Arc::new(fields! { "n": n, "same": true })
}

fn added(fields: &Arc<Fields>) -> LiveChange {
    LiveChange::added("c", "d", Arc::clone(fields))
}

fn changed(before: &Arc<Fields>, after: &Arc<Fields>) -> LiveChange {
    let change = LiveChange::changed("c", "d", Arc::clone(before), Arc::clone(after));
    change.unwrap_or_else(|| panic!("{before:?} is {after:?}"))
}

/// A client with a subscription.
fn subscribed() -> (Talk, SubscriptionKey) {
    let mut talk = Talk::connected(SessionConfig::default());
    talk.subscribes("s");
    let sub = talk.runs_publication("s");
    (talk, sub)
}

#[test]
fn thousands_of_clients_share_one_text_and_one_version() {
    let (one, two) = (version(1), version(2));
    let first = Arc::new(added(&one));
    let second = Arc::new(changed(&one, &two));
    let mut talks: Vec<_> = (0..100).map(|_| subscribed()).collect();
    for (talk, sub) in &mut talks {
        for change in [&first, &second] {
            assert_eq!(talk.session.apply(*sub, change), Ok(()));
            let Some(Transmit::Text(Text::Shared(sent))) = talk.session.poll_transmit() else {
                panic!("it is not shared");
            };
            assert!(Arc::ptr_eq(&sent, change));
        }
    }
    assert_eq!(
        second.text(),
        r#"{"msg":"changed","collection":"c","id":"d","fields":{"n":2}}"#
    );
    // ours, that of the change, and that of each client
    assert_eq!(Arc::strong_count(&two), 2 + talks.len());
    drop(first);
    assert_eq!(Arc::strong_count(&one), 2);
}

#[test]
fn who_has_something_else_is_told_something_else() {
    let (mut talk, sub) = subscribed();
    talk.session
        .added(sub, "c", &"d".into(), fields! { "n": 2, "own": 1 });
    let (one, two) = (version(1), Arc::new(fields! { "n": 2 }));
    for change in [added(&one), changed(&one, &two)] {
        assert_eq!(talk.session.apply(sub, &Arc::new(change)), Ok(()));
    }
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"added","collection":"c","id":"d","fields":{"n":2,"own":1}}"#,
            r#"{"msg":"changed","collection":"c","id":"d","fields":{"same":true}}"#,
            r#"{"msg":"changed","collection":"c","id":"d","cleared":["same"]}"#,
        ]
    );
}

#[test]
fn the_version_is_shared_again_when_a_second_subscription_is_gone() {
    let mut merge_box = MergeBox::default();
    let versions: Vec<_> = (0..4).map(version).collect();
    assert_eq!(
        merge_box.apply(A, &added(&versions[0])),
        Ok(Delivery::Shared)
    );
    merge_box.added(B, "c", &"d".into(), fields! { "n": 0 });
    merge_box.remove_subscription(B);
    for pair in versions.windows(2) {
        assert!(merge_box.apply(A, &changed(&pair[0], &pair[1])).is_ok());
    }
    let last = &versions[3];
    assert_eq!(Arc::strong_count(last), 2);
    assert_eq!(
        merge_box.apply(A, &changed(last, &version(9))),
        Ok(Delivery::Shared)
    );
}

#[test]
fn a_version_is_not_taken_for_somebody_else() {
    let mut merge_box = MergeBox::default();
    let (one, two) = (version(1), version(2));
    assert_eq!(merge_box.apply(A, &added(&one)), Ok(Delivery::Shared));
    assert_eq!(
        merge_box.apply(B, &changed(&one, &two)),
        Err(UnknownDocument)
    );
    assert_eq!(
        merge_box.apply(A, &changed(&one, &two)),
        Ok(Delivery::Shared)
    );
}

#[test]
fn a_client_that_changes_its_version_does_not_change_that_of_others() {
    let mut merge_box = MergeBox::default();
    let one = version(1);
    assert_eq!(merge_box.apply(A, &added(&one)), Ok(Delivery::Shared));
    let own = merge_box.changed(A, "c", &"d".into(), &fields! { "n": 5 }, &[]);
    assert!(own.is_ok());
    assert_eq!(one, version(1));
}

#[test]
fn an_id_among_the_fields_is_left_out() {
    let (mut talk, sub) = subscribed();
    let fields = Arc::new(fields! { "_id": "d", "n": 1 });
    let change = Arc::new(added(&fields));
    assert_eq!(talk.session.apply(sub, &change), Ok(()));
    assert_eq!(
        talk.hears(),
        [r#"{"msg":"added","collection":"c","id":"d","fields":{"n":1}}"#]
    );
    assert_eq!(fields.len(), 2);
}

#[test]
fn an_end_takes_back_collection_by_collection() {
    let (mut talk, sub) = subscribed();
    talk.subscribes("t");
    talk.session.publication_returned(sub);
    let other = talk.runs_publication("t");
    for (sub, collection, id) in [
        (other, "first", "0"),
        (sub, "second", "1"),
        (sub, "first", "2"),
        (sub, "second", "3"),
    ] {
        let added = LiveChange::added(collection, id, Arc::default());
        assert_eq!(talk.session.apply(sub, &Arc::new(added)), Ok(()));
    }
    talk.hears();
    talk.session.stop(sub);
    let heard = talk.hears();
    let ids: Vec<_> = heard
        .iter()
        .map(|frame| &frame[frame.len() - 3..])
        .collect();
    assert_eq!(ids, ["1\"}", "3\"}", "2\"}", "s\"}"]);
}
