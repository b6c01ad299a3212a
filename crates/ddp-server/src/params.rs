use ddp_protocol::ejson::{self, Value};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// The arguments of a method or publication, as its handler takes them.
///
/// A tuple names each argument's type, which is read by [`ejson::from_value`]. What does not fit
/// is answered with `400 Match failed`, as by Meteor's `check`: a wrong type, or an argument too
/// few that is no `Option`. Arguments beyond those that are named are ignored, as functions do in
/// JavaScript. One argument is a tuple, too: `(text,): (String,)`; `()` names none. `Vec<Value>`
/// takes whatever comes, for handlers that count.
///
/// ```
/// # use ddp_server::Server;
/// Server::builder()
///     .method("repeat", |_, (text, times): (String, Option<u32>)| async move {
///         Ok(text.repeat(times.unwrap_or(2) as usize))
///     });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of arguments",
    label = "the handler's second parameter must be a tuple of up to eight arguments",
    note = "write `(a, b): (f64, String)` for two arguments, `(a,): (f64,)` for one, `()` for none",
    note = "each argument must implement `serde::de::DeserializeOwned`"
)]
pub trait FromParams: Sized + Send + 'static {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// [`Error::match_failed`]; which argument it was goes to the log.
    fn from_params(params: Vec<Value>) -> Result<Self, Error>;
}

impl FromParams for Vec<Value> {
    fn from_params(params: Vec<Value>) -> Result<Self, Error> {
        Ok(params)
    }
}

/// Reads the first arguments, as many as are named.
fn read<P: DeserializeOwned>(mut params: Vec<Value>, named: usize) -> Result<P, Error> {
    params.truncate(named);
    ejson::from_value(Value::Array(params)).map_err(|error| {
        // where, but not what: it may be a password
        let at = error.path();
        tracing::debug!(at = format_args!("{at:.100}"), "the arguments do not fit");
        Error::match_failed()
    })
}

macro_rules! tuples {
    ($($($argument:ident)*;)*) => {$(
        impl<$($argument),*> FromParams for ($($argument,)*)
        where
            $($argument: DeserializeOwned + Send + 'static,)*
        {
            fn from_params(params: Vec<Value>) -> Result<Self, Error> {
                const NAMES: &[&str] = &[$(stringify!($argument)),*];
                read(params, NAMES.len())
            }
        }
    )*};
}

tuples! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<P: FromParams>(json: &str) -> Option<P> {
        let params = ejson::parse(json).unwrap();
        P::from_params(params.as_array().unwrap().to_vec()).ok()
    }

    #[test]
    fn arguments_must_fit() {
        assert_eq!(
            read::<(f64, String)>(r#"[1, "x"]"#),
            Some((1.0, "x".to_owned()))
        );
        for json in ["[]", "[1]", r#"["x", 1]"#, "[1, null]"] {
            assert_eq!(read::<(f64, String)>(json), None, "{json}");
        }
        assert_eq!(read::<()>("[]"), Some(()));
    }

    #[test]
    fn arguments_that_nobody_names_are_ignored() {
        assert_eq!(read::<()>("[1]"), Some(()));
        assert_eq!(read::<(f64, f64)>(r#"[1, 2, 3, {}]"#), Some((1.0, 2.0)));
        assert_eq!(read::<Vec<Value>>("[1, 2]").map(|all| all.len()), Some(2));
    }

    #[test]
    fn optional_arguments_may_be_left_out() {
        type Both = (u32, Option<String>, Option<bool>);
        assert_eq!(read::<Both>("[1]"), Some((1, None, None)));
        assert_eq!(read::<Both>("[1, null, true]"), Some((1, None, Some(true))));
        assert_eq!(read::<Both>("[1, 5]"), None);
    }

    #[test]
    fn a_mismatch_is_match_failed() {
        let refused = <(String,)>::from_params(Vec::new());
        assert_eq!(refused, Err(Error::match_failed()));
    }
}
