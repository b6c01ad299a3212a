//! Who may set which field of Docker's create body. What is not named here is for administrators: a
//! field that Docker gets in the future is not open to everybody by itself.

use serde_json::{Value, json};

/// Drivers whose logs the engine gives back.
const READABLE_LOGS: [&str; 3] = ["", "json-file", "local"];
/// Limits that cannot be used to get more of the machine than others: not the priorities.
const ULIMITS: [&str; 12] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nofile",
    "nproc",
    "rss",
    "sigpending",
    "stack",
];

/// What everybody may set to whatever Docker takes.
const OPEN: [&str; 30] = [
    "Hostname",
    "Domainname",
    "User",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ExposedPorts",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Cmd",
    "Healthcheck",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "Shell",
    "HostConfig.CpusetCpus",
    "HostConfig.CpusetMems",
    "HostConfig.Init",
    "HostConfig.Dns",
    "HostConfig.DnsOptions",
    "HostConfig.DnsSearch",
    "HostConfig.ExtraHosts",
    "HostConfig.GroupAdd",
    "HostConfig.ReadonlyRootfs",
    "HostConfig.Tmpfs",
    "HostConfig.RestartPolicy",
];
/// What everybody may set to a number, but not to one that stands for no limit.
const AMOUNTS: [&str; 10] = [
    "HostConfig.CpuShares",
    "HostConfig.Memory",
    "HostConfig.BlkioWeight",
    "HostConfig.CpuPeriod",
    "HostConfig.CpuQuota",
    "HostConfig.MemoryReservation",
    "HostConfig.MemorySwap",
    "HostConfig.NanoCpus",
    "HostConfig.PidsLimit",
    "HostConfig.ShmSize",
];

/// Why nobody may set a field to this: the launcher could not keep its promises.
pub(super) fn for_nobody(field: &str, value: &Value) -> Option<&'static str> {
    let part = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or("");
    match field {
        "Image" => Some("the image is what appImage says"),
        "NetworkDisabled" => Some("requests could not reach the app"),
        "HostConfig.NetworkMode" if value == "none" => Some("requests could not reach the app"),
        "HostConfig.PortBindings" | "HostConfig.PublishAllPorts" => Some(
            "the launcher publishes the app's port and no other; the app's port is what env.PORT says",
        ),
        "HostConfig.RestartPolicy" if matches!(part("Name"), "" | "no") => None,
        "HostConfig.RestartPolicy" => {
            Some("programs that end are started again by the launcher, not by Docker")
        }
        "HostConfig.AutoRemove" => {
            Some("the launcher removes containers, and keeps the last for its log")
        }
        "HostConfig.LogConfig" if !READABLE_LOGS.contains(&part("Type")) => {
            Some("only the logs of the drivers json-file and local can be read")
        }
        _ => None,
    }
}

/// Whether everybody may set a field to this; if not, what everybody may do instead.
pub(super) fn for_everybody(field: &str, value: &Value) -> Result<(), Option<&'static str>> {
    let granted = |is_granted: bool, hint: &'static str| match is_granted {
        true => Ok(()),
        false => Err(Some(hint)),
    };
    let one_of = |values: &[&str]| value.as_str().is_some_and(|text| values.contains(&text));
    match field {
        _ if OPEN.contains(&field) => Ok(()),
        _ if AMOUNTS.contains(&field) => granted(
            value.as_f64().is_some_and(|number| number > 0.0),
            "everybody may set it to more than 0",
        ),
        "HostConfig.Ulimits" => granted(
            value.as_array().is_some_and(|all| all.iter().all(is_open)),
            "everybody may set core, cpu, data, fsize, locks, memlock, msgqueue, nofile, nproc, rss, sigpending and stack",
        ),
        "HostConfig.NetworkMode" => granted(
            one_of(&["default", "bridge"]),
            "everybody may set it to \"default\" or \"bridge\"",
        ),
        "HostConfig.IpcMode" => granted(
            one_of(&["none", "private", "shareable"]),
            "everybody may set it to \"none\", \"private\" or \"shareable\"",
        ),
        "HostConfig.CgroupnsMode" => {
            granted(one_of(&["private"]), "everybody may set it to \"private\"")
        }
        "HostConfig.CapDrop" => granted(
            value
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one == "ALL")),
            "everybody may set it to [\"ALL\"]",
        ),
        "NetworkingConfig" if *value == json!({"EndpointsConfig": {}}) => Ok(()),
        "HostConfig.LogConfig" => granted(
            value
                .get("Config")
                .is_none_or(|options| *options == json!({})),
            "the limits logFileBytes and logFiles are for everybody",
        ),
        "HostConfig.Binds" | "HostConfig.Mounts" | "HostConfig.VolumesFrom" => Err(Some(
            "limits.volumes, the engine's volumes by name, is for everybody",
        )),
        _ => Err(None),
    }
}

fn is_open(ulimit: &Value) -> bool {
    let name = ulimit.get("Name").and_then(Value::as_str);
    name.is_some_and(|name| ULIMITS.contains(&name))
}
