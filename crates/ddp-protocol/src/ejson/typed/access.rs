//! How the parts of arrays and objects are read one after the other.

use serde::de::{
    DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::SerdeError;
use super::key::Key;
use crate::ejson::{Fields, Value};

/// The items of an array.
pub(super) struct Items {
    items: std::vec::IntoIter<Value>,
    index: usize,
}

impl Items {
    pub(super) fn visit<'de, V: Visitor<'de>>(
        items: Vec<Value>,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        let len = items.len();
        let mut access = Self {
            items: items.into_iter(),
            index: 0,
        };
        let read = visitor.visit_seq(&mut access)?;
        match access.items.len() {
            0 => Ok(read),
            left => Err(too_long(len, len - left)),
        }
    }
}

impl<'de> SeqAccess<'de> for Items {
    type Error = SerdeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, SerdeError> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        self.index += 1;
        let read = seed.deserialize(item);
        read.map(Some)
            .map_err(|error| error.at_index(self.index - 1))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

fn too_long(len: usize, expected: usize) -> SerdeError {
    SerdeError::invalid_length(len, &format!("no more than {expected}").as_str())
}

/// The items of an array that is read as a tuple: what is missing at the end is `undefined`.
pub(super) struct Tuple {
    items: Items,
    given: usize,
    expected: usize,
}

impl Tuple {
    pub(super) fn visit<'de, V: Visitor<'de>>(
        items: Vec<Value>,
        expected: usize,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        let given = items.len();
        if given > expected {
            return Err(SerdeError::invalid_length(given, &visitor));
        }
        visitor.visit_seq(Self {
            items: Items {
                items: items.into_iter(),
                index: 0,
            },
            given,
            expected,
        })
    }
}

impl<'de> SeqAccess<'de> for Tuple {
    type Error = SerdeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, SerdeError> {
        if self.items.items.len() > 0 {
            return self.items.next_element_seed(seed);
        }
        if self.items.index >= self.expected {
            return Ok(None);
        }
        self.items.index += 1;
        seed.deserialize(Undefined {
            given: self.given,
            expected: self.expected,
        })
        .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.expected - self.items.index)
    }
}

/// What is read where nothing was given: only an `Option` can be made of it.
struct Undefined {
    given: usize,
    expected: usize,
}

impl<'de> Deserializer<'de> for Undefined {
    type Error = SerdeError;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, SerdeError> {
        let expected = format!("{} elements", self.expected);
        Err(SerdeError::invalid_length(self.given, &expected.as_str()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The entries of an object.
pub(super) struct Entries {
    entries: indexmap::map::IntoIter<String, Value>,
    current: Option<(String, Value)>,
}

impl Entries {
    pub(super) fn visit<'de, V: Visitor<'de>>(
        fields: Fields,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        visitor.visit_map(Self {
            entries: fields.into_iter(),
            current: None,
        })
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = SerdeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, SerdeError> {
        self.current = self.entries.next();
        let Some((key, _)) = &self.current else {
            return Ok(None);
        };
        let read = seed.deserialize(Key(key));
        read.map(Some).map_err(|error| error.at_key(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, SerdeError> {
        let Some((key, value)) = self.current.take() else {
            return Err(SerdeError::new("a value was asked for before its key"));
        };
        let read = seed.deserialize(value);
        read.map_err(|error| error.at_key(&key))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// An object of whatever keys, which is not to be escaped again.
pub(super) struct Literal(pub(super) Fields);

impl<'de> Deserializer<'de> for Literal {
    type Error = SerdeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        Entries::visit(self.0, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl IntoDeserializer<'_, SerdeError> for Literal {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
