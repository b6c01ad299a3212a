//! What clients hear of documents that several subscriptions have, as short scripts: see
//! `support/script.rs`. The cases are those of `packages/ddp-server/session_view_tests.js`, and a
//! few more.

mod support;

use ddp_protocol::merge_box::Strategy;
use support::script::check;

fn merged(script: &str) {
    check(Strategy::ServerMerge, script);
}

#[test]
fn a_document_comes_and_goes_with_its_only_subscription() {
    merged(
        "A + d
         > added d
         A - d
         > removed d",
    );
}

#[test]
fn a_document_stays_until_the_last_subscription_lets_go_of_it() {
    merged(
        "A + d
         > added d
         B + d
         A - d
         B - d
         > removed d",
    );
}

#[test]
fn a_document_can_come_again() {
    merged(
        "A + d x=1
         > added d x=1
         A - d
         > removed d
         A + d x=1
         > added d x=1",
    );
}

#[test]
fn a_field_that_appears_and_goes() {
    merged(
        "A + d
         > added d
         A ~ d x=1
         > changed d x=1
         A ~ d -x
         > changed d -x
         A ~ d -x
         A - d
         > removed d",
    );
}

#[test]
fn what_is_equal_is_no_change() {
    merged(
        r#"A + d x=1 o={"a":1,"b":[{"c":null}]} n={"$InfNaN":0}
         > added d x=1 o={"a":1,"b":[{"c":null}]} n={"$InfNaN":0}
         A ~ d x=1 o={"b":[{"c":null}],"a":1} n={"$InfNaN":0}
         A ~ d x=2 o={"a":1}
         > changed d x=2 o={"a":1}"#,
    );
}

#[test]
fn dates_and_bytes_are_compared_by_value() {
    merged(
        r#"A + d at={"$date":5} bytes={"$binary":"AQ=="}
         > added d at={"$date":5} bytes={"$binary":"AQ=="}
         A ~ d at={"$date":5} bytes={"$binary":"AQ=="}
         A ~ d at={"$date":6}
         > changed d at={"$date":6}"#,
    );
}

#[test]
fn several_fields_change_at_once_and_only_those_that_do_are_told() {
    merged(
        "A + d x=1 y=2 z=3
         > added d x=1 y=2 z=3
         A ~ d x=1 y=3 w=4 -z
         > changed d y=3 w=4 -z",
    );
}

#[test]
fn a_second_subscription_brings_its_own_fields() {
    merged(
        "A + d x=1
         > added d x=1
         B + d x=1 y=2
         > changed d y=2
         A - d
         B - d
         > removed d",
    );
}

#[test]
fn fields_of_a_subscription_go_with_it() {
    merged(
        "A + d x=1
         > added d x=1
         B + d y=2
         > changed d y=2
         A - d
         > changed d -x
         B - d
         > removed d",
    );
}

#[test]
fn the_first_value_of_a_field_is_seen_until_it_goes() {
    merged(
        "A + d x=a
         > added d x=\"a\"
         B + d x=b
         A - d
         > changed d x=\"b\"
         B - d
         > removed d",
    );
}

#[test]
fn who_came_later_is_not_seen() {
    merged(
        "A + d x=1
         > added d x=1
         B + d x=2
         B ~ d x=3
         A ~ d x=4
         > changed d x=4
         B - d
         A - d
         > removed d",
    );
}

#[test]
fn clearing_what_is_seen_shows_what_is_below() {
    merged(
        "A + d x=1
         > added d x=1
         B + d x=2
         A ~ d -x
         > changed d x=2
         B ~ d -x
         > changed d -x",
    );
}

#[test]
fn clearing_what_is_not_seen_is_not_seen() {
    merged(
        "A + d x=1
         > added d x=1
         B + d x=2
         B ~ d -x
         A ~ d -x
         > changed d -x",
    );
}

#[test]
fn clearing_shows_nothing_new_where_both_said_the_same() {
    merged(
        "A + d x=1
         > added d x=1
         B + d x=1
         A ~ d -x
         A ~ d x=1
         B ~ d -x
         A ~ d -x
         > changed d -x",
    );
}

#[test]
fn who_sets_a_field_again_comes_last() {
    merged(
        "A + d x=1
         > added d x=1
         B + d x=2
         A ~ d -x
         > changed d x=2
         A ~ d x=3
         B ~ d x=4
         > changed d x=4
         B ~ d -x
         > changed d x=3",
    );
}

#[test]
fn who_changes_a_field_keeps_its_place() {
    merged(
        "A + d x=1
         > added d x=1
         B + d x=2
         C + d x=3
         A ~ d x=2
         > changed d x=2
         A - d
         B - d
         > changed d x=3
         C - d
         > removed d",
    );
}

#[test]
fn each_field_has_its_own_order() {
    merged(
        "A + d x=1
         > added d x=1
         B + d y=2
         > changed d y=2
         A ~ d y=1
         B ~ d x=2
         A .
         > changed d x=2
         B .
         > removed d",
    );
}

#[test]
fn documents_of_one_subscription_are_taken_back_in_their_order() {
    merged(
        "A + z
         > added z
         A + b x=1
         > added b x=1
         A + y
         > added y
         B + b x=2
         A + a
         > added a
         A .
         > removed z
         > changed b x=2
         > removed y
         > removed a
         B .
         > removed b",
    );
}

#[test]
fn only_what_was_added_can_be_changed_or_removed() {
    merged(
        "A ~ d x=1
         > the subscription has not added this document
         A - d
         > the subscription has not added this document
         A + d
         > added d
         B ~ d x=1
         > the subscription has not added this document
         B - d
         > the subscription has not added this document
         B + d
         B - d
         B ~ d x=1
         > the subscription has not added this document",
    );
}

#[test]
fn what_is_added_twice_keeps_its_first_values() {
    merged(
        "A + d x=1
         > added d x=1
         A + d x=2 y=2
         > changed d y=2
         A ~ d x=2
         > changed d x=2
         A - d
         > removed d",
    );
}

#[test]
fn the_id_is_not_a_field() {
    merged(
        "A + d _id=d x=1
         > added d x=1
         A ~ d _id=e
         B + d _id=d
         A ~ d _id=e x=2
         > changed d x=2
         A ~ d -_id",
    );
}

#[test]
fn a_field_that_is_set_and_cleared_at_once_is_cleared() {
    merged(
        "A + d x=1
         > added d x=1
         A ~ d x=2 -x -x
         > changed d -x
         A ~ d x=2 -x",
    );
}

#[test]
fn after_several_have_had_it_one_can_have_it_alone() {
    merged(
        "A + d x=1 y=1
         > added d x=1 y=1
         B + d x=2 z=2
         > changed d z=2
         A .
         > changed d x=2 -y
         B ~ d x=2 z=3
         > changed d z=3
         C + d x=5
         B ~ d -x
         > changed d x=5
         C .
         > changed d -x
         B .
         > removed d",
    );
}
