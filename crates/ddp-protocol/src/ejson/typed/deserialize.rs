use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::{handover, whole};
use crate::ejson::decode::decode_in_place;
use crate::ejson::{Binary, Custom, Date, Fields, ObjectId, Regexp, TypeRegistry, Value};

/// From our own formats the value itself; from others what they say, read as EJSON.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(handover::NAME, Taker)
    }
}

/// Takes a value that our own deserializer leaves, and reads the form that others show.
struct Taker;

impl<'de> Visitor<'de> for Taker {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any EJSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(handover::take().unwrap_or(Value::Null))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        let Json(mut value) = Json::deserialize(inner)?;
        decode_in_place(&mut value, &TypeRegistry::new()).map_err(D::Error::custom)?;
        Ok(value)
    }
}

/// A value as another format has it, EJSON's forms still being objects.
struct Json(Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(Self)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any EJSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Binary(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Binary(bytes))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Json(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Fields::new();
        while let Some((key, Json(value))) = map.next_entry()? {
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

macro_rules! deserialize_from_value {
    ($($type:ty, $variant:ident, $expected:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match Value::deserialize(deserializer)? {
                    Value::$variant(inner) => Ok(inner.into()),
                    other => Err(D::Error::invalid_type(unexpected(&other), &$expected)),
                }
            }
        }
    )*};
}

deserialize_from_value! {
    Custom, Custom, "a value of a registered type";
    Date, Date, "a date";
    Binary, Binary, "binary data";
    ObjectId, ObjectId, "an object id";
    Regexp, Regexp, "a regular expression";
}

/// What serde's messages call a value.
pub(super) fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Other("null"),
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(number) => match whole(*number) {
            Some(number) => Unexpected::Signed(number),
            None => Unexpected::Float(*number),
        },
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
        Value::Date(_) => Unexpected::Other("date"),
        Value::Binary(bytes) => Unexpected::Bytes(bytes),
        Value::Regexp(_) => Unexpected::Other("regular expression"),
        Value::ObjectId(_) => Unexpected::Other("object id"),
        Value::Custom(custom) => Unexpected::Other(custom.type_name()),
    }
}
