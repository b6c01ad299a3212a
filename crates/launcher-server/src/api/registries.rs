//! Registries that the launcher may log in to, and pulls and pushes. No password is ever published.

use std::sync::Arc;

use ddp_server::{
    Error,
    ejson::{Fields, Value},
    fields,
};
use launcher_core::{Launcher, NewRegistry, Registry, RegistryHost, Secret};

use super::{
    arguments::Arguments,
    errors::{bad_request, from_core},
    publications::date,
};

/// Longest username, in bytes.
const MAX_USERNAME: usize = 255;
/// Longest password, in bytes; the longest are tokens and keys as JSON.
const MAX_PASSWORD: usize = 16 * 1024;

/// `registry/add({registry, username, password, verify})`
pub(super) async fn add(launcher: Arc<Launcher>, arguments: Arguments) -> Result<String, Error> {
    let new = new_registry(&arguments)?;
    launcher.add_registry(new).await.map_err(|e| from_core(&e))
}

/// `registry/remove(idOrRegistry)`
pub(super) async fn remove(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    let which = arguments.id("registry", "the _id string or the host of the registry")?;
    let removed = launcher.remove_registry(which).await;
    removed.map(|()| true).map_err(|e| from_core(&e))
}

/// `image/pull(name)`
pub(super) async fn pull(launcher: Arc<Launcher>, arguments: Arguments) -> Result<String, Error> {
    let name = arguments.name("the string name of the docker image to pull")?;
    launcher.pull_image(&name).map_err(|e| from_core(&e))
}

/// `image/push(name)`
pub(super) async fn push(launcher: Arc<Launcher>, arguments: Arguments) -> Result<String, Error> {
    let name = arguments.name("the string name of the docker image to push")?;
    launcher.push_image(&name).await.map_err(|e| from_core(&e))
}

fn new_registry(arguments: &Arguments) -> Result<NewRegistry, Error> {
    let what = "host and port of the registry, such as \"registry.example.com\"";
    let registry = text(arguments, "registry", what)?;
    let registry = RegistryHost::parse(registry)
        .map_err(|rule| bad_request(format!("The registry option must be the {what}: {rule}.")))?;
    let username = text(arguments, "username", "string name to log in with")?;
    let is_name =
        username.len() <= MAX_USERNAME && !username.contains(|c: char| c == ':' || c.is_control());
    if !is_name {
        return Err(bad_request(format!(
            "The username option must have at most {MAX_USERNAME} bytes, and no colon."
        )));
    }
    let password = text(
        arguments,
        "password",
        "string password or token to log in with",
    )?;
    if password.len() > MAX_PASSWORD || password.contains(['\0', '\n', '\r']) {
        return Err(bad_request(format!(
            "The password option must be one line of at most {MAX_PASSWORD} bytes."
        )));
    }
    Ok(NewRegistry {
        registry,
        username: username.to_owned(),
        password: Secret::new(password),
        verify: verify(arguments)?,
    })
}

fn text<'a>(arguments: &'a Arguments, name: &str, what: &str) -> Result<&'a str, Error> {
    let text = arguments.option(0, name)?.and_then(Value::as_str);
    text.filter(|text| !text.trim().is_empty()).ok_or_else(|| {
        bad_request(format!(
            "You must pass the {name} option set to the {what}."
        ))
    })
}

fn verify(arguments: &Arguments) -> Result<bool, Error> {
    match arguments.option(0, "verify")? {
        None => Ok(true),
        Some(Value::Bool(verify)) => Ok(*verify),
        Some(_) => Err(bad_request("The verify option must be true or false.")),
    }
}

pub(super) fn fields_of(registry: &Registry) -> Fields {
    fields! {
        "registry": registry.registry.as_str(),
        "username": registry.username.as_str(),
        "createdAt": date(registry.created_at),
        "lastUsedAt": registry.last_used_at.map(date),
        "error": registry.error.as_deref(),
    }
}
