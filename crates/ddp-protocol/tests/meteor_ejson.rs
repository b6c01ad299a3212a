//! What Meteor's EJSON does with everything that a client may send, a line each: what comes in,
//! and what goes out after a method has returned it.

use ddp_protocol::ejson;
use ddp_protocol::json;

/// On the right of these tables: what is on the left.
const SAME: &str = "";

fn echoes(table: &[(&str, &str)]) {
    for (given, expected) in table {
        let expected = if *expected == SAME { given } else { expected };
        let echoed = ejson::parse(given).map(|value| ejson::stringify(&value));
        assert_eq!(echoed.as_deref(), Ok(*expected), "{given}");
    }
}

fn refused(texts: &[&str]) {
    for text in texts {
        assert!(json::parse(text).is_ok(), "{text} is not even JSON");
        assert!(ejson::parse(text).is_err(), "{text} was taken");
    }
}

#[test]
fn a_date_is_of_whatever_javascript_makes_a_date() {
    echoes(&[
        (r#"{"$date":0}"#, SAME),
        (r#"{"$date":-1}"#, SAME),
        (r#"{"$date":1.5}"#, r#"{"$date":1}"#),
        (r#"{"$date":-1.5}"#, r#"{"$date":-1}"#),
        (r#"{"$date":null}"#, r#"{"$date":0}"#),
        (r#"{"$date":true}"#, r#"{"$date":1}"#),
        (
            r#"{"$date":"2020-01-01T00:00:00Z"}"#,
            r#"{"$date":1577836800000}"#,
        ),
        (r#"{"$date":8640000000000000}"#, SAME),
        (r#"{"$date":8640000000000001}"#, r#"{"$date":null}"#),
        (r#"{"$date":"junk"}"#, r#"{"$date":null}"#),
        (r#"{"$date":{}}"#, r#"{"$date":null}"#),
        (r#"{"$date":{"$InfNaN":1}}"#, r#"{"$date":null}"#),
    ]);
}

#[test]
fn binary_data_is_base64_with_padding() {
    echoes(&[
        (r#"{"$binary":""}"#, SAME),
        (r#"{"$binary":"AAH6/w=="}"#, SAME),
        (r#"{"$binary":"AAH6"}"#, SAME),
        (r#"{"$binary":"AAH6/w"}"#, r#"{"$binary":"AAH6/w=="}"#),
        (r#"{"$binary":"AAH6_w"}"#, r#"{"$binary":"AAH6Aw=="}"#),
    ]);
    refused(&[
        r#"{"$binary":5}"#,
        r#"{"$binary":null}"#,
        r#"{"$binary":"==="}"#,
    ]);
}

#[test]
fn of_an_infinity_only_the_sign_counts() {
    echoes(&[
        (r#"{"$InfNaN":1}"#, SAME),
        (r#"{"$InfNaN":-1}"#, SAME),
        (r#"{"$InfNaN":0}"#, SAME),
        (r#"{"$InfNaN":7}"#, r#"{"$InfNaN":1}"#),
        (r#"{"$InfNaN":-0.1}"#, r#"{"$InfNaN":-1}"#),
        (r#"{"$InfNaN":"2"}"#, r#"{"$InfNaN":1}"#),
        (r#"{"$InfNaN":null}"#, r#"{"$InfNaN":0}"#),
    ]);
}

#[test]
fn a_regexp_keeps_the_flags_that_it_may_have() {
    let fifty = format!(r#"{{"$regexp":"a","$flags":"{}"}}"#, "g".repeat(50) + "i");
    echoes(&[
        (
            r#"{"$regexp":"a/b","$flags":"gig"}"#,
            r#"{"$regexp":"a\\/b","$flags":"gi"}"#,
        ),
        (
            r#"{"$regexp":"a","$flags":"sdz"}"#,
            r#"{"$regexp":"a","$flags":""}"#,
        ),
        (
            r#"{"$flags":"yumig","$regexp":"a"}"#,
            r#"{"$regexp":"a","$flags":"gimuy"}"#,
        ),
        (&fifty, r#"{"$regexp":"a","$flags":"g"}"#),
        (
            r#"{"$regexp":5,"$flags":"g"}"#,
            r#"{"$regexp":"5","$flags":"g"}"#,
        ),
        (
            r#"{"$regexp":"","$flags":""}"#,
            r#"{"$regexp":"(?:)","$flags":""}"#,
        ),
        (r#"{"$regexp":"\ud800","$flags":""}"#, SAME),
    ]);
    refused(&[
        r#"{"$regexp":"(","$flags":""}"#,
        r#"{"$regexp":"a","$flags":5}"#,
    ]);
}

#[test]
fn an_object_id_is_lower_cased() {
    echoes(&[
        (
            r#"{"$type":"oid","$value":"0123456789abcdef01234567"}"#,
            SAME,
        ),
        (
            r#"{"$value":"0123456789ABCDEF01234567","$type":"oid"}"#,
            r#"{"$type":"oid","$value":"0123456789abcdef01234567"}"#,
        ),
    ]);
    refused(&[
        r#"{"$type":"oid","$value":"zz"}"#,
        r#"{"$type":"oid","$value":5}"#,
        r#"{"$type":"nosuch","$value":1}"#,
        r#"{"$type":5,"$value":1}"#,
    ]);
}

#[test]
fn one_level_is_escaped_where_the_keys_would_mislead() {
    echoes(&[
        (r#"{"$escape":{"$date":1}}"#, SAME),
        (r#"{"$escape":{"$date":{"$date":5}}}"#, SAME),
        (r#"{"$escape":{"$escape":{"$date":1}}}"#, SAME),
        (r#"{"$escape":{"$type":1,"$value":2}}"#, SAME),
        (r#"{"$escape":{"$flags":1,"$regexp":2}}"#, SAME),
        (r#"{"$escape":{"a":1}}"#, r#"{"a":1}"#),
        (
            r#"{"$escape":[1,{"$date":0}]}"#,
            r#"{"0":1,"1":{"$date":0}}"#,
        ),
        (
            r#"{"$escape":"a\ud83d\ude00"}"#,
            r#"{"0":"a","1":"\ud83d","2":"\ude00"}"#,
        ),
        (r#"{"$escape":5}"#, "{}"),
    ]);
    refused(&[r#"{"$escape":null}"#]);
}

#[test]
fn only_exact_sets_of_keys_mean_something() {
    echoes(&[
        (r#"{"$date":1,"x":2}"#, SAME),
        (r#"{"$date":1,"$x":2}"#, SAME),
        (r#"{"$type":"oid"}"#, SAME),
        (r#"{"$type":"oid","$value":"zz","$x":1}"#, SAME),
        (r#"{"$regexp":"("}"#, SAME),
        (r#"{"$unknown":1}"#, SAME),
        (r#"{"a":{"b":[{"$date":3}]}}"#, SAME),
        (r#"[[[{"$InfNaN":1}]]]"#, SAME),
        (r#"{"$date":1,"$date":2}"#, r#"{"$date":2}"#),
    ]);
}

#[test]
fn numbers_print_as_in_javascript() {
    echoes(&[
        ("-0", "0"),
        ("-0.0", "0"),
        ("1.0", "1"),
        ("1e400", r#"{"$InfNaN":1}"#),
        ("-1e400", r#"{"$InfNaN":-1}"#),
        ("1e21", "1e+21"),
        ("123456789012345680000", SAME),
        ("9007199254740993", "9007199254740992"),
        ("0.0000001", "1e-7"),
        ("0.000001", SAME),
        ("5e-324", SAME),
        ("0.1", SAME),
    ]);
}

#[test]
fn the_order_of_keys_is_kept() {
    echoes(&[(r#"{"b":1,"a":{"d":1,"c":2},"2":3,"1":4}"#, SAME)]);
}
