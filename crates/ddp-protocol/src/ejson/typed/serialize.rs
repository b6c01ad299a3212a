use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{handover, whole};
use crate::ejson::decode::form;
use crate::ejson::registry::OID;
use crate::ejson::{Binary, Custom, Date, Fields, ObjectId, Regexp, Value, binary};

/// What an `Into<Value>` looks like from outside: our own serializer takes the value, all others
/// see its EJSON form.
struct Form<F>(F);

impl<F: Fn() -> Value> Serialize for Form<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if handover::answer(&self.0) {
            return serializer.serialize_unit();
        }
        Ejson(&(self.0)()).serialize(serializer)
    }
}

/// [`Form`] of a value that need not be cloned to be looked at.
struct Borrowed<'a>(&'a Value);

impl Serialize for Borrowed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if handover::answer(|| self.0.clone()) {
            return serializer.serialize_unit();
        }
        Ejson(self.0).serialize(serializer)
    }
}

/// In our own formats a value is itself; in others it is its EJSON form, bytes being bytes where
/// the format is not one for people.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(handover::NAME, &Borrowed(self))
    }
}

macro_rules! serialize_as_value {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let form = Form(|| Value::from(self.clone()));
                serializer.serialize_newtype_struct(handover::NAME, &form)
            }
        }
    )*};
}

serialize_as_value!(Custom, Date, Binary, ObjectId, Regexp);

/// The EJSON form of a value.
struct Ejson<'a>(&'a Value);

impl Serialize for Ejson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(number) => serialize_number(*number, serializer),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ejson)),
            Value::Object(fields) if form(fields).is_some() => {
                one(serializer, "$escape", &Literal(fields))
            }
            Value::Object(fields) => Literal(fields).serialize(serializer),
            Value::Date(date) => one(serializer, "$date", &date.millis()),
            Value::Binary(bytes) if !serializer.is_human_readable() => {
                serializer.serialize_bytes(bytes)
            }
            Value::Binary(bytes) => one(serializer, "$binary", &binary::encode(bytes)),
            Value::Regexp(regexp) => two(
                serializer,
                ("$regexp", regexp.source()),
                ("$flags", regexp.flags()),
            ),
            Value::ObjectId(id) => two(serializer, ("$type", OID), ("$value", &id.to_string())),
            Value::Custom(custom) => two(
                serializer,
                ("$type", custom.type_name()),
                ("$value", &Plain(&custom.to_json_value())),
            ),
        }
    }
}

/// An object, whatever its keys.
struct Literal<'a>(&'a Fields);

impl Serialize for Literal<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, Ejson(value))))
    }
}

/// A value as plain JSON, as `JSON.stringify` sees it.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) if !number.is_finite() => serializer.serialize_unit(),
            Value::Date(date) => date.to_iso_string().serialize(serializer),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Plain)),
            Value::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(key, value)| (key, Plain(value))))
            }
            other => Ejson(other).serialize(serializer),
        }
    }
}

fn serialize_number<S: Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.is_nan() {
        one(serializer, "$InfNaN", &0)
    } else if number.is_infinite() {
        one(serializer, "$InfNaN", &if number > 0.0 { 1 } else { -1 })
    } else if let Some(whole) = whole(number) {
        serializer.serialize_i64(whole)
    } else {
        serializer.serialize_f64(number)
    }
}

fn one<S: Serializer, T: Serialize>(
    serializer: S,
    key: &'static str,
    value: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

fn two<S: Serializer, T: Serialize + ?Sized>(
    serializer: S,
    first: (&'static str, &str),
    second: (&'static str, &T),
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry(first.0, first.1)?;
    map.serialize_entry(second.0, second.1)?;
    map.end()
}
