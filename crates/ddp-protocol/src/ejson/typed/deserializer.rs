use serde::de::value::{MapDeserializer, SeqDeserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, Unexpected, VariantAccess,
    Visitor,
};

use super::access::{Entries, Items, Literal, Tuple};
use super::deserialize::unexpected;
use super::{SerdeError, handover, whole};
use crate::ejson::decode::form;
use crate::ejson::{Fields, Value, binary};
use crate::fields;

/// Says what the value is, in a way that a [`Value`] can be read from again: kinds that serde has
/// no word for show their EJSON form.
fn any<'de, V: Visitor<'de>>(value: Value, visitor: V) -> Result<V::Value, SerdeError> {
    let shown = match value {
        Value::Null => return visitor.visit_unit(),
        Value::Bool(value) => return visitor.visit_bool(value),
        Value::Number(number) => {
            return match whole(number) {
                Some(number) => visitor.visit_i64(number),
                None => visitor.visit_f64(number),
            };
        }
        Value::String(text) => return visitor.visit_string(text),
        Value::Array(items) => return Items::visit(items, visitor),
        Value::Object(fields) if form(&fields).is_some() => return escaped(fields, visitor),
        Value::Object(fields) => fields,
        Value::Date(date) => fields! { "$date": date.millis() },
        Value::Binary(bytes) => fields! { "$binary": binary::encode(&bytes) },
        Value::Regexp(regexp) => fields! { "$regexp": regexp.source(), "$flags": regexp.flags() },
        Value::ObjectId(id) => fields! { "$type": "oid", "$value": id.to_string() },
        Value::Custom(custom) => {
            fields! { "$type": custom.type_name(), "$value": custom.to_json_value() }
        }
    };
    Entries::visit(shown, visitor)
}

fn escaped<'de, V: Visitor<'de>>(fields: Fields, visitor: V) -> Result<V::Value, SerdeError> {
    let entry = ("$escape", Literal(fields));
    visitor.visit_map(MapDeserializer::new(std::iter::once(entry)))
}

fn mismatch<'de, V: Visitor<'de>>(value: &Value, visitor: &V) -> SerdeError {
    SerdeError::invalid_type(unexpected(value), visitor)
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
            let Value::Number(number) = self else {
                return Err(mismatch(&self, &visitor));
            };
            match whole(number) {
                Some(number) => visitor.visit_i64(number),
                None => Err(SerdeError::invalid_value(Unexpected::Float(number), &visitor)),
            }
        }
    )*};
}

macro_rules! expect {
    ($($method:ident: $variant:ident($inner:ident) => $visit:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
            match self {
                Value::$variant($inner) => $visit(visitor, $inner),
                other => Err(mismatch(&other, &visitor)),
            }
        }
    )*};
}

/// A value is read by [`from_value`](super::from_value)'s rules.
impl<'de> Deserializer<'de> for Value {
    type Error = SerdeError;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    expect! {
        deserialize_bool: Bool(value) => V::visit_bool;
        deserialize_f32: Number(number) => V::visit_f64;
        deserialize_f64: Number(number) => V::visit_f64;
        deserialize_char: String(text) => V::visit_string;
        deserialize_str: String(text) => V::visit_string;
        deserialize_string: String(text) => V::visit_string;
        deserialize_identifier: String(text) => V::visit_string;
        deserialize_map: Object(fields) => |visitor, fields| Entries::visit(fields, visitor);
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        any(self, visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self {
            Self::Binary(bytes) => visitor.visit_byte_buf(bytes),
            Self::String(text) => visitor.visit_string(text),
            other => other.deserialize_seq(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self {
            Self::Null => visitor.visit_none(),
            other => visitor.visit_some(other),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Array(items) if items.is_empty() => visitor.visit_unit(),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        if name != handover::NAME {
            return visitor.visit_newtype_struct(self);
        }
        handover::leave(self);
        let read = visitor.visit_unit();
        handover::take();
        read
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self {
            Self::Array(items) => Items::visit(items, visitor),
            Self::Binary(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.into_iter())),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        match self {
            Self::Array(items) => Tuple::visit(items, len, visitor),
            other => other.deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        match self {
            Self::Array(items) => Tuple::visit(items, names.len(), visitor),
            other => other.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        let (name, content) = match self {
            Self::String(name) => (name, None),
            Self::Object(fields) => only_entry(fields)?,
            other => {
                let expected = "the name of a variant, or an object of one key";
                return Err(SerdeError::invalid_type(unexpected(&other), &expected));
            }
        };
        visitor.visit_enum(Variant { name, content })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        visitor.visit_unit()
    }
}

impl IntoDeserializer<'_, SerdeError> for Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn only_entry(fields: Fields) -> Result<(String, Option<Value>), SerdeError> {
    let mut entries = fields.into_iter();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) => Ok((key, Some(value))),
        _ => Err(SerdeError::invalid_value(
            Unexpected::Map,
            &"an object of one key, the name of a variant",
        )),
    }
}

/// One variant of an enum, with what is in it.
struct Variant {
    name: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = SerdeError;
    type Variant = Content;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Content), SerdeError> {
        let name: StringDeserializer<SerdeError> = self.name.clone().into_deserializer();
        let variant = seed.deserialize(name)?;
        Ok((
            variant,
            Content {
                name: self.name,
                content: self.content,
            },
        ))
    }
}

struct Content {
    name: String,
    content: Option<Value>,
}

impl Content {
    fn read<T>(self, read: impl FnOnce(Value) -> Result<T, SerdeError>) -> Result<T, SerdeError> {
        match self.content {
            Some(content) => read(content).map_err(|error| error.at_key(&self.name)),
            None => Err(SerdeError::invalid_type(
                Unexpected::UnitVariant,
                &"a variant with something in it",
            )),
        }
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = SerdeError;

    fn unit_variant(self) -> Result<(), SerdeError> {
        match self.content {
            None => Ok(()),
            Some(content) => super::from_value(content).map_err(|error| error.at_key(&self.name)),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, SerdeError> {
        self.read(|content| seed.deserialize(content))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        self.read(|content| content.deserialize_tuple(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        self.read(|content| content.deserialize_struct("", names, visitor))
    }
}
