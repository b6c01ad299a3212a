//! Document ids on the wire (Meteor's `packages/mongo-id/id.js`).

use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ejson::{ObjectId, Value};
use crate::json;

/// The id of a document, held as it travels in the `id` of a data message.
///
/// Strings travel as they are, unless they could be taken for something else: those get a `-`
/// in front. Object ids travel as their digits, other JSON values as `~` and their JSON.
/// Different ids never have the same form.
///
/// ```
/// use ddp_protocol::DocumentId;
///
/// assert_eq!(DocumentId::from("todo").as_wire(), "todo");
/// assert_eq!(DocumentId::from("0123456789abcdef01234567").as_wire(), "-0123456789abcdef01234567");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId(Arc<str>);

impl DocumentId {
    /// The id `undefined`, which JavaScript publishers may use.
    pub fn undefined() -> Self {
        Self("-".into())
    }

    /// The id of a value, or `None` for kinds that cannot be an id (arrays, objects, dates …).
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text.as_str().into()),
            Value::ObjectId(id) => Some((*id).into()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                let mut wire = String::from("~");
                json::write_json(&mut wire, value);
                Some(Self(wire.into()))
            }
            _ => None,
        }
    }

    /// Reads the `id` of a data message. `None` when what follows a `~` is not JSON.
    pub fn from_wire(wire: &str) -> Option<Self> {
        if let Some(json) = wire.strip_prefix('~') {
            json::parse(json).ok()?;
        }
        Some(Self(wire.into()))
    }

    /// The form in which it travels.
    pub fn as_wire(&self) -> &str {
        &self.0
    }

    /// The value that the id stands for; `None` is `undefined`.
    pub fn to_value(&self) -> Option<Value> {
        match self.0.as_bytes() {
            [] => Some("".into()),
            b"-" => None,
            [b'-', ..] => Some(self.0[1..].into()),
            [b'~', ..] => json::parse(&self.0[1..]).ok(),
            _ if looks_like_object_id(&self.0) => ObjectId::parse(&self.0).map(Value::ObjectId),
            _ => Some((*self.0).into()),
        }
    }
}

impl From<&str> for DocumentId {
    fn from(id: &str) -> Self {
        if id.starts_with(['-', '~', '{']) || looks_like_object_id(id) {
            Self(format!("-{id}").into())
        } else {
            Self(id.into())
        }
    }
}

impl From<String> for DocumentId {
    fn from(id: String) -> Self {
        id.as_str().into()
    }
}

impl From<&String> for DocumentId {
    fn from(id: &String) -> Self {
        id.as_str().into()
    }
}

impl From<ObjectId> for DocumentId {
    fn from(id: ObjectId) -> Self {
        Self(id.to_string().into())
    }
}

impl From<&DocumentId> for DocumentId {
    fn from(id: &DocumentId) -> Self {
        id.clone()
    }
}

/// As the value that the id stands for, not as it travels in data messages; `undefined` is `None`.
impl Serialize for DocumentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

/// From a value that can be an id.
impl<'de> Deserialize<'de> for DocumentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).ok_or_else(|| D::Error::custom("this kind of value is no id"))
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocumentId({:?})", &*self.0)
    }
}

fn looks_like_object_id(text: &str) -> bool {
    text.len() == 24
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejson;

    #[test]
    fn strings_that_look_like_something_else_are_marked() {
        for (id, wire) in [
            ("plain", "plain"),
            ("-dash", "--dash"),
            ("~tilde", "-~tilde"),
            ("{brace", "-{brace"),
            ("0123456789abcdef01234567", "-0123456789abcdef01234567"),
            ("0123456789ABCDEF01234567", "0123456789ABCDEF01234567"),
            ("", ""),
        ] {
            assert_eq!(DocumentId::from(id).as_wire(), wire);
            assert_eq!(DocumentId::from(id).to_value(), Some(id.into()));
        }
    }

    #[test]
    fn other_values_keep_their_type() {
        let wire = |value: Value| DocumentId::from_value(&value).map(|id| id.to_string());
        assert_eq!(wire(5.into()).as_deref(), Some("~5"));
        assert_eq!(wire(true.into()).as_deref(), Some("~true"));
        assert_eq!(wire(Value::Null).as_deref(), Some("~null"));
        assert_eq!(wire(Value::Array(vec![])), None);
        let digits = "0123456789abcdef01234567";
        let object_id = ObjectId::parse(digits).map(DocumentId::from);
        assert_eq!(object_id.as_ref().map(DocumentId::as_wire), Some(digits));
        assert_eq!(
            object_id
                .and_then(|id| id.to_value())
                .and_then(|v| v.as_str().map(String::from)),
            None
        );
        assert_eq!(DocumentId::undefined().to_value(), None);
        assert_eq!(DocumentId::from_wire("~{"), None);
    }

    #[test]
    fn as_an_argument_or_result_an_id_is_the_value_that_it_stands_for() {
        let digits = "0123456789abcdef01234567";
        let object_id = ObjectId::parse(digits).map(Value::ObjectId).unwrap();
        for value in ["plain".into(), digits.into(), object_id, Value::Number(5.0)] {
            let id: DocumentId = ejson::from_value(value.clone()).unwrap();
            assert_eq!(ejson::to_value(&id), Ok(value));
        }
        assert!(ejson::from_value::<DocumentId>(Value::Array(Vec::new())).is_err());
        assert_eq!(ejson::to_value(&DocumentId::undefined()), Ok(Value::Null));
    }
}
