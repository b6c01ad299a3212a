//! Releases and deployments: methods and publications.

use std::{sync::Arc, time::Duration};

use ddp_server::{
    Builder, Error, Publication,
    ejson::{Fields, Value},
    fields,
    live::{Collection, Query},
    object,
};
use launcher_core::{
    DeployOptions, Deployment, DeploymentStep, Difference, Environment, EnvironmentChange,
    Launcher, Release,
    environment::{self, MASK},
};

use super::{
    arguments::{Arguments, image_name, web_url, whole_number},
    container_config,
    errors::{bad_request, from_core},
    health,
    instances::texts,
    launch_options::{self, to_fields},
    limits,
    methods::done,
    publications::date,
    sites,
};

/// Longest time that `awaitReady` waits, in milliseconds.
const MAX_TIMEOUT: f64 = 3_600_000.0;
/// What `deploy` can change.
const DEPLOY_OPTIONS: [&str; 5] = ["image", "env", "limits", "config", "health"];
/// Variables that come from options of their own, and stay where they are not named.
const OWN_OPTIONS: [&str; 3] = ["MONGO_URL", "ROOT_URL", "METEOR_EMAIL"];

/// `deploy(instanceId, {image, env, limits, config, health})`
pub(super) async fn deploy(launcher: Arc<Launcher>, arguments: Arguments) -> Result<String, Error> {
    let id = arguments.instance_id()?;
    refuse_other_options(&arguments)?;
    let image = match arguments.option(1, "image")? {
        None => None,
        Some(image) => {
            let what = "The image option must be the string name of a docker image.";
            let name = image.as_str().ok_or_else(|| bad_request(what))?;
            Some(image_name("image option", name)?)
        }
    };
    let given = arguments.option(1, "env")?.map(variables).transpose()?;
    let config = arguments.option(1, "config")?;
    let config = config.map(|config| container_config::parse(config, arguments.rights()));
    let (config, more) = config.transpose()?.unzip();
    let more = more.unwrap_or_default();
    if !more.is_empty() {
        let mut all = match &given {
            Some(given) => of_these(given),
            None => launcher.environment(id).map_err(|e| from_core(&e))?,
        };
        all.extend(more.clone());
        launch_options::check_size(&all)?;
    }
    let options = DeployOptions {
        image,
        env: with_more(given.map(with_own), more),
        config,
        limits: arguments
            .option(1, "limits")?
            .map(limits::parse)
            .transpose()?,
        health: arguments
            .option(1, "health")?
            .map(health::parse)
            .transpose()?,
    };
    launcher
        .deploy(id, options)
        .await
        .map_err(|e| from_core(&e))
}

/// With `appImage` for `image`, say, something else would be deployed than what was meant.
fn refuse_other_options(arguments: &Arguments) -> Result<(), Error> {
    let options = arguments.value(1).and_then(Value::as_object);
    let mut names = options.into_iter().flatten().map(|(name, _)| name);
    let Some(other) = names.find(|name| !DEPLOY_OPTIONS.contains(&name.as_str())) else {
        return Ok(());
    };
    let other: String = other.chars().take(100).collect();
    Err(bad_request(format!(
        "The options of deploy are {}; there is no option {other}.",
        DEPLOY_OPTIONS.join(", ")
    )))
}

