//! Strings go through JSON as in JavaScript, whatever their 16-bit units. What JavaScript does is
//! told here by a model that follows ECMAScript's `QuoteJSONString`, unit by unit.

use ddp_protocol::ejson::{self, Value};
use ddp_protocol::json;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_string_is_written_as_javascript_writes_it(units in units(), choices in choices()) {
        let literal = literal(&units, &choices);
        let value = json::parse(&literal);
        prop_assert_eq!(value.map(|value| ejson::stringify(&value)), Ok(quoted(&units)));
    }

    #[test]
    fn a_key_is_written_as_javascript_writes_it(units in units(), choices in choices()) {
        let text = format!("{{{}:1}}", literal(&units, &choices));
        let value = json::parse(&text);
        let expected = format!("{{{}:1}}", quoted(&units));
        prop_assert_eq!(value.map(|value| ejson::stringify(&value)), Ok(expected));
    }

    #[test]
    fn a_string_has_the_units_that_it_has_in_javascript(units in units(), choices in choices()) {
        let value = json::parse(&literal(&units, &choices));
        let read = value.as_ref().ok().and_then(Value::as_str).map(ejson::utf16);
        prop_assert_eq!(read.as_ref(), Some(&units));
        prop_assert_eq!(value, Ok(ejson::from_utf16(&units).into()));
    }

    #[test]
    fn any_text_of_a_program_keeps_its_meaning(text in any::<String>()) {
        let written = ejson::stringify(&text.as_str().into());
        let read = ejson::parse(&written);
        let units = read.as_ref().ok().and_then(Value::as_str).map(ejson::utf16);
        prop_assert_eq!(units, Some(ejson::utf16(&text)));
    }
}

fn units() -> impl Strategy<Value = Vec<u16>> {
    let unit = prop_oneof![
        any::<u16>(),
        0xd800u16..0xe000,
        0u16..0x80,
        // U+10FFFF, and what stands for surrogates
        Just(0xdbff),
        Just(0xdfff),
        0xe000u16..0xe800,
    ];
    prop::collection::vec(unit, 0..24)
}

fn choices() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), 24)
}

/// A literal of these units; the choices say which of them are escaped without need.
fn literal(units: &[u16], choices: &[bool]) -> String {
    let mut out = String::from('"');
    let mut at = 0;
    while at < units.len() {
        let character = char::decode_utf16(units[at..].iter().copied()).next();
        match character {
            Some(Ok(character))
                if choices[at] && character >= ' ' && !"\"\\".contains(character) =>
            {
                out.push(character);
                at += character.len_utf16();
            }
            _ => {
                out += &format!("\\u{:04X}", units[at]);
                at += 1;
            }
        }
    }
    out.push('"');
    out
}

fn quoted(units: &[u16]) -> String {
    let mut out = String::from('"');
    for decoded in char::decode_utf16(units.iter().copied()) {
        match decoded {
            Ok('\u{8}') => out.push_str("\\b"),
            Ok('\t') => out.push_str("\\t"),
            Ok('\n') => out.push_str("\\n"),
            Ok('\u{c}') => out.push_str("\\f"),
            Ok('\r') => out.push_str("\\r"),
            Ok('"') => out.push_str("\\\""),
            Ok('\\') => out.push_str("\\\\"),
            Ok(control) if control < ' ' => out += &format!("\\u{:04x}", u32::from(control)),
            Ok(character) => out.push(character),
            Err(lone) => out += &format!("\\u{:04x}", lone.unpaired_surrogate()),
        }
    }
    out.push('"');
    out
}
