//! What is nested as deeply as the reader allows overflows nobody's stack.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ddp_protocol::ejson::{self, Value};
use ddp_protocol::json::{self, MAX_DEPTH};

/// Three quarters of what a thread has by default; optimized code needs far less.
const STACK: usize = 1536 * 1024;

fn on_a_small_stack(run: fn()) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run);
    thread.unwrap().join().unwrap();
}

/// Nested as deeply as it goes, by arrays or by objects that have to be escaped.
fn deepest() -> [String; 2] {
    let escaped = r#"{"$escape":{"$date":"#;
    [
        "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH),
        escaped.repeat(MAX_DEPTH / 2) + "1" + &"}".repeat(MAX_DEPTH),
    ]
}

#[test]
fn the_deepest_value_is_read_written_compared_cloned_and_dropped() {
    on_a_small_stack(|| {
        for text in deepest() {
            let value = ejson::parse(&text).unwrap();
            assert_eq!(ejson::stringify(&value), text);
            let copy = value.clone();
            assert!(value == copy);
            drop(value);
            let _printed = format!("{copy:?}");
        }
    });
}

#[test]
fn the_deepest_value_is_converted() {
    on_a_small_stack(|| {
        for text in deepest() {
            let value = ejson::parse(&text).unwrap();
            assert!(ejson::to_value(&[&value]).is_ok());
            let tree = ejson::to_json_value(&value);
            assert!(ejson::from_json_value(tree.clone()).as_ref() == Ok(&value));
            assert!(serde_json::from_value::<Value>(tree).unwrap() == value);
            assert!(ejson::from_value::<serde_json::Value>(value).is_ok());
        }
    });
}

#[test]
fn what_is_deeper_is_refused() {
    on_a_small_stack(|| {
        for open in ["[", "{\"a\":", "{\"$escape\":", "[{\"$date\":"] {
            let error = json::parse(&open.repeat(1_000_000)).unwrap_err();
            assert!(error.too_deep, "{open}");
        }
    });
}
