//! Containers as Docker is asked for them, and as it describes them.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use jiff::Timestamp;

use super::{
    Container, ContainerSpec, ContainerState, LABEL_GENERATION, LABEL_INSTANCE, LABEL_RELEASE,
    LABEL_REPLICA, ListedContainer, container_name, docker::time,
};
use crate::{Limits, limits::Volume};

/// What can be written to where nothing else can; it counts as memory.
const TMP: &str = "rw,nosuid,nodev,noexec,size=64m";

/// Whether the launcher made this container. Images made from an app's container inherit its labels,
/// and so do containers made from those; but not its name.
pub(super) fn is_our_make(summary: &ContainerSummary) -> bool {
    let labels = summary.labels.as_ref();
    let expected = labels.and_then(|labels| {
        let instance = labels.get(LABEL_INSTANCE)?;
        Some(container_name(instance, release(labels), replica(labels)))
    });
    let names = summary.names.iter().flatten();
    expected.is_some_and(|expected| {
        names
            .map(|n| n.trim_start_matches('/'))
            .any(|n| n == expected)
    })
}

/// What a listing says of a container.
pub(super) fn listed(summary: ContainerSummary) -> Option<ListedContainer> {
    let instance = summary.labels?.remove(LABEL_INSTANCE)?;
    let state = match summary.state? {
        ContainerSummaryStateEnum::CREATED => ContainerState::Created,
        ContainerSummaryStateEnum::RUNNING
        | ContainerSummaryStateEnum::PAUSED
        | ContainerSummaryStateEnum::RESTARTING => ContainerState::Running,
        ContainerSummaryStateEnum::REMOVING | ContainerSummaryStateEnum::DEAD => {
            ContainerState::Removing
        }
        _ => ContainerState::Exited,
    };
    Some(ListedContainer {
        id: summary.id?,
        instance,
        state,
    })
}

/// What the engine is asked to make, but for what a caller says in its own words.
pub(super) fn create_body(spec: &ContainerSpec) -> ContainerCreateBody {
    let port = format!("{}/tcp", spec.app_port);
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        env: Some(
            spec.env
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        ),
        labels: Some(spec.labels.clone().into_iter().collect()),
        user: spec.limits.user.clone(),
        exposed_ports: Some(vec![port.clone()]),
        host_config: Some(host_config(spec, port)),
        ..Default::default()
    }
}

fn host_config(spec: &ContainerSpec, port: String) -> HostConfig {
    let binding = PortBinding {
        host_ip: Some(spec.bind_ip.to_string()),
        host_port: Some("0".into()),
    };
    let log_options = [
        ("max-size", spec.limits.log_file_bytes().to_string()),
        ("max-file", spec.limits.log_files().to_string()),
    ];
    HostConfig {
        port_bindings: Some(HashMap::from([(port, Some(vec![binding]))])),
        init: Some(true),
        security_opt: Some(vec!["no-new-privileges".into()]),
        cap_drop: Some(vec!["ALL".into()]),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(log_options.map(|(k, v)| (k.to_owned(), v)).into()),
        }),
        ..limited(&spec.limits)
    }
}

/// What a container may use, as far as the engine is told in numbers. Swap is counted as memory.
fn limited(limits: &Limits) -> HostConfig {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let memory = signed(limits.memory_bytes());
    let open_files = i64::from(limits.open_files());
    let tmpfs = HashMap::from([("/tmp".to_owned(), TMP.to_owned())]);
    HostConfig {
        memory: Some(memory),
        memory_swap: Some(memory),
        cpu_shares: Some(limits.cpu_shares().into()),
        nano_cpus: limits.cpus.map(|cpus| (cpus * 1e9) as i64),
        pids_limit: Some(limits.pids().into()),
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("nofile".into()),
            soft: Some(open_files),
            hard: Some(open_files),
        }]),
        readonly_rootfs: Some(limits.read_only),
        tmpfs: limits.read_only.then_some(tmpfs),
        mounts: Some(limits.volumes.iter().map(mount).collect()),
        ..Default::default()
    }
}

fn mount(volume: &Volume) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.name.clone()),
        target: Some(volume.path.clone()),
        read_only: Some(volume.read_only),
        ..Default::default()
    }
}

/// A container as the engine describes it.
pub(super) fn container(answer: ContainerInspectResponse) -> Container {
    let config = answer.config.unwrap_or_default();
    let mut labels = config.labels.unwrap_or_default();
    let state = answer.state.unwrap_or_default();
    let ports = answer
        .network_settings
        .and_then(|n| n.ports)
        .unwrap_or_default();
    let running = state.running.unwrap_or(false);
    Container {
        id: answer.id.unwrap_or_default(),
        generation: release(&labels),
        replica: replica(&labels),
        instance: labels.remove(LABEL_INSTANCE).unwrap_or_default(),
        image_id: answer.image.unwrap_or_default(),
        state: container_state(running, state.status),
        started_at: time(state.started_at.as_deref()),
        finished_at: time(state.finished_at.as_deref()),
        exit_code: state.exit_code.filter(|_| !running),
        oom_killed: state.oom_killed.unwrap_or(false) && !running,
        host_port: running.then(|| host_port(ports)).flatten(),
        stop_signal: config.stop_signal.unwrap_or_else(|| "SIGTERM".into()),
        created_at: time(answer.created.as_deref()).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

fn release(labels: &HashMap<String, String>) -> u64 {
    let label = labels
        .get(LABEL_RELEASE)
        .or_else(|| labels.get(LABEL_GENERATION));
    label.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn replica(labels: &HashMap<String, String>) -> u32 {
    let label = labels.get(LABEL_REPLICA);
    label.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn container_state(running: bool, status: Option<ContainerStateStatusEnum>) -> ContainerState {
    match status {
        _ if running => ContainerState::Running,
        Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
        Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => {
            ContainerState::Removing
        }
        _ => ContainerState::Exited,
    }
}

/// The app's port is the only one that is ever published.
fn host_port(ports: HashMap<String, Option<Vec<PortBinding>>>) -> Option<u16> {
    ports
        .into_values()
        .flatten()
        .flatten()
        .find_map(|binding| binding.host_port?.parse().ok())
}
