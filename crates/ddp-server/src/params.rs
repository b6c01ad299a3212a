use ddp_protocol::ejson::{self, Value};

use crate::error::Error;

/// The arguments of a method or publication, as its handler takes them.
///
/// A tuple names each argument's type, which is read by [`ejson::from_value`]. What does not fit
/// is answered with `400 Match failed`, as by Meteor's `check`: a wrong type, an argument too
/// many, or one too few that is no `Option`. `()` takes none. `Vec<Value>` takes whatever comes.
///
/// ```
/// # use ddp_server::Server;
/// Server::builder()
///     .method("repeat", |_, (text, times): (String, Option<u32>)| async move {
///         Ok(text.repeat(times.unwrap_or(2) as usize))
///     });
/// ```
pub trait FromParams: Sized + Send + 'static {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// [`Error::match_failed`], with the reason for the log.
    fn from_params(params: Vec<Value>) -> Result<Self, Error>;
}

impl FromParams for Vec<Value> {
    fn from_params(params: Vec<Value>) -> Result<Self, Error> {
        Ok(params)
    }
}

macro_rules! tuples {
    ($($($argument:ident)*;)*) => {$(
        impl<$($argument),*> FromParams for ($($argument,)*)
        where
            $($argument: serde::de::DeserializeOwned + Send + 'static,)*
        {
            fn from_params(params: Vec<Value>) -> Result<Self, Error> {
                ejson::from_value(Value::Array(params)).map_err(|error| {
                    tracing::debug!(%error, "the arguments do not fit");
                    Error::match_failed()
                })
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
        for json in ["[]", "[1]", r#"["x", 1]"#, r#"[1, "x", null]"#, "[1, null]"] {
            assert_eq!(read::<(f64, String)>(json), None, "{json}");
        }
        assert_eq!(read::<()>("[]"), Some(()));
        assert_eq!(read::<()>("[1]"), None);
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
