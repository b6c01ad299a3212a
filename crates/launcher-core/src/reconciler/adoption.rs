//! A container of ours whose record is lost, because the store is an older copy or a new one: it gets
//! a record again, made from what it carries itself.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Shared;
use crate::{
    AppInstance, ContainerConfig, Environment, Error, ImageName, Limits, MAX_REPLICAS, Site,
    Wanted,
    engine::{Container, ContainerState, LABEL_RECORD},
    health::HealthSettings,
};

/// What of a record its containers cannot tell otherwise, as it was when they were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Label {
    image: ImageName,
    hostnames: Vec<Site>,
    #[serde(default)]
    host: Option<String>,
    created_at: Timestamp,
    /// The names of its variables; the container has their values, and more variables.
    variables: Vec<String>,
    limits: Limits,
    #[serde(default, skip_serializing_if = "ContainerConfig::is_empty")]
    config: ContainerConfig,
    health: HealthSettings,
    auto_deploy: bool,
}

/// What a container carries for the case that its record is lost.
pub(super) fn label(record: &AppInstance) -> String {
    let label = Label {
        image: record.image.clone(),
        hostnames: record.hostnames.clone(),
        host: record.host.clone(),
        created_at: record.created_at,
        variables: record.env.keys().cloned().collect(),
        limits: record.limits.clone(),
        config: record.config.clone(),
        health: record.health.clone(),
        auto_deploy: record.auto_deploy,
    };
    serde_json::to_string(&label).unwrap_or_default()
}

/// Sees to the containers of an instance that has no record: leftovers if it was removed; else they
/// get one again. `known` are those of which it was said that they cannot.
pub(crate) async fn meet(
    shared: &Shared,
    instance: &str,
    containers: Vec<Container>,
    known: &mut HashSet<String>,
) {
    match shared.instances.was_removed(instance).await {
        Ok(true) => remove(shared, &containers).await,
        Ok(false) if shared.instances.view(instance).is_ok() => {}
        Ok(false) => match adopt(shared, instance, containers).await {
            Err(error) if known.insert(instance.to_owned()) => {
                tracing::warn!(%instance, %error,
                    "containers of this launcher have no record and are left alone");
            }
            Ok(()) | Err(_) => {}
        },
        Err(error) => tracing::warn!(%error, "the store cannot be read"),
    }
}

async fn remove(shared: &Shared, containers: &[Container]) {
    for container in containers {
        match shared.engine.remove(&container.id).await {
            Ok(()) => tracing::info!(container = %container.id, "removed a leftover"),
            Err(error) => tracing::warn!(%error, "a leftover container stays"),
        }
    }
}

async fn adopt(shared: &Shared, instance: &str, containers: Vec<Container>) -> Result<(), Error> {
    let Some(source) = best(&containers) else {
        return Ok(());
    };
    let inspected = shared.engine.inspect(&source.id).await?;
    let record = record(instance, source, &containers, &inspected)?;
    if shared.instances.adopt(record).await? {
        shared.instances.see_first(instance, containers);
        tracing::info!(%instance, "adopted containers that had no record");
        // Nobody hears it only when the launcher ends.
        let _ = shared.added.send(instance.to_owned());
    }
    Ok(())
}

/// The container that tells what is to run: of the newest release that runs, or else of the newest.
fn best(containers: &[Container]) -> Option<&Container> {
    let is_there = |container: &&Container| container.state != ContainerState::Removing;
    let rank = |container: &&Container| {
        let runs = container.state == ContainerState::Running;
        (runs, container.generation, container.created_at)
    };
    containers.iter().filter(is_there).max_by_key(rank)
}

fn record(
    instance: &str,
    source: &Container,
    containers: &[Container],
    inspected: &Value,
) -> Result<AppInstance, Error> {
    let wrong = |what: String| Error::NotCarriedOut(what);
    let labels = inspected.pointer("/Config/Labels");
    let text = labels.and_then(|labels| labels.get(LABEL_RECORD)?.as_str());
    let text = text.ok_or_else(|| wrong(format!("there is no label {LABEL_RECORD}")))?;
    let label: Label = serde_json::from_str(text).map_err(|error| {
        wrong(format!(
            "the label {LABEL_RECORD} is not as it should be: {error}"
        ))
    })?;
    label
        .health
        .check()
        .map_err(|error| wrong(error.to_string()))?;
    let runs = |container: &&Container| container.state == ContainerState::Running;
    let is_running = source.state == ContainerState::Running;
    let own = containers
        .iter()
        .filter(|container| container.generation == source.generation)
        .filter(|container| !is_running || runs(container));
    let replicas = own
        .map(|container| container.replica.saturating_add(1))
        .max();
    let newest = containers
        .iter()
        .map(|container| container.generation)
        .max();
    Ok(AppInstance {
        id: instance.to_owned(),
        image: label.image,
        image_id: Some(source.image_id.clone()),
        env: environment(inspected, &label.variables),
        hostnames: label.hostnames,
        maintenance: false,
        host: label.host,
        created_at: label.created_at,
        wanted: match is_running {
            true => Wanted::Running {
                past: Vec::new(),
                restart: false,
            },
            // Whether it was to run cannot be known: nothing is started that nobody may want.
            false => Wanted::Stopped { kill: false },
        },
        wish: newest.unwrap_or(0).max(1),
        generation: source.generation,
        release: None,
        rollout: None,
        replicas: replicas.unwrap_or(1).clamp(1, MAX_REPLICAS),
        limits: label.limits,
        config: label.config,
        health: label.health,
        auto_deploy: label.auto_deploy,
        given_up: None,
    })
}

/// The app's own variables in their order: without what the image has, and what launchers add.
fn environment(inspected: &Value, names: &[String]) -> Environment {
    let all = inspected
        .pointer("/Config/Env")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let all: BTreeMap<&str, &str> = all
        .filter_map(|entry| entry.as_str()?.split_once('='))
        .collect();
    let own = names
        .iter()
        .filter_map(|name| Some((name.clone(), (*all.get(name.as_str())?).to_owned())));
    own.collect()
}
