//! Announcing uploads.

use std::sync::Arc;

use ddp_server::{
    Error,
    ejson::{Date, Fields, Value},
    fields,
};
use launcher_core::{BuildSource, Launcher, digest::Sha256Digest, uploads::UploadError};

use super::{
    arguments::Arguments,
    errors::{bad_request, from_core, too_large},
};
use crate::uploads::path;

/// Numbers up to here are whole and exact in JavaScript.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// `image/createUpload({size, sha256})`
pub(super) async fn create(launcher: Arc<Launcher>, arguments: Arguments) -> Result<Fields, Error> {
    let base = arguments.url("");
    let options = arguments.options()?;
    let size = size(options.get("size"))?;
    let sha256 = digest(options.get("sha256"))?;
    let announced = launcher.uploads().create(size, sha256).await;
    let announced = announced.map_err(refused)?;
    Ok(fields! {
        "uploadId": announced.id,
        "url": format!("{base}{}", path(&announced.secret)),
        "token": announced.secret,
        "expiresAt": Date::from_millis(announced.expires_at.as_millisecond()),
    })
}

/// A complete upload, for a build to have it alone.
pub(super) async fn take(launcher: &Launcher, id: &str) -> Result<BuildSource, Error> {
    let taken = launcher.uploads().take(id).await;
    let taken = taken.map_err(|error| match error {
        UploadError::Unknown => bad_request(format!("No upload has ID {id}, or it has expired")),
        error => from_core(&error.into()),
    })?;
    Ok(BuildSource::Upload(Arc::new(taken)))
}

fn size(value: Option<&Value>) -> Result<u64, Error> {
    let size = value.and_then(Value::as_f64);
    let size = size.filter(|n| n.fract() == 0.0 && (1.0..=MAX_SAFE_INTEGER).contains(n));
    // Exact: checked above.
    size.map(|n| n as u64).ok_or_else(|| {
        bad_request("You must pass the size option set to the number of bytes to upload.")
    })
}

fn digest(value: Option<&Value>) -> Result<Sha256Digest, Error> {
    let digest = value.and_then(Value::as_str).map(str::parse);
    digest.and_then(Result::ok).ok_or_else(|| {
        bad_request(
            "You must pass the sha256 option set to the SHA-256 of the bytes to upload, a string of \
             64 hexadecimal digits.",
        )
    })
}

fn refused(error: UploadError) -> Error {
    match error {
        UploadError::TooLarge(_) => too_large(error.to_string()),
        UploadError::TooMany(_) => {
            Error::new("too-many-requests", "Too many uploads").details(error.to_string())
        }
        error => from_core(&error.into()),
    }
}
