//! What the launcher needs of a container engine, and nothing more.
//!
//! Every call has a deadline of its own and fails with [`EngineError`], whose text is fit for
//! callers. The implementations ([`DockerEngine`] and the one for tests) pass the same contract.

#[cfg(test)]
mod contract;
mod docker;
mod docker_build;
mod docker_config;
mod docker_containers;
mod docker_disk;
mod docker_events;
mod docker_exec;
mod docker_exec_end;
mod docker_images;
mod docker_inspect;
mod docker_login;
mod docker_logs;
mod docker_remains;
mod docker_request;
mod docker_stats;
mod docker_transfer;
mod exec;
#[cfg(test)]
mod exec_contract;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod fake_exec;
mod logs;
mod stats;
mod transfer;
#[cfg(test)]
mod transfer_contract;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use thiserror::Error;

use crate::{ContainerConfig, Environment, Limits, app_instance::Run};

pub use docker::DockerEngine;
pub(crate) use docker_config::create_body_field;
pub use exec::{EXEC_MARK, Exec, ExecControl, ExecSpec, TerminalSize};
pub use logs::{LogPiece, LogQuery, LogStream};
pub use stats::ContainerStats;
pub use transfer::{LayerState, RegistryLogin, Transfer, TransferNews, TransferOutput};

/// The library that talks to the engine, as it is called in the log. At `debug` it writes down what
/// it sends, variables of apps among it.
pub const LIBRARY: &str = "bollard";
/// How the names of the launcher's own labels begin.
pub const LABEL_PREFIX: &str = "launcher.";
/// Label with the id of the instance that a container belongs to.
pub const LABEL_INSTANCE: &str = "launcher.instance";
/// Label with the id of the launcher (of its store) that made a container.
pub const LABEL_OWNER: &str = "launcher.owner";
/// Label of a built image with where its archive came from, without credentials. Images that are
/// built from it by others inherit this and the following ones.
pub const LABEL_SOURCE: &str = "launcher.source";
/// Label of an image built from a Meteor bundle with its release, such as `METEOR@3.3`.
pub const LABEL_METEOR_RELEASE: &str = "launcher.meteor-release";
/// Label of an image built from a Meteor bundle with the Node version that it was made with.
pub const LABEL_NODE_VERSION: &str = "launcher.node-version";

/// Label with the number of the release that a container was made for.
pub const LABEL_RELEASE: &str = "launcher.release";
/// What [`LABEL_RELEASE`] was called by earlier launchers.
pub const LABEL_GENERATION: &str = "launcher.generation";
/// Label with the number of the replica that a container is.
pub const LABEL_REPLICA: &str = "launcher.replica";

/// Label with what the instance's record said when a container was made, but for values of variables.
pub const LABEL_RECORD: &str = "launcher.record";

/// The name of the container of a replica of an instance's release.
#[must_use]
pub fn container_name(instance: &str, release: u64, replica: u32) -> String {
    match (release, replica) {
        (0, 0) => format!("launcher-{instance}"),
        (_, 0) => format!("launcher-{instance}-{release}"),
        _ => format!("launcher-{instance}-{release}-{replica}"),
    }
}

