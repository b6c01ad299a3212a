//! Docker through `bollard`, for engines from 20.10 (API 1.41) on.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    path::PathBuf,
    time::Duration,
};

use async_trait::async_trait;
use bollard::{
    Docker,
    errors::Error as DockerError,
    models::{
        ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary,
        EventMessage, EventMessageTypeEnum, HostConfig, HostConfigLogConfig, ImageInspect,
        PortBinding, RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::{
        CreateContainerOptions, EventsOptionsBuilder, InspectContainerOptions,
        KillContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        StartContainerOptions,
    },
};
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::{
    BuildFailure, BuildSpec, Container, ContainerSpec, ContainerState, Ended, Engine, EngineDisk,
    EngineError, EngineImage, Event, ImageLayer, LABEL_GENERATION, LABEL_INSTANCE, LABEL_OWNER,
    LeftLayers, ListedImage, RegistryLogin, Resources, Transfer, container_name, docker_build,
    docker_disk, docker_images, docker_inspect, docker_login, docker_remains, docker_transfer,
};

/// Where Docker listens by default.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// How long the engine may take to answer a question.
const QUESTION: Duration = Duration::from_secs(15);
/// How long it may take to make, start or remove a container.
const ACTION: Duration = Duration::from_secs(90);
/// How long it may take to log in to a registry.
const LOGIN: Duration = Duration::from_secs(30);
/// How far back a new event stream begins.
const RECENT: Duration = Duration::from_secs(2);
/// Containers that are inspected at the same time.
const INSPECT_AT_ONCE: usize = 8;
/// A container's log on disk: this many bytes in each of so many files.
const LOG_FILE_SIZE: &str = "10m";
const LOG_FILES: &str = "3";

/// A Docker engine. It is looked for when it is first needed, and again until it is found, so it may
/// be started after the launcher.
pub struct DockerEngine {
    host: String,
    docker: OnceCell<Docker>,
}

impl DockerEngine {
    /// Prepares to talk to the engine at `host` (`unix://…`, `tcp://…` or `http://…`; Docker's own
    /// socket without one). Nothing is sent yet.
    ///
    /// # Errors
    /// When the address has another form.
    pub fn new(host: Option<&str>) -> Result<Self, EngineError> {
        let host = host.unwrap_or(DEFAULT_HOST).to_owned();
        let known = ["unix://", "tcp://", "http://"];
        if !known.iter().any(|scheme| host.starts_with(scheme)) {
            let text = "the address of a Docker engine begins with unix://, tcp:// or http://";
            return Err(EngineError::Failed(text.into()));
        }
        Ok(Self {
            host,
            docker: OnceCell::new(),
        })
    }

    /// The connection, its API version negotiated.
    async fn docker(&self) -> Result<&Docker, EngineError> {
        let connect = || async {
            let docker = Docker::connect_with_host(&self.host)?;
            Ok(docker.negotiate_version().await?)
        };
        let at = |error| match error {
            EngineError::Unreachable(why) => {
                EngineError::Unreachable(format!("{why} ({})", self.host))
            }
            error => error,
        };
        self.docker.get_or_try_init(connect).await.map_err(at)
    }

    /// One container; `None` when it vanished between listing and asking.
    async fn container(&self, id: &str) -> Result<Option<Container>, EngineError> {
        let question = async {
            let docker = self.docker().await?;
            Ok(docker
                .inspect_container(id, None::<InspectContainerOptions>)
                .await?)
        };
        match bounded(QUESTION, "answer", question).await {
            Ok(answer) => Ok(Some(container(answer))),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The API version that was agreed on, for requests that `bollard` does not make.
    async fn api_version(&self) -> Result<String, EngineError> {
        let docker = bounded(QUESTION, "answer", self.docker()).await?;
        Ok(docker.client_version().to_string())
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn version(&self) -> Result<String, EngineError> {
        let question = async { Ok(self.docker().await?.version().await?) };
        Ok(bounded(QUESTION, "answer", question)
            .await?
            .version
            .unwrap_or_default())
    }

    async fn time(&self) -> Result<Timestamp, EngineError> {
        let question = async { Ok(self.docker().await?.info().await?) };
        let info = bounded(QUESTION, "answer", question).await?;
        let none = || EngineError::Failed("the Docker engine does not tell the time".into());
        time(info.system_time.as_deref()).ok_or_else(none)
    }

    async fn containers(
        &self,
        owner: &str,
        instance: Option<&str>,
    ) -> Result<Vec<Container>, EngineError> {
        let mut labels = vec![format!("{LABEL_OWNER}={owner}")];
        labels.extend(instance.map(|id| format!("{LABEL_INSTANCE}={id}")));
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let question = async { Ok(self.docker().await?.list_containers(Some(options)).await?) };
        let listed = bounded(QUESTION, "list containers", question).await?;
        let ids = listed
            .into_iter()
            .filter(is_our_make)
            .filter_map(|summary| summary.id);
        let inspected = stream::iter(ids)
            .map(|id| async move { self.container(&id).await })
            .buffered(INSPECT_AT_ONCE);
        let found: Vec<Option<Container>> = inspected.try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn inspect(&self, container: &str) -> Result<serde_json::Value, EngineError> {
        let question = async {
            let version = self.api_version().await?;
            docker_inspect::inspect(&self.host, &version, container).await
        };
        bounded(QUESTION, "answer", question).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let options = CreateContainerOptions {
            name: Some(spec.name.clone()),
            ..Default::default()
        };
        let creation = async {
            let docker = self.docker().await?;
            Ok(docker
                .create_container(Some(options), create_body(spec))
                .await?)
        };
        Ok(bounded(ACTION, "create the container", creation).await?.id)
    }

    async fn start(&self, container: &str) -> Result<(), EngineError> {
        let start = async {
            let docker = self.docker().await?;
            Ok(docker
                .start_container(container, None::<StartContainerOptions>)
                .await?)
        };
        bounded(ACTION, "start the container", start).await
    }

    async fn signal(&self, container: &str, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::default()
            .signal(signal)
            .build();
        let kill = async {
            Ok(self
                .docker()
                .await?
                .kill_container(container, Some(options))
                .await?)
        };
        match bounded(ACTION, "signal the container", kill).await {
            // 409: it does not run. 404: it is gone.
            Err(EngineError::Conflict(_) | EngineError::NotFound(_)) => Ok(()),
            other => other,
        }
    }

    async fn remove(&self, container: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let removal = async {
            Ok(self
                .docker()
                .await?
                .remove_container(container, Some(options))
                .await?)
        };
        match bounded(ACTION, "remove the container", removal).await {
            Err(EngineError::NotFound(_)) => Ok(()),
            // 409: a removal is under way already.
            Err(EngineError::Conflict(text)) if text.contains("already in progress") => Ok(()),
            other => other,
        }
    }

    async fn events(&self, owner: &str) -> Result<BoxStream<'static, Event>, EngineError> {
        // An events request is answered when the first event happens: a question that is answered
        // at once tells whether the engine is there at all.
        self.version().await?;
        // The request is sent when the stream is first polled; asking for the recent past as well
        // closes the gap. An event that is told twice does no harm.
        let since = self.time().await?.as_second() - RECENT.as_secs() as i64;
        let filters = HashMap::from([("type", vec!["container", "image"])]);
        let options = EventsOptionsBuilder::default()
            .since(&since.to_string())
            .filters(&filters)
            .build();
        let owner = owner.to_owned();
        let events = self.docker().await?.events(Some(options));
        let known = events.take_while(|message| futures_util::future::ready(message.is_ok()));
        let own = known.filter_map(move |message| {
            futures_util::future::ready(message.ok().and_then(|m| event(m, &owner)))
        });
        Ok(own.boxed())
    }

    async fn image(&self, name: &str) -> Result<Option<EngineImage>, EngineError> {
        let question = async { Ok(self.docker().await?.inspect_image(name).await?) };
        match bounded(QUESTION, "answer", question).await {
            Ok(image) => Ok(Some(engine_image(image))),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn images(&self) -> Result<Vec<ListedImage>, EngineError> {
        let docker = bounded(QUESTION, "answer", self.docker()).await?;
        docker_images::list(docker).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        let docker = bounded(QUESTION, "answer", self.docker()).await?;
        docker_images::remove(docker, reference).await
    }

    async fn ancestry(&self) -> Result<BTreeMap<String, Option<String>>, EngineError> {
        let docker = bounded(QUESTION, "answer", self.docker()).await?;
        docker_disk::ancestry(docker).await
    }

    async fn image_layers(&self, id: &str) -> Result<Vec<ImageLayer>, EngineError> {
        let docker = bounded(QUESTION, "answer", self.docker()).await?;
        bounded(QUESTION, "answer", docker_disk::layers(docker, id)).await
    }

    async fn discard_image(&self, id: &str) -> Result<Vec<String>, EngineError> {
        let docker = bounded(QUESTION, "answer", self.docker()).await?;
        docker_disk::discard(docker, id).await
    }

    async fn disk(&self) -> Result<EngineDisk, EngineError> {
        docker_disk::usage(&self.host, &self.api_version().await?).await
    }

    async fn root(&self) -> Result<Option<PathBuf>, EngineError> {
        if !self.host.starts_with("unix://") {
            return Ok(None);
        }
        let question = async { Ok(self.docker().await?.info().await?) };
        let info = bounded(QUESTION, "answer", question).await?;
        Ok(info.docker_root_dir.map(PathBuf::from))
    }

    async fn pull(&self, transfer: Transfer) -> Result<String, EngineError> {
        docker_transfer::pull(&self.host, &self.api_version().await?, &transfer).await
    }

    async fn push(&self, transfer: Transfer) -> Result<String, EngineError> {
        docker_transfer::push(&self.host, &self.api_version().await?, &transfer).await
    }

    async fn check_login(&self, login: &RegistryLogin) -> Result<(), EngineError> {
        let version = self.api_version().await?;
        let check = docker_login::check(&self.host, &version, login);
        bounded(LOGIN, "log in to the registry", check).await
    }

    async fn resources(&self) -> Result<Resources, EngineError> {
        let question = async { Ok(self.docker().await?.info().await?) };
        let info = bounded(QUESTION, "answer", question).await?;
        let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        Ok(Resources {
            memory_bytes: count(info.mem_total),
            cpus: u32::try_from(count(info.ncpu)).unwrap_or(u32::MAX),
        })
    }

    async fn build(&self, build: BuildSpec) -> Result<String, BuildFailure> {
        let began = self.time().await?;
        let docker = bounded(QUESTION, "answer", self.docker()).await?;
        docker_build::build(docker, build, began).await
    }

    async fn remove_layers(&self, left: &LeftLayers) {
        match bounded(QUESTION, "answer", self.docker()).await {
            Ok(docker) => docker_remains::remove_layers(docker, left).await,
            Err(error) => tracing::warn!(%error, "layers of a failed build stay"),
        }
    }
}

/// Gives a call, connecting included, its deadline.
pub(super) async fn bounded<T>(
    deadline: Duration,
    what: &'static str,
    call: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    let answer = tokio::time::timeout(deadline, call).await;
    answer.unwrap_or(Err(EngineError::Deadline(what)))
}

impl From<DockerError> for EngineError {
    fn from(error: DockerError) -> Self {
        match error {
            DockerError::DockerResponseServerError {
                status_code: 404,
                message,
            } => Self::NotFound(message),
            DockerError::DockerResponseServerError {
                status_code: 409,
                message,
            } => Self::Conflict(message),
            DockerError::DockerResponseServerError { message, .. } => Self::Failed(message),
            DockerError::DockerStreamError { error } => Self::Failed(error),
            DockerError::RequestTimeoutError => Self::Deadline("answer"),
            DockerError::SocketNotFoundError(path) => {
                Self::Unreachable(format!("there is no socket {path}"))
            }
            DockerError::HyperLegacyError { .. }
            | DockerError::HyperResponseError { .. }
            | DockerError::IOError { .. } => Self::Unreachable(innermost(&error)),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// The cause of all causes, which is the one that the operating system tells.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Whether the launcher made this container. Images made from an app's container inherit its labels,
/// and so do containers made from those; but not its name.
pub(super) fn is_our_make(summary: &ContainerSummary) -> bool {
    let labels = summary.labels.as_ref();
    let expected = labels.and_then(|labels| {
        let instance = labels.get(LABEL_INSTANCE)?;
        Some(container_name(instance, generation(labels)))
    });
    let names = summary.names.iter().flatten();
    expected.is_some_and(|expected| {
        names
            .map(|n| n.trim_start_matches('/'))
            .any(|n| n == expected)
    })
}

fn generation(labels: &HashMap<String, String>) -> u64 {
    let label = labels.get(LABEL_GENERATION);
    label.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn create_body(spec: &ContainerSpec) -> ContainerCreateBody {
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
    let log_options = [("max-size", LOG_FILE_SIZE), ("max-file", LOG_FILES)];
    HostConfig {
        port_bindings: Some(HashMap::from([(port, Some(vec![binding]))])),
        init: Some(true),
        security_opt: Some(vec!["no-new-privileges".into()]),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(log_options.map(|(k, v)| (k.into(), v.into())).into()),
        }),
        ..Default::default()
    }
}

fn container(answer: ContainerInspectResponse) -> Container {
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
        generation: generation(&labels),
        instance: labels.remove(LABEL_INSTANCE).unwrap_or_default(),
        image_id: answer.image.unwrap_or_default(),
        state: container_state(running, state.status),
        started_at: time(state.started_at.as_deref()),
        finished_at: time(state.finished_at.as_deref()),
        exit_code: state.exit_code.filter(|_| !running),
        host_port: running.then(|| host_port(ports)).flatten(),
        stop_signal: config.stop_signal.unwrap_or_else(|| "SIGTERM".into()),
        created_at: time(answer.created.as_deref()).unwrap_or(Timestamp::UNIX_EPOCH),
    }
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

/// Docker writes the year 1 for "never".
pub(super) fn time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|t| t.parse::<Timestamp>().ok())
        .filter(|t| *t > Timestamp::UNIX_EPOCH)
}

fn engine_image(image: ImageInspect) -> EngineImage {
    let config = image.config.unwrap_or_default();
    let exposed = config.exposed_ports.unwrap_or_default();
    EngineImage {
        id: image.id.unwrap_or_default(),
        created_at: time(image.created.as_deref()),
        size_bytes: image.size.and_then(|s| u64::try_from(s).ok()).unwrap_or(0),
        exposed_ports: exposed.iter().filter_map(|port| tcp_port(port)).collect(),
        digests: image.repo_digests.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
    }
}

fn tcp_port(port: &str) -> Option<u16> {
    match port.split_once('/') {
        None => port.parse().ok(),
        Some((number, "tcp")) => number.parse().ok(),
        Some(_) => None,
    }
}

/// The engine names what was pulled as it was asked for it.
fn image_event(message: EventMessage) -> Event {
    let was_pulled = message.action.as_deref() == Some("pull");
    let name = message.actor.and_then(|actor| actor.id);
    let name = name.filter(|name| was_pulled && name.contains('@'));
    name.map_or(Event::Image, Event::PulledByDigest)
}

fn event(message: EventMessage, owner: &str) -> Option<Event> {
    if message.typ == Some(EventMessageTypeEnum::IMAGE) {
        return Some(image_event(message));
    }
    let actor = message.actor?;
    let mut attributes = actor.attributes?;
    if attributes
        .get(LABEL_OWNER)
        .is_none_or(|label| label != owner)
    {
        return None;
    }
    let instance = attributes.remove(LABEL_INSTANCE)?;
    let died = message.action.as_deref() == Some("die");
    let at = message
        .time_nano
        .and_then(|t| Timestamp::from_nanosecond(t.into()).ok());
    let ended = actor
        .id
        .zip(at)
        .filter(|_| died)
        .map(|(container, at)| Ended { container, at });
    Some(Event::Container { instance, ended })
}
