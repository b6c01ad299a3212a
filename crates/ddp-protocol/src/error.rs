//! The error that a method or publication hands to its caller.

use std::fmt;

use crate::ejson::Value;
use crate::json::{write_json, write_number, write_string};

/// An error that a client may see: Meteor's `Meteor.Error` (`packages/meteor/errors.js`).
///
/// ```
/// use ddp_protocol::Error;
///
/// let error = Error::new(400, "Bad request").details("You must pass a name.");
/// assert_eq!(error.to_string(), "Bad request [400]");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: ErrorCode,
    reason: Option<String>,
    details: Option<Value>,
}

impl Error {
    /// An error with a code, a number or a string, and a sentence for people.
    pub fn new(code: impl Into<ErrorCode>, reason: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            reason: Some(reason.into()),
            details: None,
        }
    }

    /// An error that is only a code, as `new Meteor.Error("code")`.
    pub fn code_only(code: impl Into<ErrorCode>) -> Self {
        Self {
            code: code.into(),
            reason: None,
            details: None,
        }
    }

    /// Adds details. They travel as plain JSON, so a date among them arrives as a string.
    #[must_use]
    pub fn details(mut self, details: impl Into<Value>) -> Self {
        self.details = Some(details.into());
        self
    }

    /// `500 Internal server error`: what clients see of every failure that is not meant for them.
    pub fn internal() -> Self {
        Self::new(500, "Internal server error")
    }

    /// `400 Match failed`: the arguments have the wrong types.
    pub fn match_failed() -> Self {
        Self::new(400, "Match failed")
    }

    /// `404` with a reason.
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self::new(404, reason)
    }

    /// The code.
    pub fn code(&self) -> &ErrorCode {
        &self.code
    }

    /// The sentence for people.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The details.
    pub fn details_value(&self) -> Option<&Value> {
        self.details.as_ref()
    }

    /// Writes the object that travels, with the keys that Meteor's own clients read.
    pub(crate) fn write(&self, out: &mut String) {
        out.push_str("{\"isClientSafe\":true,\"error\":");
        self.code.write(out);
        if let Some(reason) = &self.reason {
            out.push_str(",\"reason\":");
            write_string(out, reason);
        }
        if let Some(details) = &self.details {
            out.push_str(",\"details\":");
            write_json(out, details);
        }
        out.push_str(",\"message\":");
        write_string(out, &self.to_string());
        out.push_str(",\"errorType\":\"Meteor.Error\"}");
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{reason} [{}]", self.code),
            None => write!(f, "[{}]", self.code),
        }
    }
}

impl std::error::Error for Error {}

/// The code of an [`Error`]; its JSON type is kept, since clients compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorCode {
    /// Such as 404.
    Number(i64),
    /// Such as `"too-many-requests"`.
    String(String),
}

impl ErrorCode {
    fn write(&self, out: &mut String) {
        match self {
            Self::Number(number) => write_number(out, *number as f64),
            Self::String(text) => write_string(out, text),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::String(text) => f.write_str(text),
        }
    }
}

impl From<i32> for ErrorCode {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u16> for ErrorCode {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<&str> for ErrorCode {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for ErrorCode {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    fn wire(error: &Error) -> String {
        let mut out = String::new();
        error.write(&mut out);
        out
    }

    #[test]
    fn the_wire_shape_is_meteors() {
        let error = Error::new("my-code", "My reason").details(object! { "some": "details" });
        assert_eq!(
            wire(&error),
            r#"{"isClientSafe":true,"error":"my-code","reason":"My reason","details":{"some":"details"},"message":"My reason [my-code]","errorType":"Meteor.Error"}"#
        );
        assert_eq!(
            wire(&Error::code_only(404)),
            r#"{"isClientSafe":true,"error":404,"message":"[404]","errorType":"Meteor.Error"}"#
        );
    }
}
