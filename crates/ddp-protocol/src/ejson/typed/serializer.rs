use serde::ser::{self, Serialize};

use super::sink::{Array, Object, Variant};
use super::{SerdeError, handover};
use crate::ejson::Value;
use crate::fields;

/// Makes a [`Value`] of whatever serializes itself; `None` is JavaScript's `undefined`.
pub(super) struct Serializer;

type Encoded = Result<Option<Value>, SerdeError>;

/// What is inside a value: there `undefined` is `null`.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Value, SerdeError> {
    super::to_value(value)
}

macro_rules! plain {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, value: $type) -> Encoded {
            Ok(Some(Value::from(value)))
        }
    )*};
}

macro_rules! wide {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, value: $type) -> Encoded {
            match i64::try_from(value) {
                Ok(number) if number.unsigned_abs() <= super::EXACT => Ok(Some(number.into())),
                _ => Err(SerdeError::new(format_args!(
                    "the integer {value} is beyond 2^53, where JavaScript's numbers are not exact: \
                     send it as text"
                ))),
            }
        }
    )*};
}

impl ser::Serializer for Serializer {
    type Ok = Option<Value>;
    type Error = SerdeError;
    type SerializeSeq = Array;
    type SerializeTuple = Array;
    type SerializeTupleStruct = Array;
    type SerializeTupleVariant = Variant<Array>;
    type SerializeMap = Object;
    type SerializeStruct = Object;
    type SerializeStructVariant = Variant<Object>;

    plain! {
        serialize_bool(bool) serialize_str(&str)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32)
        serialize_f32(f32) serialize_f64(f64)
    }

    wide! {
        serialize_i64(i64) serialize_u64(u64) serialize_i128(i128) serialize_u128(u128)
    }

    fn serialize_char(self, character: char) -> Encoded {
        Ok(Some(Value::String(character.into())))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Encoded {
        Ok(Some(Value::Binary(bytes.to_vec())))
    }

    fn serialize_none(self) -> Encoded {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Encoded {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Encoded {
        Ok(None)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Encoded {
        Ok(None)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Encoded {
        Ok(Some(variant.into()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Encoded {
        if name != handover::NAME {
            return value.serialize(self);
        }
        handover::ask();
        let seen = value.serialize(self)?;
        Ok(handover::take().or(seen))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Encoded {
        let value = encode(value).map_err(|error| error.at_key(variant))?;
        let mut object = fields! {};
        object.insert(variant.to_owned(), value);
        Ok(Some(Value::Object(object)))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Array, SerdeError> {
        Ok(Array::new(len.unwrap_or(0)))
    }

    fn serialize_tuple(self, len: usize) -> Result<Array, SerdeError> {
        Ok(Array::new(len))
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Array, SerdeError> {
        Ok(Array::new(len))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Variant<Array>, SerdeError> {
        Ok(Variant::new(variant, Array::new(len)))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Object, SerdeError> {
        Ok(Object::new(len.unwrap_or(0)))
    }

    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Object, SerdeError> {
        Ok(Object::new(len))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Variant<Object>, SerdeError> {
        Ok(Variant::new(variant, Object::new(len)))
    }
}
