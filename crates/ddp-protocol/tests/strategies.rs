//! Collections that are not merged: the recordings `strategy-NO_MERGE` and
//! `strategy-NO_MERGE_NO_HISTORY`, and what is known of `NO_MERGE_MULTI`.

mod support;

use std::sync::Arc;

use ddp_protocol::merge_box::{MergeBox, Strategies, Strategy, SubscriptionKey};
use ddp_protocol::session::SessionConfig;
use ddp_protocol::{LiveChange, fields};
use support::Talk;
use support::script::check;

#[test]
fn without_merging_each_subscription_speaks_for_itself() {
    check(
        Strategy::NoMerge,
        "A + d x=1 y=1
         > added d x=1 y=1
         B + d x=2
         > added d x=2
         A ~ d x=3
         > changed d x=3
         A ~ d x=3
         > changed d x=3
         A ~ d -y
         > changed d -y
         A ~ d
         A .
         > removed d
         B .
         > removed d",
    );
}

#[test]
fn without_history_nothing_is_taken_back() {
    check(
        Strategy::NoMergeNoHistory,
        "A + d x=1
         > added d x=1
         B + d x=1
         > added d x=1
         A ~ d x=1 -y
         > changed d x=1 -y
         A ~ never x=1
         > changed never x=1
         A - never
         > removed never
         A .
         B .",
    );
}

#[test]
fn with_several_a_document_comes_once_and_goes_with_the_last() {
    check(
        Strategy::NoMergeMulti,
        "A + d x=1 y=1
         > added d x=1 y=1
         B + d x=1
         > changed d x=1
         C + d
         A ~ d x=1
         > changed d x=1
         A .
         B - d
         C .
         > removed d",
    );
}

#[test]
fn what_is_remembered_is_checked() {
    check(
        Strategy::NoMergeMulti,
        "A + d
         > added d
         B ~ d x=1
         > the subscription has not added this document
         B - d
         > the subscription has not added this document",
    );
    check(
        Strategy::NoMerge,
        "A ~ d x=1
         > changed d x=1
         A - d
         > the subscription has not added this document",
    );
}

#[test]
fn the_id_is_left_out_and_what_is_cleared_is_not_set() {
    for strategy in [Strategy::NoMerge, Strategy::NoMergeNoHistory] {
        check(
            strategy,
            "A + d _id=1 x=1
             > added d x=1
             A ~ d _id=1
             A ~ d x=1 y=1 -x
             > changed d y=1 -x",
        );
    }
}

#[test]
fn documents_are_counted_as_far_as_they_are_remembered() {
    for (strategy, count) in [
        (Strategy::ServerMerge, 1),
        (Strategy::NoMerge, 1),
        (Strategy::NoMergeMulti, 1),
        (Strategy::NoMergeNoHistory, 0),
    ] {
        let strategies = Arc::new(Strategies::with_default(strategy));
        let mut merge_box = MergeBox::new(strategies);
        for sub in 0..2 {
            merge_box.added(SubscriptionKey(sub), "c", &"d".into(), fields! {});
        }
        assert_eq!(merge_box.len(), count, "{strategy:?}");
    }
}

#[test]
fn a_strategy_is_that_of_a_collection() {
    let mut strategies = Strategies::default();
    strategies.set("raw", Strategy::NoMergeNoHistory);
    let mut talk = Talk::connected(SessionConfig {
        strategies: Arc::new(strategies),
        ..SessionConfig::default()
    });
    talk.subscribes("s");
    let sub = talk.runs_publication("s");
    for collection in ["raw", "merged"] {
        for _ in 0..2 {
            let added = LiveChange::added(collection, "d", Arc::new(fields! { "x": 1 }));
            assert_eq!(talk.session.apply(sub, &Arc::new(added)), Ok(()));
        }
    }
    talk.session.stop(sub);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"added","collection":"raw","id":"d","fields":{"x":1}}"#,
            r#"{"msg":"added","collection":"raw","id":"d","fields":{"x":1}}"#,
            r#"{"msg":"added","collection":"merged","id":"d","fields":{"x":1}}"#,
            r#"{"msg":"removed","collection":"merged","id":"d"}"#,
            r#"{"msg":"nosub","id":"s"}"#,
        ]
    );
}
