//! App instances as they are published.

use ddp_server::{
    Builder, Error, Publication,
    ejson::{Fields, Value},
    fields,
    live::{Collection, Query},
    object,
};
use launcher_core::{ContainerView, Exit, InstanceView, environment};

use super::{
    arguments::Arguments,
    container_config, health,
    launch_options::to_fields,
    limits,
    publications::{date, publish_all},
    sites,
};

/// Adds the publications to a server.
pub(super) fn register(builder: Builder, instances: Collection) -> Builder {
    let one = instances.clone();
    publish_all(builder, "appInstances", instances).publish(
        "appInstance",
        move |_subscription, params: Vec<Value>| {
            let found = of(&one, &Arguments::new(params));
            async move { Ok(Publication::from(found?)) }
        },
    )
}

fn of(instances: &Collection, arguments: &Arguments) -> Result<Query, Error> {
    Ok(instances.find_one(arguments.instance_id()?.to_owned()))
}

/// What is published of an instance.
pub(super) fn fields_of(view: &InstanceView) -> Fields {
    let InstanceView {
        record,
        observed,
        host,
    } = view;
    let hostnames = record
        .hostnames
        .iter()
        .map(|site| Value::from(site.address.to_string()));
    let containers = observed.containers.iter().map(|line| container(line, host));
    let exit = observed.exit.as_ref();
    let problem = record.given_up.as_deref();
    let failure = observed
        .failure
        .as_ref()
        .map(|failure| failure.message.as_str());
    fields! {
        "host": host,
        "port": observed.port,
        "image": record.image.as_str(),
        "imageId": observed.image_id.as_deref(),
        "containerId": observed.container_id.as_deref(),
        "createdAt": date(record.created_at),
        "status": observed.status.as_str(),
        "health": observed.health.as_str(),
        "hostnames": Value::Array(hostnames.collect()),
        "hostnameOptions": sites::options_of(&record.hostnames),
        "maintenance": record.maintenance,
        "env": to_fields(&environment::masked(&record.env)),
        "replicas": record.replicas,
        "releaseId": record.release.as_deref(),
        "deploymentId": record.rollout.as_ref().map(|rollout| rollout.deployment.as_str()),
        "containers": Value::Array(containers.collect()),
        "exit": exit.map(exit_of),
        "nextTryAt": view.next_try_at().map(date),
        "lastLogLines": exit.map(|exit| texts(&exit.log)),
        "limits": limits::to_value(&record.limits),
        "config": container_config::to_value(&record.config),
        "healthSettings": health::to_value(&record.health),
        "autoDeploy": record.auto_deploy,
        "deployError": observed.deploy_error.as_deref(),
        "error": problem.or(failure),
    }
}

fn container(line: &ContainerView, host: &str) -> Value {
    object! {
        "id": line.id.as_str(),
        "release": line.release,
        "replica": line.replica,
        "role": line.role.as_str(),
        "host": host,
        "port": line.port,
        "status": line.status.as_str(),
        "health": line.health.as_str(),
        "startedAt": line.started_at.map(date),
        "restarts": line.restarts,
        "exitCode": line.exit.as_ref().map(|exit| exit.code),
    }
}

fn exit_of(exit: &Exit) -> Value {
    object! {
        "code": exit.code,
        "reason": exit.reason.as_str(),
        "at": date(exit.at),
    }
}

pub(super) fn texts(lines: &[String]) -> Value {
    Value::Array(
        lines
            .iter()
            .map(|line| Value::from(line.as_str()))
            .collect(),
    )
}
