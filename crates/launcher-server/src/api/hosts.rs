//! The machines that run containers.

use std::sync::Arc;

use ddp_server::{
    Builder, Error, Publication,
    ejson::{Fields, Value},
    fields,
    live::Collection,
};
use launcher_core::{Host, HostChange, Launcher, hosts::LOCAL};

use super::{
    arguments::{Arguments, whole_number},
    errors::{bad_request, from_core},
    methods::done,
    publications::date,
};

const ID: &str = "the _id string of the host";
/// The most containers that a host may be said to take.
const MOST: u32 = 100_000;

/// `host/add({privateHost, …})`, `addHost(privateHost, …)`
pub(super) async fn add(_: Arc<Launcher>, _: Arguments) -> Result<bool, Error> {
    Err(bad_request(
        "Several machines are not supported yet: all app instances run on the launcher's own engine, \
         which is the host with ID local (host/set changes what it takes).",
    ))
}

/// `host/set(hostId, {max, active})`
pub(super) async fn set(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    let id = arguments.id("hostId", ID)?;
    let options = arguments.value(1).filter(|v| v.as_object().is_some());
    let options = options.ok_or_else(|| {
        bad_request("You must pass an object with max or active as the second argument (settings).")
    })?;
    let change = HostChange {
        max: options.get("max").map(max).transpose()?,
        active: arguments.option(1, "active")?.map(active).transpose()?,
    };
    done(launcher.set_host(id, change).await)
}

/// `host/remove(hostId, keepAppsActive)`
pub(super) async fn remove(_: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    let id = arguments.id("hostId", ID)?;
    match id {
        LOCAL => Err(bad_request(
            "The host with ID local is the launcher's own engine and cannot be removed; host/set with \
             active: false keeps new containers away from it.",
        )),
        _ => Err(from_core(&launcher_core::Error::NoSuchHost(id.to_owned()))),
    }
}

/// `host/refreshDetails(hostId?)`
pub(super) async fn refresh(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    let id = match arguments.value(0) {
        None => None,
        Some(_) => Some(arguments.id("hostId", ID)?),
    };
    done(launcher.refresh_host(id).await)
}

/// `null`: as many as it can.
fn max(value: &Value) -> Result<Option<u32>, Error> {
    if value.is_null() {
        return Ok(None);
    }
    let max = whole_number(value).filter(|max| *max <= MOST);
    max.map(Some).ok_or_else(|| {
        bad_request(format!(
            "The max option must be a whole number of containers from 0 to {MOST}, or null for no \
             limit."
        ))
    })
}

fn active(value: &Value) -> Result<bool, Error> {
    let active = value.as_bool();
    active.ok_or_else(|| bad_request("The active option must be true or false."))
}

/// Adds the publication. Whoever subscribes sees what is known, and soon what is so now.
pub(super) fn register(builder: Builder, hosts: Collection, launcher: &Arc<Launcher>) -> Builder {
    let launcher = Arc::clone(launcher);
    builder.publish("hosts", move |_subscription, _params: Vec<Value>| {
        launcher.hosts_are_watched();
        let all = hosts.find();
        async move { Ok(Publication::from(all)) }
    })
}

/// What is published of a host.
pub(super) fn fields_of(host: &Host) -> Fields {
    let machine = host.machine.as_ref();
    let disk = machine.and_then(|machine| machine.disk);
    fields! {
        "privateHost": host.address.as_str(),
        "max": host.settings.max,
        "active": host.settings.active,
        "containers": host.containers,
        "engineVersion": machine.map(|machine| machine.engine_version.as_str()),
        "cpus": machine.map(|machine| machine.cpus),
        "memoryBytes": machine.map(|machine| machine.memory_bytes),
        "diskBytes": disk.map(|disk| disk.total_bytes),
        "diskFreeBytes": disk.map(|disk| disk.free_bytes),
        "checkedAt": host.checked_at.map(date),
        "error": host.error.as_deref(),
    }
}
