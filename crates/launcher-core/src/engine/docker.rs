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
    models::ContainerSummary,
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
    BuildFailure, BuildSpec, Container, ContainerSpec, ContainerStats, Engine, EngineDisk,
    EngineError, EngineImage, Event, Exec, ExecSpec, ImageLayer, LABEL_INSTANCE, LABEL_OWNER,
    LeftLayers, ListedContainer, ListedImage, LogPiece, LogQuery, Machine, RegistryLogin, Transfer,
    docker_build, docker_config, docker_containers, docker_disk, docker_events, docker_exec,
    docker_exec_end, docker_images, docker_inspect, docker_login, docker_logs, docker_remains,
    docker_stats, docker_transfer,
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
/// What has happened when an answer ends before its end.
pub(super) const BROKE_OFF: &str = "the connection broke off";

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
            Ok(answer) => Ok(Some(docker_containers::container(answer))),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The API version that was agreed on, for requests that `bollard` does not make.
    async fn api_version(&self) -> Result<String, EngineError> {
        let docker = bounded(QUESTION, "answer", self.docker()).await?;
        Ok(docker.client_version().to_string())
    }

    /// What a program that runs in a container needs for itself.
    async fn reach(&self) -> Result<docker_exec::Reach, EngineError> {
        Ok(docker_exec::Reach {
            docker: bounded(QUESTION, "answer", self.docker()).await?.clone(),
            version: self.api_version().await?,
            host: self.host.clone(),
        })
    }
}

impl DockerEngine {
    /// The engine's listing of an owner's containers.
    async fn list(
        &self,
        owner: &str,
        instance: Option<&str>,
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let mut labels = vec![format!("{LABEL_OWNER}={owner}")];
        labels.extend(instance.map(|id| format!("{LABEL_INSTANCE}={id}")));
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let question = async { Ok(self.docker().await?.list_containers(Some(options)).await?) };
        let mut listed = bounded(QUESTION, "list containers", question).await?;
        listed.retain(docker_containers::is_our_make);
        Ok(listed)
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

    async fn containers(
        &self,
        owner: &str,
        instance: Option<&str>,
    ) -> Result<Vec<Container>, EngineError> {
        let listed = self.list(owner, instance).await?;
        let ids = listed.into_iter().filter_map(|summary| summary.id);
        let inspected = stream::iter(ids)
            .map(|id| async move { self.container(&id).await })
            .buffered(INSPECT_AT_ONCE);
        let found: Vec<Option<Container>> = inspected.try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn listed_containers(&self, owner: &str) -> Result<Vec<ListedContainer>, EngineError> {
        let listed = self.list(owner, None).await?.into_iter();
        Ok(listed.filter_map(docker_containers::listed).collect())
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
        let body = docker_config::whole_body(spec)?;
        let creation = async {
            let docker = self.docker().await?;
            Ok(docker.create_container(Some(options), body).await?)
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

    async fn logs(
        &self,
        container: &str,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogPiece, EngineError>>, EngineError> {
        let question = async {
            let version = self.api_version().await?;
            docker_logs::logs(&self.host, &version, container, query).await
        };
        bounded(QUESTION, "answer", question).await
    }

    async fn stats(&self, container: &str) -> Result<Option<ContainerStats>, EngineError> {
        let question = async {
            let version = self.api_version().await?;
            docker_stats::stats(&self.host, &version, container).await
        };
        bounded(QUESTION, "answer", question).await
    }

    async fn events(&self, owner: &str) -> Result<BoxStream<'static, Event>, EngineError> {
        // An events request is answered when the first event happens: a question that is answered
        // at once tells whether the engine is there at all.
        self.version().await?;
        // The request is sent when the stream is first polled; asking for the recent past as well
        // closes the gap. An event that is told twice does no harm.
        let since = self.machine().await?.time.as_second() - RECENT.as_secs() as i64;
        let filters = HashMap::from([("type", vec!["container", "image"])]);
        let options = EventsOptionsBuilder::default()
            .since(&since.to_string())
            .filters(&filters)
            .build();
        let owner = owner.to_owned();
        let events = self.docker().await?.events(Some(options));
        let known = events.take_while(|message| futures_util::future::ready(message.is_ok()));
        let own = known.filter_map(move |message| {
            futures_util::future::ready(message.ok().and_then(|m| docker_events::event(m, &owner)))
        });
        Ok(own.boxed())
    }

    async fn image(&self, name: &str) -> Result<Option<EngineImage>, EngineError> {
        let question = async { Ok(self.docker().await?.inspect_image(name).await?) };
        match bounded(QUESTION, "answer", question).await {
            Ok(image) => Ok(Some(docker_images::engine_image(image))),
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

    async fn machine(&self) -> Result<Machine, EngineError> {
        let question = async { Ok(self.docker().await?.info().await?) };
        let info = bounded(QUESTION, "answer", question).await?;
        let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let none = || EngineError::Failed("the Docker engine does not tell the time".into());
        Ok(Machine {
            memory_bytes: count(info.mem_total),
            cpus: u32::try_from(count(info.ncpu)).unwrap_or(u32::MAX),
            time: time(info.system_time.as_deref()).ok_or_else(none)?,
        })
    }

    async fn build(&self, build: BuildSpec) -> Result<String, BuildFailure> {
        let docker = bounded(QUESTION, "answer", self.docker()).await?;
        docker_build::build(docker, build).await
    }

    async fn remove_layers(&self, left: &LeftLayers) {
        match bounded(QUESTION, "answer", self.docker()).await {
            Ok(docker) => docker_remains::remove_layers(docker, left).await,
            Err(error) => tracing::warn!(%error, "layers of a failed build stay"),
        }
    }

    async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<Exec, EngineError> {
        docker_exec::exec(self.reach().await?, container, spec).await
    }

    async fn end_exec(&self, container: &str, mark: &str) -> Result<(), EngineError> {
        docker_exec_end::end(&self.reach().await?, container, mark).await
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
            // `bollard` gives what went wrong in an answer as a text only.
            DockerError::IOError { err } if err.raw_os_error().is_none() => {
                Self::Unreachable(BROKE_OFF.into())
            }
            DockerError::HyperLegacyError { .. }
            | DockerError::HyperResponseError { .. }
            | DockerError::IOError { .. } => Self::Unreachable(innermost(&error)),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// The cause of all causes, which is the one that the operating system tells.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let ended = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::UnexpectedEof);
    match ended || error.is::<hyper::Error>() {
        true => BROKE_OFF.to_owned(),
        false => error.to_string(),
    }
}

/// Docker writes the year 1 for "never".
pub(super) fn time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|t| t.parse::<Timestamp>().ok())
        .filter(|t| *t > Timestamp::UNIX_EPOCH)
}