/// Runs containers and keeps images.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Whether the engine answers, and which version it is.
    async fn version(&self) -> Result<String, EngineError>;

    /// Containers that carry this owner's label, in any state; of one instance if one is named.
    async fn containers(
        &self,
        owner: &str,
        instance: Option<&str>,
    ) -> Result<Vec<Container>, EngineError>;

    /// The same of all instances, with no more than the engine has at hand.
    async fn listed_containers(&self, owner: &str) -> Result<Vec<ListedContainer>, EngineError>;

    /// The engine's own description of a container, in its own words.
    async fn inspect(&self, container: &str) -> Result<serde_json::Value, EngineError>;

    /// Makes a container without starting it, and returns its id. A container of the same name is
    /// an error.
    async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError>;

    /// Starts a container. One that runs already is left alone.
    async fn start(&self, container: &str) -> Result<(), EngineError>;

    /// Sends a signal (`SIGTERM`, …) to the main process. A container that does not run is left
    /// alone.
    async fn signal(&self, container: &str, signal: &str) -> Result<(), EngineError>;

    /// Removes a container, killing it if it runs, with its anonymous volumes. One that is gone
    /// already is left alone.
    async fn remove(&self, container: &str) -> Result<(), EngineError>;

    /// What a container's program has written, oldest first. Reads no faster than it is polled; ends
    /// with the program if it is to follow it, else with what there is.
    /// [`EngineError::NotFound`] if there is no such container.
    async fn logs(
        &self,
        container: &str,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogPiece, EngineError>>, EngineError>;

    /// What a container has used since its start; `None`: it does not run.
    /// [`EngineError::NotFound`] if there is no such container.
    async fn stats(&self, container: &str) -> Result<Option<ContainerStats>, EngineError>;

    /// What happens to containers of this owner and to images, from now on. Ends when the
    /// connection is lost.
    async fn events(&self, owner: &str) -> Result<BoxStream<'static, Event>, EngineError>;

    /// An image by name, if the engine has it.
    async fn image(&self, name: &str) -> Result<Option<EngineImage>, EngineError>;

    /// Every image that the engine has, those without a name among them, but for the layers that
    /// other images are made of. One question, however many there are.
    async fn images(&self) -> Result<Vec<ListedImage>, EngineError>;

    /// Takes this name from an image, and removes the image with its last one; by its id, removes an
    /// image with at most one name. [`EngineError::Conflict`] while a container needs it,
    /// [`EngineError::NotFound`] if there is none.
    async fn remove_image(&self, reference: &str) -> Result<(), EngineError>;

    /// All images, also the layers that others are made of, each with the image that it was built on if
    /// the engine knows it.
    async fn ancestry(&self) -> Result<BTreeMap<String, Option<String>>, EngineError>;

    /// The layers that an image is made of, the lowest first.
    async fn image_layers(&self, id: &str) -> Result<Vec<ImageLayer>, EngineError>;

    /// Removes an image by its id, with the name that it may have, and nothing that it was built on.
    /// Returns the ids of the layers whose data is gone with it. [`EngineError::Conflict`] while a
    /// container or another image needs it, or when it has several names.
    async fn discard_image(&self, id: &str) -> Result<Vec<String>, EngineError>;

    /// What the engine has on its disk. Takes long where there is much.
    async fn disk(&self) -> Result<EngineDisk, EngineError>;

    /// The directory of this machine in which the engine keeps everything; `None` if it is on
    /// another one.
    async fn root(&self) -> Result<Option<PathBuf>, EngineError>;

    /// Pulls an image, and returns the digest (`sha256:…`) that the registry knows it by. Given up
    /// when it is dropped. Errors are the engine's own words, without the password.
    async fn pull(&self, transfer: Transfer) -> Result<String, EngineError>;

    /// Pushes an image to the registry that its name begins with, as [`Self::pull`].
    async fn push(&self, transfer: Transfer) -> Result<String, EngineError>;

    /// Whether a registry takes these credentials; if not, the engine's own words.
    async fn check_login(&self, login: &RegistryLogin) -> Result<(), EngineError>;

    /// The machine that it runs on, as it is now.
    async fn machine(&self) -> Result<Machine, EngineError>;

    /// Builds an image, gives it its name only when the build has succeeded, and returns its id. A failed build
    /// leaves no containers; what else it leaves, and what a dropped one does, is for
    /// [`Engine::remove_layers`].
    async fn build(&self, build: BuildSpec) -> Result<String, BuildFailure>;

    /// Removes what a failed build left, as far as nothing else needs it, and waits for the engine to
    /// end the build's step. Images that have a name, the base among them, are never touched, nor is
    /// anything that was made before the build began.
    async fn remove_layers(&self, left: &LeftLayers);

    /// Runs a program in a container that runs. [`EngineError::Conflict`] when it does not. A program
    /// that is not there says so in its output, and ends with code 126 or 127.
    async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<Exec, EngineError>;

    /// Ends what [`Self::exec`] has started in a container with this mark, and everything that this
    /// has started, at once. Fails when something of it may go on.
    async fn end_exec(&self, container: &str, mark: &str) -> Result<(), EngineError>;
}

