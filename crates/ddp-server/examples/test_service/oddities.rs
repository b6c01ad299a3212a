//! Every kind of value that EJSON has.

use ddp_server::ejson::{Date, Fields, ObjectId, Regexp, Value};
use ddp_server::{Builder, fields, object};

pub(super) fn offer(builder: Builder) -> Builder {
    builder
        .method("special", |_, _: Vec<Value>| async { Ok(oddities()) })
        .publish("fieldsTypes", |sub, _: Vec<Value>| async move {
            sub.added("types", "t", oddities());
            sub.ready();
            Ok(())
        })
}

fn oddities() -> Fields {
    let mut fields = fields! {
        "date": Date::from_millis(0),
        "invalidDate": Date::INVALID,
        "binary": Value::Binary(vec![1, 2, 3]),
        "emptyBinary": Value::Binary(Vec::new()),
        "inf": f64::INFINITY,
        "negInf": f64::NEG_INFINITY,
        "nan": f64::NAN,
        "negZero": -0.0,
        "big": 1e21,
        "bigInteger": 123_456_789_012_345_680_000.0,
        "small": 1e-7,
        "escaped": object! { "$date": 5 },
        "escapedType": object! { "$type": "x", "$value": 1 },
        "escapedEscape": object! { "$escape": object! { "$date": 5 } },
        "notEscaped": object! { "$date": 5, "more": 1 },
        // JavaScript's undefined: dropped from objects, null in arrays
        "array": vec![Value::from(1), Value::Null, object! {}],
        "nested": object! { "deep": object! { "date": Date::from_millis(1) } },
        "emoji": "😀",
        "null": (),
        "empty": "",
    };
    if let Some(id) = ObjectId::parse("0123456789abcdef01234567") {
        fields.insert("oid".to_owned(), id.into());
    }
    if let Some(regexp) = Regexp::new("a/b+", "gi") {
        fields.insert("regexp".to_owned(), regexp.into());
    }
    fields
}
