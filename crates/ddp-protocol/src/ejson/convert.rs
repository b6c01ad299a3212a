//! Conversions between [`Value`] and the types that Rust programs hold.

use super::{Binary, Custom, Date, Fields, ObjectId, Regexp, Value, to_json_value};

/// Builds [`Fields`](crate::ejson::Fields) in the order written.
///
/// ```
/// let fields = ddp_protocol::fields! { "name": "Ada", "age": 36, "tags": ["a", "b"] };
/// assert_eq!(fields["name"].as_str(), Some("Ada"));
/// ```
#[macro_export]
macro_rules! fields {
    ($($key:literal : $value:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut fields = $crate::ejson::Fields::new();
        $(fields.insert(::std::string::String::from($key), $crate::ejson::Value::from($value));)*
        fields
    }};
}

/// Builds a [`Value::Object`](crate::ejson::Value::Object), written like [`fields!`](crate::fields).
#[macro_export]
macro_rules! object {
    ($($tokens:tt)*) => {
        $crate::ejson::Value::Object($crate::fields!($($tokens)*))
    };
}

macro_rules! from {
    ($($type:ty => $make:expr;)*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                ($make)(value)
            }
        }
    )*};
}

from! {
    () => |()| Self::Null;
    bool => Self::Bool;
    f64 => Self::Number;
    f32 => |number| Self::Number(f64::from(number));
    i32 => |number| Self::Number(f64::from(number));
    u32 => |number| Self::Number(f64::from(number));
    u16 => |number| Self::Number(f64::from(number));
    u8 => |number| Self::Number(f64::from(number));
    String => Self::String;
    &str => |text: &str| Self::String(text.to_owned());
    &String => |text: &String| Self::String(text.clone());
    Fields => Self::Object;
    Binary => |binary: Binary| Self::Binary(binary.0);
    i8 => |number| Self::Number(f64::from(number));
    i16 => |number| Self::Number(f64::from(number));
    Custom => Self::Custom;
    Date => Self::Date;
    ObjectId => Self::ObjectId;
    Regexp => Self::Regexp;
}

/// Rounded to the nearest double beyond ±2⁵³, as every number that JavaScript sees.
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number as f64)
    }
}

/// Rounded to the nearest double beyond 2⁵³, as every number that JavaScript sees.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number as f64)
    }
}

/// Rounded to the nearest double beyond 2⁵³, as every number that JavaScript sees.
impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(number as f64)
    }
}

/// `None` is `null`.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for Value {
    fn from(items: [T; N]) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

/// Takes the JSON as it is: an object `{"$date": 0}` stays an object, and is escaped on the wire.
/// To read EJSON use [`from_json_value`](super::from_json_value).
impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::String(text),
            serde_json::Value::Array(items) => items.into_iter().collect(),
            serde_json::Value::Object(map) => Self::Object(
                map.into_iter()
                    .map(|(key, value)| (key, value.into()))
                    .collect(),
            ),
        }
    }
}

/// The EJSON form, as [`to_json_value`].
impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> Self {
        to_json_value(value)
    }
}