/// `rollback(instanceId, releaseId)`
pub(super) async fn rollback(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<String, Error> {
    let id = arguments.instance_id()?;
    let release = arguments.id_at(1, "releaseId", "the _id string of the release")?;
    let begun = launcher.rollback(id, release).await;
    begun.map_err(|e| from_core(&e))
}

/// `setEnvironment(instanceId, env)`
pub(super) async fn set_environment(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<String, Error> {
    let id = arguments.instance_id()?;
    let env = arguments.value(1).ok_or_else(|| {
        bad_request(
            "You must pass an object of environment variables as the second argument (env).",
        )
    })?;
    let env = variables(env)?;
    let begun = launcher.set_environment(id, with_own(env)).await;
    begun.map_err(|e| from_core(&e))
}

/// `setRootUrl(instanceId, url)`
pub(super) async fn set_root_url(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<String, Error> {
    let id = arguments.instance_id()?;
    let what = "You must pass the http or https URL string at which the app will be reached as the \
                second argument (rootUrl).";
    let url = arguments
        .value(1)
        .and_then(Value::as_str)
        .filter(|url| web_url(url).is_some());
    let url = url.ok_or_else(|| bad_request(what))?.to_owned();
    let begun = launcher.set_root_url(id, url).await;
    begun.map_err(|e| from_core(&e))
}

/// `scale(instanceId, replicas)`
pub(super) async fn scale(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    let id = arguments.instance_id()?;
    let number = arguments.value(1).and_then(whole_number);
    let number = number.ok_or_else(|| {
        bad_request("You must pass the whole number of replicas as the second argument (replicas).")
    })?;
    done(launcher.scale(id, number).await)
}

/// `awaitReady(instanceId, {timeout})`
pub(super) async fn await_ready(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<bool, Error> {
    let timeout = match arguments.option(1, "timeout")? {
        None => None,
        Some(timeout) => {
            let millis = timeout
                .as_f64()
                .filter(|ms| (0.0..=MAX_TIMEOUT).contains(ms));
            let millis = millis.ok_or_else(|| {
                bad_request("The timeout option must be from 0 ms to 3,600,000 ms (1 h).")
            })?;
            Some(Duration::from_millis(millis as u64))
        }
    };
    done(
        launcher
            .await_ready(arguments.instance_id()?, timeout)
            .await,
    )
}

/// `diffReleases(a, b)`
pub(super) async fn diff(launcher: Arc<Launcher>, arguments: Arguments) -> Result<Value, Error> {
    let what = "the _id string of a release";
    let (a, b) = (arguments.id("a", what)?, arguments.id_at(1, "b", what)?);
    let differences = launcher.diff_releases(a, b).map_err(|e| from_core(&e))?;
    Ok(Value::Array(differences.iter().map(difference).collect()))
}

/// Variables as a caller sends them; `null` takes one away that would stay.
fn variables(env: &Value) -> Result<Vec<(String, Option<String>)>, Error> {
    let given = env.as_object().ok_or_else(|| {
        bad_request(
            "The env must be an object of environment variables: names with string, number or \
             boolean values.",
        )
    })?;
    let mut all = Vec::new();
    for (name, value) in given {
        if value.is_null() {
            all.push((name.clone(), None));
            continue;
        }
        let (name, value) = launch_options::variable(name, value)?;
        if value.contains(MASK) {
            let name: String = name.chars().take(100).collect();
            return Err(bad_request(format!(
                "The environment variable {name} has a value with {MASK}, which stands for what is \
                 not shown; getEnvironmentVariables tells the value."
            )));
        }
        all.push((name, Some(value)));
    }
    launch_options::check_size(&of_these(&all))?;
    Ok(all)
}

fn of_these(variables: &[(String, Option<String>)]) -> Environment {
    let given = variables.iter().cloned();
    given
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// The same change, if there is one, and further variables.
fn with_more(change: Option<EnvironmentChange>, more: Environment) -> Option<EnvironmentChange> {
    if more.is_empty() {
        return change;
    }
    let change = change.unwrap_or_else(|| Box::new(Environment::clone));
    Some(Box::new(move |now| {
        let mut all = change(now);
        all.extend(more);
        all
    }))
}

/// All variables anew, but for those that have options of their own.
fn with_own(env: Vec<(String, Option<String>)>) -> EnvironmentChange {
    Box::new(move |now| {
        let stays = |name: &&&str| !env.iter().any(|(given, _)| given == **name);
        let own = OWN_OPTIONS.iter().filter(stays);
        let own = own.filter_map(|name| Some(((*name).to_owned(), now.get(*name)?.clone())));
        own.chain(of_these(&env)).collect()
    })
}

/// Adds the publications to a server.
pub(super) fn register(builder: Builder, releases: Collection, deployments: Collection) -> Builder {
    builder
        .publish("releases", move |_subscription, params: Vec<Value>| {
            let found = of_instance(&releases, &Arguments::new(params));
            async move { Ok(Publication::from(found?)) }
        })
        .publish("deployments", move |_subscription, params: Vec<Value>| {
            let found = of_instance(&deployments, &Arguments::new(params));
            async move { Ok(Publication::from(found?)) }
        })
}

/// The documents of one instance.
fn of_instance(documents: &Collection, arguments: &Arguments) -> Result<Query, Error> {
    let id = arguments.instance_id()?.to_owned();
    let name = format!("instanceId {id}");
    let is_of = move |document: &Fields| {
        document.get("instanceId").and_then(Value::as_str) == Some(id.as_str())
    };
    Ok(documents.find().filter_named(name, is_of))
}

/// What is published of a release.
pub(super) fn release(release: &Release) -> Fields {
    let content = &release.content;
    let hostnames = content
        .hostnames
        .iter()
        .map(|site| Value::from(site.address.to_string()));
    fields! {
        "instanceId": release.instance.as_str(),
        "number": release.number,
        "status": release.status.as_str(),
        "reason": release.reason.as_str(),
        "createdAt": date(release.created_at),
        "image": content.image.as_str(),
        "imageId": content.image_id.as_deref(),
        "digest": content.digest.as_deref(),
        "env": to_fields(&environment::masked(&content.env)),
        "hostnames": Value::Array(hostnames.collect()),
        "hostnameOptions": sites::options_of(&content.hostnames),
        "limits": limits::to_value(&content.limits),
        "config": container_config::to_value(&content.config),
        "health": health::to_value(&content.health),
    }
}

/// What is published of a deployment.
pub(super) fn deployment(deployment: &Deployment) -> Fields {
    fields! {
        "instanceId": deployment.instance.as_str(),
        "releaseId": deployment.release.as_str(),
        "fromReleaseId": deployment.from.as_deref(),
        "reason": deployment.reason.as_str(),
        "status": deployment.status.as_str(),
        "startedAt": date(deployment.started_at),
        "finishedAt": deployment.finished_at.map(date),
        "steps": Value::Array(deployment.steps.iter().map(step).collect()),
        "error": deployment.error.as_deref(),
        "probe": deployment.probe.as_deref(),
        "log": texts(&deployment.log),
    }
}

fn step(step: &DeploymentStep) -> Value {
    object! {
        "at": date(step.at),
        "status": step.status.as_str(),
        "text": step.text.as_str(),
    }
}

fn difference(one: &Difference) -> Value {
    match one.is_secret {
        true => object! { "field": one.field.as_str(), "changed": true, "secret": true },
        false => object! {
            "field": one.field.as_str(),
            "changed": true,
            "before": one.before.as_deref(),
            "after": one.after.as_deref(),
        },
    }
}