/// A container as the engine reports it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// The instance that its label names.
    pub instance: String,
    /// Content id (`sha256:…`) of the image that it was made from.
    pub image_id: String,
    /// The number of its release, as its label has it; 0 without one.
    pub generation: u64,
    /// Which replica it is, as its label has it; 0 without one.
    pub replica: u32,
    /// What it does.
    pub state: ContainerState,
    /// When it was last started, if ever.
    pub started_at: Option<Timestamp>,
    /// When it last ended, if ever.
    pub finished_at: Option<Timestamp>,
    /// With which code it last ended, if it has.
    pub exit_code: Option<i64>,
    /// Whether its program was killed because it reached the container's memory limit.
    pub oom_killed: bool,
    /// Port on the host that leads to the app, while it runs.
    pub host_port: Option<u16>,
    /// The signal that asks its program to end.
    pub stop_signal: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A container as a listing shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListedContainer {
    /// The engine's id.
    pub id: String,
    /// The instance that its label names.
    pub instance: String,
    /// What it does.
    pub state: ContainerState,
}

impl Container {
    /// Its newest run, if it was ever started.
    #[must_use]
    pub fn run(&self) -> Option<Run> {
        let container = self.id.clone();
        self.started_at.map(|started_at| Run {
            container,
            started_at,
        })
    }
}

/// States that make a difference to the launcher.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Its program runs, or is paused.
    Running,
    /// Its program has ended.
    Exited,
    /// The engine is removing it, or failed to.
    Removing,
}

/// How to make a container.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerSpec {
    /// Unique name.
    pub name: String,
    /// The image's name.
    pub image: String,
    /// All variables, `PORT` included.
    pub env: Environment,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// TCP port inside the container; the engine chooses the one on the host.
    pub app_port: u16,
    /// Address of the host that the chosen port is bound to.
    pub bind_ip: std::net::IpAddr,
    /// What it may use.
    pub limits: Limits,
    /// What a caller says of it in the engine's own words.
    pub config: ContainerConfig,
}

/// An image as the engine reports it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EngineImage {
    /// Content id (`sha256:…`).
    pub id: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Size in bytes.
    pub size_bytes: u64,
    /// TCP ports that it exposes.
    pub exposed_ports: Vec<u16>,
    /// Under which it was pulled from or pushed to registries (`repository@sha256:…`).
    pub digests: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// An image as it stands in a listing of all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListedImage {
    /// Content id (`sha256:…`).
    pub id: String,
    /// Its names, each with a tag. None: what it was called is called otherwise now.
    pub names: Vec<String>,
    /// Under which it was pulled from or pushed to registries (`repository@sha256:…`).
    pub digests: Vec<String>,
    /// When it was made, to the second.
    pub created_at: Option<Timestamp>,
    /// Size in bytes, with the layers that it shares with others.
    pub size_bytes: u64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The containers that were made from it, whoever made them, running or not.
    pub users: Vec<ImageUser>,
}

/// A container that was made from an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImageUser {
    /// The container's name.
    pub container: String,
    /// The launcher that made it, if one did.
    pub owner: Option<String>,
    /// The instance that it belongs to, if a launcher made it.
    pub instance: Option<String>,
}

/// A layer, which several images can have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImageLayer {
    /// Its id, which tells of those below it as well (the OCI image specification's `ChainID`).
    pub id: String,
    /// Size in bytes, without those below it.
    pub size_bytes: u64,
}

