use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::*;
use crate::ejson::{self, Binary, Date, Fields, ObjectId, Regexp};
use crate::{fields, object};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Task {
    text: String,
    count: u32,
    due: Option<Date>,
    file: Binary,
    id: ObjectId,
    pattern: Regexp,
    rest: Value,
    pair: (i8, bool),
}

fn regexp() -> Regexp {
    Regexp::new("a/b", "gi").unwrap()
}

fn task() -> Task {
    Task {
        text: "t".into(),
        count: 3,
        due: Some(Date::from_millis(5)),
        file: Binary(vec![0, 255]),
        id: ObjectId::from_bytes([7; 12]),
        pattern: regexp(),
        rest: every_kind(),
        pair: (-1, true),
    }
}

fn task_value() -> Value {
    object! {
        "text": "t", "count": 3, "due": Date::from_millis(5), "file": Binary(vec![0, 255]),
        "id": ObjectId::from_bytes([7; 12]), "pattern": regexp(), "rest": every_kind(),
        "pair": Value::Array(vec![(-1).into(), true.into()]),
    }
}

fn every_kind() -> Value {
    object! {
        "null": (), "nan": f64::NAN, "inf": f64::NEG_INFINITY, "half": 0.5, "big": 1e300,
        "date": Date::from_millis(-1), "bytes": Value::Binary(vec![]), "re": regexp(),
        "oid": ObjectId::from_bytes([1; 12]), "$date": 5,
        "looks like": Value::Array(vec![object! { "$date": 5 }, object! { "$type": 1, "$value": 2 }]),
    }
}

#[test]
fn a_struct_goes_in_and_out() {
    assert_eq!(to_value(&task()), Ok(task_value()));
    assert_eq!(from_value(task_value()), Ok(task()));
}

#[test]
fn a_struct_is_ejson_in_other_formats() {
    let json = serde_json::to_value(task()).unwrap();
    assert_eq!(json, ejson::to_json_value(&task_value()));
    assert_eq!(serde_json::from_value::<Task>(json).unwrap(), task());
    let text = serde_json::to_string(&object! { "n": 1, "e": object! { "$date": 0.5 } }).unwrap();
    assert_eq!(text, r#"{"n":1,"e":{"$escape":{"$date":0.5}}}"#);
}

#[test]
fn a_value_passes_through_unharmed() {
    let invalid = Value::Date(Date::INVALID);
    for value in [
        every_kind(),
        Value::Null,
        f64::NAN.into(),
        invalid,
        object! { "$date": 1 },
    ] {
        assert_eq!(to_value(&value), Ok(value.clone()));
        assert_eq!(from_value(value.clone()), Ok(value.clone()));
        assert_eq!(to_value(&(&value,)), Ok(Value::Array(vec![value.clone()])));
        assert_eq!(from_value(vec![value.clone()].into()), Ok((value,)));
    }
}

#[test]
fn a_value_passes_through_what_buffers_it() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        a: f64,
        #[serde(flatten)]
        rest: Fields,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Date(Date),
        Bytes(Binary),
        Other(Value),
    }

    let outer = Outer {
        a: f64::INFINITY,
        rest: every_kind().into_object().unwrap(),
    };
    let value = to_value(&outer).unwrap();
    assert_eq!(value.get("date"), every_kind().get("date"));
    assert_eq!(from_value(value), Ok(outer));
    let date = Date::from_millis(1);
    assert_eq!(from_value(date.into()), Ok(Either::Date(date)));
    let bytes = Binary(vec![1]);
    assert_eq!(from_value(bytes.clone().into()), Ok(Either::Bytes(bytes)));
    let looks_like = object! { "$date": 5 };
    assert_eq!(
        from_value(looks_like.clone()),
        Ok(Either::Other(looks_like))
    );
}

#[test]
fn undefined_is_told_from_null() {
    #[derive(Serialize)]
    struct Unit;

    assert_eq!(to_result(&()), Ok(None));
    assert_eq!(to_result(&Unit), Ok(None));
    assert_eq!(to_result(&None::<Value>), Ok(None));
    assert_eq!(to_result(&Value::Null), Ok(Some(Value::Null)));
    assert_eq!(to_result(&Some(Value::Null)), Ok(Some(Value::Null)));
    assert_eq!(to_result(&Some(1)), Ok(Some(1.into())));
    assert_eq!(
        to_value(&[None, Some(1)]),
        Ok(Value::Array(vec![Value::Null, 1.into()]))
    );
}

#[test]
fn arguments_are_read_as_a_tuple() {
    let arguments = |numbers: &[i32]| Value::from_iter(numbers.iter().copied());
    assert_eq!(from_value(arguments(&[1, 2])), Ok((1.0, 2.0)));
    assert_eq!(from_value(arguments(&[])), Ok(()));
    assert_eq!(from_value(arguments(&[1])), Ok((1, None::<f64>)));
    let short = from_value::<(f64, f64)>(arguments(&[1]));
    assert_eq!(said(short), "invalid length 1, expected 2 elements");
    let long = from_value::<(f64,)>(arguments(&[1, 2]));
    assert_eq!(said(long), "invalid length 2, expected a tuple of size 1");
    let wrong = from_value::<(f64, String)>(arguments(&[1, 2]));
    assert_eq!(
        said(wrong),
        "[1]: invalid type: integer `2`, expected a string"
    );
    assert!(from_value::<()>(arguments(&[1])).is_err());
    assert!(from_value::<(f64, Value)>(arguments(&[1])).is_err());
}

