//! Rust types in and out of [`Value`], by `serde`.

mod access;
mod deserialize;
mod deserializer;
mod error;
mod handover;
mod key;
mod serialize;
mod serializer;
mod sink;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::error::SerdeError;
use super::Value;

/// Reads a Rust value out of an EJSON value.
///
/// The rules are those of `serde_json` with these additions:
///
/// - [`Value`], [`Date`](super::Date), [`Binary`](super::Binary), [`ObjectId`](super::ObjectId),
///   and [`Regexp`](super::Regexp) take what they are; nothing is lost or looked at again on the
///   way;
/// - bytes also become a `Vec<u8>`;
/// - an integer is any whole number that its type can hold, up to 2⁵³: beyond that JavaScript's
///   numbers are not exact;
/// - a tuple takes an array of its length. As arguments may be left out in JavaScript, a shorter
///   array will do if what is missing at the end is all `Option`; `()` takes an empty array.
///
/// ```
/// use ddp_protocol::{ejson, object};
///
/// #[derive(serde::Deserialize)]
/// struct Task {
///     text: String,
///     due: Option<ejson::Date>,
/// }
///
/// let due = ejson::Date::from_millis(5);
/// let task: Task = ejson::from_value(object! { "text": "Buy milk", "due": due })?;
/// assert_eq!((task.text.as_str(), task.due), ("Buy milk", Some(due)));
///
/// let (a, b): (f64, Option<f64>) = ejson::from_value(vec![1].into())?;
/// assert_eq!((a, b), (1.0, None));
///
/// let wrong = ejson::from_value::<Task>(object! { "text": 5 }).map(|task| task.text);
/// assert_eq!(
///     wrong.map_err(|error| error.to_string()),
///     Err("text: invalid type: integer `5`, expected a string".to_owned()),
/// );
/// # Ok::<(), ejson::SerdeError>(())
/// ```
///
/// # Errors
///
/// [`SerdeError`] when the value is not what the type expects; it says where and why.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, SerdeError> {
    T::deserialize(value)
}

/// Turns a Rust value into an EJSON value.
///
/// The rules are those of `serde_json`, except that EJSON's own types, numbers that are not
/// finite, and bytes (`serde_bytes`, [`Binary`](super::Binary)) stay what they are.
///
/// ```
/// use ddp_protocol::{ejson, object};
///
/// #[derive(serde::Serialize)]
/// struct Task<'a> {
///     text: &'a str,
///     due: Option<ejson::Date>,
/// }
///
/// let task = Task { text: "Buy milk", due: None };
/// assert_eq!(ejson::to_value(&task), Ok(object! { "text": "Buy milk", "due": () }));
/// # Ok::<(), ejson::SerdeError>(())
/// ```
///
/// # Errors
///
/// [`SerdeError`] when the type refuses, for keys of maps that are not text, numbers or booleans,
/// and for integers beyond ±2⁵³, which JavaScript would round: send those as text or as `f64`.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, SerdeError> {
    to_result(value).map(|value| value.unwrap_or(Value::Null))
}

/// As [`to_value`], but tells JavaScript's `undefined` from `null`, as a method's result must:
/// `()`, unit structs and `Option::None` are `None`, and [`Value::Null`] is `Some(Value::Null)`.
///
/// ```
/// use ddp_protocol::ejson::{self, Value};
///
/// assert_eq!(ejson::to_result(&()), Ok(None));
/// assert_eq!(ejson::to_result(&Value::Null), Ok(Some(Value::Null)));
/// ```
///
/// # Errors
///
/// As [`to_value`].
pub fn to_result<T: Serialize + ?Sized>(value: &T) -> Result<Option<Value>, SerdeError> {
    value.serialize(serializer::Serializer)
}

/// Up to 2⁵³ a double tells every integer from its neighbours.
const EXACT: u64 = 1 << 53;

/// The integer that a number is, if it is one that JavaScript can tell from its neighbours.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= EXACT as f64).then_some(number as i64)
}

#[cfg(test)]
mod tests;
