//! The forms in which the launcher's methods fail.

use ddp_server::Error;

/// `400 Bad request`: the caller asked for something that cannot be.
pub(super) fn bad_request(details: impl Into<String>) -> Error {
    Error::new(400, "Bad request").details(details.into())
}

/// `500 Internal server error`, with the words that name what failed.
pub(super) fn failed(details: impl Into<String>) -> Error {
    Error::new(500, "Internal server error").details(details.into())
}

/// `413 Too large`: a limit on a size.
pub(super) fn too_large(details: impl Into<String>) -> Error {
    Error::new(413, "Too large").details(details.into())
}

/// The wire form of a failure of the launcher.
pub(super) fn from_core(error: &launcher_core::Error) -> Error {
    if error.is_callers() {
        return bad_request(error.to_string());
    }
    failed(error.to_string())
}
