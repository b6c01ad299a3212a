//! Webhooks of registries, and what is deployed by them.

use std::sync::Arc;

use ddp_server::{
    Error,
    ejson::{Fields, Value},
    fields,
};
use launcher_core::{HookView, Launcher};

use super::{
    arguments::Arguments,
    errors::{bad_request, from_core},
    methods::done,
    publications::date,
};
use crate::hooks::path;

/// Longest name of a hook, in characters.
const MAX_NAME: usize = 200;

/// `hook/create({name})`
pub(super) async fn create(launcher: Arc<Launcher>, arguments: Arguments) -> Result<Fields, Error> {
    let name = arguments.option(0, "name")?.map(name).transpose()?;
    let made = launcher.hooks().create(name).await;
    let (id, secret) = made.map_err(|e| from_core(&e))?;
    Ok(fields! { "hookId": id, "url": arguments.url(&path(&secret)) })
}

/// `hook/remove(hookId)`
pub(super) async fn remove(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    let id = arguments.id("hookId", "the _id string of the hook")?;
    done(launcher.hooks().remove(id).await)
}

/// `rebuildAppInstance(instanceId)`
pub(super) async fn rebuild(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    done(launcher.rebuild_instance(arguments.instance_id()?).await)
}

/// `setAutoDeploy(instanceId, autoDeploy)`
pub(super) async fn set_auto_deploy(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<bool, Error> {
    let (id, auto_deploy) = (
        arguments.instance_id()?,
        arguments.boolean(1, "autoDeploy")?,
    );
    done(launcher.set_auto_deploy(id, auto_deploy).await)
}

/// What is published of a hook: not its secret.
pub(super) fn fields_of(hook: &HookView) -> Fields {
    let images = hook.last_images.iter();
    fields! {
        "name": hook.record.name.as_deref(),
        "createdAt": date(hook.record.created_at),
        "lastPushAt": hook.last_push_at.map(date),
        "lastImages": Value::Array(images.map(|image| Value::from(image.as_str())).collect()),
    }
}

fn name(value: &Value) -> Result<String, Error> {
    let name = value
        .as_str()
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let name = name.filter(|name| name.chars().count() <= MAX_NAME);
    name.map(str::to_owned).ok_or_else(|| {
        bad_request(format!(
            "The name option must be a string of 1 to {MAX_NAME} characters."
        ))
    })
}