/// What the engine says it has on its disk, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EngineDisk {
    /// Layers of images, each counted once.
    pub images_bytes: u64,
    /// What containers have written into their own layer.
    pub containers_bytes: u64,
    /// What BuildKit keeps for later builds. The classic builder's cache are images without a name.
    pub build_cache_bytes: u64,
}

/// Something happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// To a container of the instance with this id.
    Container {
        /// The instance's id.
        instance: String,
        /// The run that ended, if that is what happened.
        ended: Option<Ended>,
    },
    /// To an image.
    Image,
    /// An image was pulled by this name, which has a digest: a name that no listing tells.
    PulledByDigest(String),
}

/// The end of a container's program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// The container's id.
    pub container: String,
    /// When, by the engine's clock, as its other times.
    pub at: Timestamp,
}

impl Ended {
    /// Whether this run can have ended then: events are told again after the stream was lost, when
    /// the container may run anew.
    #[must_use]
    pub fn can_be_of(&self, run: &Run) -> bool {
        self.container == run.container && run.started_at <= self.at
    }
}

/// An image build.
pub struct BuildSpec {
    /// The name that the image gets.
    pub name: String,
    /// The build context: an uncompressed tar with a `Dockerfile` at its root.
    pub context: BoxStream<'static, std::io::Result<Bytes>>,
    /// Credentials of the registries that the images may come from that it is built on.
    pub logins: Vec<RegistryLogin>,
    /// Labels that the image gets beside its Dockerfile's own.
    pub labels: BTreeMap<String, String>,
    /// What it may use.
    pub limits: BuildLimits,
    /// A moment before it by the engine's clock: what happened earlier is not told.
    pub began: Timestamp,
    /// Called with every piece of output.
    pub output: Arc<dyn Fn(BuildOutput<'_>) + Send + Sync>,
}

/// What a build may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BuildLimits {
    /// Memory of each step, in bytes. Swap is not used beside it.
    pub memory_bytes: u64,
    /// Processors.
    pub cpus: f64,
    /// How long it may take in all.
    pub time: Duration,
}

/// What the engine's machine has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Machine {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Processors.
    pub cpus: u32,
    /// Its clock when it was asked, by which all times of the engine are.
    pub time: Timestamp,
}

/// What is known of the layers that a build left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeftLayers {
    /// The container of the step that was carried out last, which may still be there.
    pub container: Option<String>,
    /// Their ids, oldest first, as they were reported; that of the base may be among them.
    pub ids: Vec<String>,
    /// When the build began, by the engine's clock.
    pub began: Timestamp,
    /// Whether the build was cut off, so that its newest layer may not have been reported.
    pub interrupted: bool,
}

/// What a build says while it runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BuildOutput<'a> {
    /// A piece of its log.
    Text(&'a str),
    /// The id of the layer that a step started from or ended in.
    Layer(&'a str),
    /// The id of the container in which a step is carried out.
    Container(&'a str),
}

/// Why a build failed.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum BuildFailure {
    /// The engine did not do it.
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// It took longer than it may.
    #[error("the build was not done within {0:?}")]
    TooLong(Duration),
    /// It said nothing for this long.
    #[error("the build said nothing for {0:?}")]
    Silent(Duration),
    /// A step's program ended with an error.
    #[error("a step ended with exit code {code}")]
    Step {
        /// Its exit code.
        code: i64,
        /// Whether the engine said that it, or a program that it began, had no memory left.
        out_of_memory: bool,
    },
}

/// Why the engine did not do something.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum EngineError {
    /// Nobody answers at its address; what the operating system says of it.
    #[error("the Docker engine cannot be reached: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("the Docker engine did not {0} in time")]
    Deadline(&'static str),
    /// It has no such container or image.
    #[error("{0}")]
    NotFound(String),
    /// Something is in the way, such as a container of the same name.
    #[error("{0}")]
    Conflict(String),
    /// It refused or failed; its own words.
    #[error("{0}")]
    Failed(String),
}
