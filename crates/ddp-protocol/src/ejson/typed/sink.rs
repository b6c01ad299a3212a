//! Where the parts of arrays and objects are gathered.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::SerdeError;
use super::key::KeySerializer;
use super::serializer::encode;
use crate::ejson::{Fields, Value};

/// How much room is made on the word of a type that may be mistaken.
const MAX_ROOM: usize = 1024;

type Encoded = Result<Option<Value>, SerdeError>;

/// An array in the making.
pub(super) struct Array(Vec<Value>);

impl Array {
    pub(super) fn new(len: usize) -> Self {
        Self(Vec::with_capacity(len.min(MAX_ROOM)))
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        let value = encode(value).map_err(|error| error.at_index(self.0.len()))?;
        self.0.push(value);
        Ok(())
    }

    fn finish(self) -> Value {
        Value::Array(self.0)
    }
}

/// An object in the making.
pub(super) struct Object {
    fields: Fields,
    key: String,
}

impl Object {
    pub(super) fn new(len: usize) -> Self {
        Self {
            fields: Fields::with_capacity(len.min(MAX_ROOM)),
            key: String::new(),
        }
    }

    fn insert<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Result<(), SerdeError> {
        let value = encode(value).map_err(|error| error.at_key(&key))?;
        self.fields.insert(key, value);
        Ok(())
    }

    fn finish(self) -> Value {
        Value::Object(self.fields)
    }
}

/// A variant of an enum: an object of one key.
pub(super) struct Variant<T> {
    name: &'static str,
    content: T,
}

impl<T> Variant<T> {
    pub(super) fn new(name: &'static str, content: T) -> Self {
        Self { name, content }
    }
}

fn variant(name: &str, content: Value) -> Encoded {
    let entry = (name.to_owned(), content);
    Ok(Some(Value::Object(Fields::from_iter([entry]))))
}

macro_rules! array {
    ($($trait:ident::$method:ident)*) => {$(
        impl $trait for Array {
            type Ok = Option<Value>;
            type Error = SerdeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
                self.push(value)
            }

            fn end(self) -> Encoded {
                Ok(Some(self.finish()))
            }
        }
    )*};
}

array! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
}

impl SerializeTupleVariant for Variant<Array> {
    type Ok = Option<Value>;
    type Error = SerdeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        let pushed = self.content.push(value);
        pushed.map_err(|error| error.at_key(self.name))
    }

    fn end(self) -> Encoded {
        variant(self.name, self.content.finish())
    }
}

impl SerializeMap for Object {
    type Ok = Option<Value>;
    type Error = SerdeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerdeError> {
        self.key = key.serialize(KeySerializer)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        let key = std::mem::take(&mut self.key);
        self.insert(key, value)
    }

    fn end(self) -> Encoded {
        Ok(Some(self.finish()))
    }
}

impl SerializeStruct for Object {
    type Ok = Option<Value>;
    type Error = SerdeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), SerdeError> {
        self.insert(key.to_owned(), value)
    }

    fn end(self) -> Encoded {
        Ok(Some(self.finish()))
    }
}

impl SerializeStructVariant for Variant<Object> {
    type Ok = Option<Value>;
    type Error = SerdeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), SerdeError> {
        let inserted = self.content.insert(key.to_owned(), value);
        inserted.map_err(|error| error.at_key(self.name))
    }

    fn end(self) -> Encoded {
        variant(self.name, self.content.finish())
    }
}
