use std::any::Any;

use ddp_protocol::ejson::{self, Fields, Value};
use serde::Serialize;

use crate::error::Error;

/// What a method may return: anything that serde can serialize, by the rules of
/// [`ejson::to_result`]. `()` and `None` leave the result out, as JavaScript's `undefined`;
/// [`Value::Null`] is `null`.
pub trait IntoResult: 'static {
    /// The result on the wire; `None` leaves it out.
    ///
    /// # Errors
    ///
    /// `500 Internal server error` for what EJSON cannot say.
    fn into_result(self) -> Result<Option<Value>, Error>;
}

impl<T: Serialize + 'static> IntoResult for T {
    fn into_result(self) -> Result<Option<Value>, Error> {
        let mut result = Some(self);
        match own(&mut result) {
            Some(value) => Ok(value),
            None => Ok(ejson::to_result(&result)?),
        }
    }
}

/// The result, if it need not be serialized because it is EJSON already.
fn own<T: 'static>(result: &mut Option<T>) -> Option<Option<Value>> {
    if let Some(value) = take::<T, Value>(result) {
        return Some(Some(value));
    }
    if let Some(items) = take::<T, Vec<Value>>(result) {
        return Some(Some(Value::Array(items)));
    }
    if let Some(fields) = take::<T, Fields>(result) {
        return Some(Some(Value::Object(fields)));
    }
    take::<T, Option<Value>>(result)
}

fn take<T: 'static, U: 'static>(result: &mut Option<T>) -> Option<U> {
    let result: &mut dyn Any = result;
    result.downcast_mut::<Option<U>>()?.take()
}

#[cfg(test)]
mod tests {
    use ddp_protocol::{fields, object};

    use super::*;

    fn result(returned: impl IntoResult) -> Option<Value> {
        returned.into_result().unwrap()
    }

    #[test]
    fn undefined_and_null_are_different() {
        assert_eq!(result(()), None);
        assert_eq!(result(None::<String>), None);
        assert_eq!(result(None::<Value>), None);
        assert_eq!(result(Value::Null), Some(Value::Null));
        assert_eq!(result(Some(Value::Null)), Some(Value::Null));
    }

    #[test]
    fn ejson_stays_what_it_is() {
        let object = object! { "$date": 1 };
        assert_eq!(result(object.clone()), Some(object.clone()));
        assert_eq!(result(fields! { "$date": 1 }), Some(object.clone()));
        assert_eq!(
            result(vec![object.clone()]),
            Some(Value::Array(vec![object]))
        );
    }

    #[test]
    fn structs_are_serialized() {
        #[derive(Serialize)]
        struct Task {
            text: &'static str,
            done: Option<bool>,
        }
        let task = Task {
            text: "x",
            done: None,
        };
        assert_eq!(result(task), Some(object! { "text": "x", "done": () }));
        assert_eq!(result("text"), Some("text".into()));
        let user: Option<std::sync::Arc<str>> = Some("ada".into());
        assert_eq!(result(user), Some("ada".into()));
    }

    #[test]
    fn what_ejson_cannot_say_is_an_internal_error() {
        assert_eq!((1u64 << 60).into_result(), Err(Error::internal()));
    }
}