#[test]
fn integers_are_those_of_javascript() {
    let exact = 1i64 << 53;
    assert_eq!(to_value(&exact), Ok((1u64 << 53).into()));
    assert_eq!(from_value(exact.into()), Ok(exact));
    assert_eq!(from_value((-exact).into()), Ok(-exact));
    assert!(said(to_value(&(exact + 1))).contains("9007199254740993 is beyond 2^53"));
    assert!(to_value(&u64::MAX).is_err() && to_value(&i64::MIN).is_err());
    for number in [0.5, f64::NAN, f64::INFINITY, 1e18] {
        assert!(from_value::<i64>(number.into()).is_err(), "{number}");
        assert_eq!(from_value::<Value>(number.into()), Ok(number.into()));
    }
    assert!(from_value::<u8>(256.into()).is_err() && from_value::<u8>((-1).into()).is_err());
    assert_eq!(from_value((-0.0).into()), Ok(0u8));
    assert_eq!(from_value(7.into()), Ok(7.0f32));
}

#[test]
fn enums_are_as_in_serde_json() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Point,
        Circle(f64),
        Line(f64, Date),
        Box { width: u8 },
    }
    let date = Date::from_millis(1);
    let shapes = [
        (Shape::Point, Value::from("Point")),
        (Shape::Circle(0.5), object! { "Circle": 0.5 }),
        (
            Shape::Line(1.0, date),
            object! { "Line": Value::Array(vec![1.into(), date.into()]) },
        ),
        (
            Shape::Box { width: 2 },
            object! { "Box": object! { "width": 2 } },
        ),
    ];
    for (shape, value) in shapes {
        assert_eq!(to_value(&shape), Ok(value.clone()));
        assert_eq!(from_value(value), Ok(shape));
    }
    let wrong = from_value::<Shape>(object! { "Box": object! { "width": "x" } });
    assert_eq!(
        said(wrong),
        "Box.width: invalid type: string \"x\", expected u8"
    );
    for value in [
        object! {},
        5.into(),
        "Circle".into(),
        object! { "Circle": 1, "Point": 2 },
    ] {
        assert!(from_value::<Shape>(value).is_err());
    }
    assert_eq!(from_value(object! { "Point": () }), Ok(Shape::Point));
}

#[test]
fn maps_may_have_keys_that_print() {
    let numbers = BTreeMap::from([(-1i16, "a".to_owned()), (2, "b".to_owned())]);
    let value = object! { "-1": "a", "2": "b" };
    assert_eq!(to_value(&numbers), Ok(value.clone()));
    assert_eq!(from_value(value), Ok(numbers));
    let flags = HashMap::from([(true, 1u8)]);
    assert_eq!(from_value(to_value(&flags).unwrap()), Ok(flags));
    assert!(to_value(&HashMap::from([(vec![1], 1)])).is_err());
    assert!(from_value::<BTreeMap<u8, u8>>(object! { "x": 1 }).is_err());
}

#[test]
fn bytes_are_read_as_numbers_too() {
    assert_eq!(from_value(Value::Binary(vec![1, 2])), Ok(vec![1u8, 2]));
    assert_eq!(to_value(&vec![1u8, 2]), Ok(vec![1, 2].into()));
    assert!(from_value::<Binary>(vec![1].into()).is_err());
}

#[test]
fn errors_say_where_and_what() {
    let mut fields = task_value().into_object().unwrap();
    fields.insert("due".into(), 5.into());
    let read = from_value::<HashMap<String, Vec<Task>>>(
        object! { "my tasks": Value::Array(vec![fields.into()]) },
    );
    let error = read.unwrap_err();
    assert_eq!(error.path(), r#"["my tasks"][0].due"#);
    assert_eq!(
        error.message(),
        "invalid type: integer `5`, expected a date"
    );
    let missing = from_value::<Task>(object! { "text": "x" });
    assert_eq!(said(missing), "missing field `count`");
    let inner = to_value(&fields_of_big_number());
    assert!(said(inner).starts_with("a[1]: the integer"));
}

fn fields_of_big_number() -> HashMap<&'static str, [u64; 2]> {
    HashMap::from([("a", [1, u64::MAX])])
}

#[test]
fn unknown_fields_are_as_serde_says() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Lax {
        a: u8,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        a: u8,
    }
    let value = object! { "x": Date::from_millis(1), "a": 1 };
    assert_eq!(from_value(value.clone()), Ok(Lax { a: 1 }));
    assert!(said(from_value::<Strict>(value)).starts_with("x: unknown field `x`"));
    assert_eq!(from_value(fields! { "a": 1 }.into()), Ok(Strict { a: 1 }));
}

fn said<T: std::fmt::Debug>(result: Result<T, SerdeError>) -> String {
    result.unwrap_err().to_string()
}
