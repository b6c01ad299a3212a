use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use ddp_protocol::ejson::Value;
use ddp_protocol::error::ErrorCode;

/// Why a method or publication failed: what the client is told, and what only the log is.
///
/// What is made with [`new`](Self::new) is told to the client as it is (`Meteor.Error`). Any other
/// error that `?` turns into this one is `500 Internal server error` to the client, and its own
/// words go to the log.
///
/// ```
/// use ddp_server::{ClientSafe, Error};
///
/// fn port(text: &str) -> Result<u16, Error> {
///     if text.is_empty() {
///         return Err(Error::new(400, "No port given"));
///     }
///     Ok(text.parse()?)
/// }
/// assert_eq!(port("").unwrap_err().to_string(), "No port given [400]");
/// assert_eq!(port("x").unwrap_err().to_string(), "Internal server error [500]");
///
/// // an error whose words clients may read
/// let shown: Result<u16, Error> = "x".parse().client_safe("bad-port");
/// assert_eq!(shown.unwrap_err().to_string(), "invalid digit found in string [bad-port]");
/// ```
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    shown: ddp_protocol::Error,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error with a code, a number or a string, and a sentence for people.
    pub fn new(code: impl Into<ErrorCode>, reason: impl Into<String>) -> Self {
        Self::shown(ddp_protocol::Error::new(code, reason))
    }

    /// An error that is only a code, as `new Meteor.Error("code")`.
    pub fn code_only(code: impl Into<ErrorCode>) -> Self {
        Self::shown(ddp_protocol::Error::code_only(code))
    }

    /// `500 Internal server error`: what clients see of every failure that is not meant for them.
    pub fn internal() -> Self {
        Self::shown(ddp_protocol::Error::internal())
    }

    /// `400 Match failed`: the arguments have the wrong types.
    pub fn match_failed() -> Self {
        Self::shown(ddp_protocol::Error::match_failed())
    }

    /// `404` with a reason.
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self::shown(ddp_protocol::Error::not_found(reason))
    }

    /// Adds details. They travel as plain JSON, so a date among them arrives as a string.
    #[must_use]
    pub fn details(mut self, details: impl Into<Value>) -> Self {
        self.0.shown = self.0.shown.details(details);
        self
    }

    /// Adds what the error comes from, for the log only (Meteor's `sanitizedError`, seen from the
    /// other side).
    #[must_use]
    pub fn because(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    /// The code.
    pub fn code(&self) -> &ErrorCode {
        self.0.shown.code()
    }

    /// The sentence for people.
    pub fn reason(&self) -> Option<&str> {
        self.0.shown.reason()
    }

    /// The details.
    pub fn details_value(&self) -> Option<&Value> {
        self.0.shown.details_value()
    }

    /// What the error comes from, if that was said.
    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// What the client is told; what it is not told goes to the log.
    pub(crate) fn disclose(self, what: &'static str, name: &str) -> ddp_protocol::Error {
        let Inner { shown, cause } = *self.0;
        if let Some(cause) = cause {
            tracing::error!(name, cause = chain(&*cause), "{what} failed: {shown}");
        }
        shown
    }

    fn shown(shown: ddp_protocol::Error) -> Self {
        Self(Box::new(Inner { shown, cause: None }))
    }
}

/// An error with the errors that it comes from.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.shown.fmt(f)
    }
}

/// Compares what clients see.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.0.shown == other.0.shown
    }
}

/// [`ddp_protocol::Error`] is meant for clients and stays what it is; any other error becomes
/// `500 Internal server error`, and itself the cause.
impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let error: Box<dyn StdError + Send + Sync> = Box::new(error);
        match error.downcast::<ddp_protocol::Error>() {
            Ok(shown) => Self::shown(*shown),
            Err(cause) => Self(Box::new(Inner {
                shown: ddp_protocol::Error::internal(),
                cause: Some(cause.into()),
            })),
        }
    }
}

/// For results whose error clients may read.
pub trait ClientSafe<T> {
    /// Turns the error into one with this code, and its own words as the reason.
    ///
    /// # Errors
    ///
    /// Where there was one.
    fn client_safe(self, code: impl Into<ErrorCode>) -> Result<T, Error>;
}

impl<T, E: StdError + Send + Sync + 'static> ClientSafe<T> for Result<T, E> {
    fn client_safe(self, code: impl Into<ErrorCode>) -> Result<T, Error> {
        self.map_err(|error| Error::new(code, error.to_string()).because(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_for_clients_stays_what_it_is() {
        let told = ddp_protocol::Error::new(403, "Access denied");
        assert_eq!(Error::from(told), Error::new(403, "Access denied"));
    }

    #[test]
    fn the_cause_of_another_error_is_kept_from_clients() {
        let error = Error::from(std::io::Error::other("disk on fire"));
        assert_eq!(error, Error::internal());
        assert_eq!(
            error.cause().map(ToString::to_string).as_deref(),
            Some("disk on fire")
        );
        let shown = error.disclose("a test", "x");
        assert!(!format!("{shown:?}").contains("fire"));
    }

    #[test]
    fn causes_are_told_with_their_causes() {
        #[derive(Debug)]
        struct Outer(std::io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("could not save")
            }
        }
        impl StdError for Outer {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let error = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(chain(&error), "could not save: disk on fire");
    }
}
