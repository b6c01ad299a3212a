//! Whatever EJSON can say survives a journey over the wire.

use ddp_protocol::ejson::{self, Date, Fields, ObjectId, Regexp, Value};
use ddp_protocol::json;
use proptest::prelude::*;

const MAX_DATE: i64 = 8_640_000_000_000_000;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_value_comes_back(value in value()) {
        let text = ejson::stringify(&value);
        prop_assert_eq!(ejson::parse(&text), Ok(value), "as {}", text);
    }

    #[test]
    fn printing_is_stable(value in value()) {
        let text = ejson::stringify(&value);
        let again = ejson::parse(&text).map(|value| ejson::stringify(&value));
        prop_assert_eq!(again, Ok(text));
    }

    #[test]
    fn every_value_passes_through_serde(value in value()) {
        prop_assert_eq!(ejson::to_value(&[&value]), Ok(Value::Array(vec![value.clone()])));
        prop_assert_eq!(ejson::from_value(value.clone()), Ok(value));
    }

    #[test]
    fn every_value_is_ejson_in_other_formats(value in value()) {
        let json = serde_json::to_value(&value).unwrap();
        prop_assert_eq!(ejson::from_json_value(json.clone()), Ok(value.clone()));
        prop_assert_eq!(serde_json::from_value::<Value>(json).unwrap(), value);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,64}") {
        let _whatever = ejson::parse(&text);
    }

    #[test]
    fn no_text_that_looks_like_ejson_makes_the_reader_panic(
        text in r#"(\{"\$(date|binary|type|value|regexp|flags|escape|InfNaN)":|["\[\]{}:,]|[a-z0-9\\-]|\}){0,24}"#
    ) {
        let _whatever = ejson::parse(&text);
    }

    #[test]
    fn the_reader_agrees_with_another_one(text in r#"[\[\]{}:,"\\a-eu0-9\-+. ]{0,24}"#) {
        let other: Result<serde_json::Value, _> = serde_json::from_str(&text);
        if let Ok(other) = other {
            prop_assert_eq!(json::parse(&text), Ok(Value::from(other)));
        } else if let Ok(value) = json::parse(&text) {
            // only what serde_json refuses and JavaScript takes
            let odd = text.contains("\\u") || ejson::stringify(&value).contains("InfNaN");
            prop_assert!(odd, "{} was read", text);
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)]
            .prop_map(Value::from),
        // any text, as it is after a journey
        units().prop_map(|units| ejson::from_utf16(&units).into()),
        // an invalid date does not come back: `new Date(null)` is 1970
        (-MAX_DATE..=MAX_DATE).prop_map(|millis| Date::from_millis(millis).into()),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(Value::Binary),
        any::<[u8; 12]>().prop_map(|bytes| ObjectId::from_bytes(bytes).into()),
        ("[a-z/.]{0,6}", "[gimuy]{0,5}").prop_filter_map("a pattern", |(source, flags)| {
            Regexp::new(&source, &flags).map(Value::from)
        }),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Fields>())),
        ]
    })
}

/// Keys of which EJSON's own forms are made, and others.
fn key() -> impl Strategy<Value = String> {
    let special = [
        "$date", "$binary", "$InfNaN", "$regexp", "$flags", "$type", "$value", "$escape",
    ];
    prop_oneof![
        prop::sample::select(special.to_vec()).prop_map(str::to_owned),
        "[a-c]{0,2}",
        units().prop_map(|units| ejson::from_utf16(&units)),
    ]
}

/// Text as JavaScript has it, with many surrogates, paired and not.
fn units() -> impl Strategy<Value = Vec<u16>> {
    let unit = prop_oneof![
        any::<u16>(),
        0xd800u16..0xe000,
        0u16..0x80,
        Just(0xdbff),
        Just(0xdfff),
        0xe000u16..0xe800,
    ];
    prop::collection::vec(unit, 0..12)
}
