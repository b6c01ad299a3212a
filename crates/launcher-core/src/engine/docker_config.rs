//! Docker's create body as callers may write parts of it.

use bollard::models::{ContainerCreateBody, HostConfig};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{ContainerSpec, EngineError, docker_containers::create_body};

const HOST_CONFIG: &str = "HostConfig";

/// Whether Docker's create body has such a field, and things of this kind in it; else what is wrong.
/// What is in the field is not told.
pub(crate) fn create_body_field(field: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Object(fields) if field == HOST_CONFIG => fields
            .iter()
            .try_for_each(|(name, value)| known::<HostConfig>("HostConfig.", name, value)),
        _ => known::<ContainerCreateBody>("", field, value),
    }
}

fn known<T: Serialize + DeserializeOwned>(
    path: &str,
    field: &str,
    value: &Value,
) -> Result<(), String> {
    let alone = Value::from(Map::from_iter([(field.to_owned(), value.clone())]));
    let place = || shown(&format!("{path}{field}"));
    let read: T = serde_json::from_value(alone.clone()).map_err(|error| {
        let error = error.to_string();
        let expected = error.rsplit_once(", expected ").map_or("", |(_, it)| it);
        format!(
            "{} is not of the kind that Docker takes: {expected}",
            place()
        )
    })?;
    let written = serde_json::to_value(read).unwrap_or_default();
    if written.get(field).is_none() {
        return Err(format!("Docker's create body has no field {}", place()));
    }
    match is_kept(&alone, &written) {
        true => Ok(()),
        false => Err(format!(
            "{} has something in it that Docker does not know",
            place()
        )),
    }
}

/// A name as it may stand in an error.
fn shown(name: &str) -> String {
    let shown = name.chars().take(100);
    shown.flat_map(char::escape_debug).collect()
}

/// Whether nothing was lost or reinterpreted, as fields are that are not known, and arrays where there
/// should be objects.
fn is_kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().all(|(name, value)| {
            let after = after.get(name);
            after.is_some_and(|after| is_kept(value, after))
        }),
        (Value::Array(before), Value::Array(after)) => {
            let both = || before.iter().zip(after);
            before.len() == after.len() && both().all(|(before, after)| is_kept(before, after))
        }
        (Value::Number(before), Value::Number(after)) => before.as_f64() == after.as_f64(),
        (before, after) => before == after,
    }
}

/// What the engine is asked to make: the launcher's defaults, over them what the caller says, over that
/// the launcher's own labels and what it could not do without.
pub(super) fn whole_body(spec: &ContainerSpec) -> Result<ContainerCreateBody, EngineError> {
    let ours = create_body(spec);
    if spec.config.is_empty() {
        return Ok(ours);
    }
    let wrong = |_| EngineError::Failed("the container's config cannot be read".into());
    let ours = serde_json::to_value(ours).map_err(wrong)?;
    let mut body = ours.clone();
    merge(&mut body, &Value::from(spec.config.fields().clone()));
    keep_other_ulimits(&mut body, &ours);
    keep_swap_off(&mut body, spec);
    merge(&mut body, &own(&ours));
    serde_json::from_value(body).map_err(wrong)
}

/// What is in the second goes over what is in the first.
fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                merge(under.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

/// What is the launcher's, whoever says what.
fn own(ours: &Value) -> Value {
    let host = |name: &str| ours[HOST_CONFIG][name].clone();
    serde_json::json!({
        "Image": ours["Image"],
        "Env": ours["Env"],
        "Labels": ours["Labels"],
        HOST_CONFIG: {
            "PortBindings": host("PortBindings"),
            "RestartPolicy": host("RestartPolicy"),
            "AutoRemove": false,
            "PublishAllPorts": false,
        },
    })
}

/// A limit that the caller does not name stays.
fn keep_other_ulimits(body: &mut Value, ours: &Value) {
    let (Some(all), Some(ours)) = (
        body[HOST_CONFIG]["Ulimits"].as_array_mut(),
        ours[HOST_CONFIG]["Ulimits"].as_array(),
    ) else {
        return;
    };
    for limit in ours {
        if all.iter().all(|other| other["Name"] != limit["Name"]) {
            all.push(limit.clone());
        }
    }
}

/// Swap is counted with memory: who sets only that gets no swap.
fn keep_swap_off(body: &mut Value, spec: &ContainerSpec) {
    let given = spec.config.fields().get(HOST_CONFIG);
    let says = |name: &str| given.is_some_and(|given| given.get(name).is_some());
    if says("Memory") && !says("MemorySwap") {
        body[HOST_CONFIG]["MemorySwap"] = body[HOST_CONFIG]["Memory"].clone();
    }
}
