//! The list of images, and what callers ask of it.

use std::sync::Arc;

use ddp_server::{Error, ejson::Fields, fields};
use launcher_core::{Image, ImageStatus, Launcher};

use super::{arguments::Arguments, errors::from_core, methods::done, publications::date};

/// What `image/status` answers where there is no image of that name.
const MISSING: &str = "missing";

/// `image/add(name)`
pub(super) async fn add(launcher: Arc<Launcher>, arguments: Arguments) -> Result<String, Error> {
    let name = arguments.image_name(0)?;
    launcher.add_image(&name).await.map_err(|e| from_core(&e))
}

/// `image/exists(name)`
pub(super) async fn exists(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    let name = arguments.image_name(0)?;
    let exists = launcher.image_exists(&name).await;
    exists.map_err(|e| from_core(&e))
}

/// `image/status(name)`
pub(super) async fn status(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<&'static str, Error> {
    let name = arguments.image_name(0)?;
    let status = launcher.image_status(&name).await;
    let status = status.map_err(|e| from_core(&e))?;
    Ok(status.map_or(MISSING, ImageStatus::as_str))
}

/// `image/remove(id)`
pub(super) async fn remove(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    done(launcher.remove_image(arguments.image_id()?).await)
}

/// `image/createOnAllHosts(id)`: the engine is the only host.
pub(super) async fn create_on_all_hosts(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<bool, Error> {
    done(launcher.ensure_image(arguments.image_id()?).await)
}

/// The document in `DockerImages`.
pub(super) fn document(image: &Image) -> Fields {
    fields! {
        "name": image.name.as_str(),
        "imageId": image.image_id.as_deref(),
        "createdAt": date(image.created_at),
        "size": image.size_bytes,
        "inUse": image.in_use as u64,
        "status": image.status.as_str(),
        "sourceUrl": image.source_url.as_deref(),
        "meteorRelease": image.meteor_release.as_deref(),
        "nodeVersion": image.node_version.as_deref(),
        "digest": image.digest.as_deref(),
    }
}
