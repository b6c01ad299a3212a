//! App instances: what is wanted of one, and what has been observed.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    ContainerConfig, Environment, Error, Hostname, ImageName, Limits, Site,
    engine::ContainerState,
    health::{Health, HealthSettings},
};

/// Most containers that one instance may have.
pub const MAX_REPLICAS: u32 = 100;

/// The record of an app instance: what a caller wants. It is written before a container is made and
/// deleted after the containers are gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppInstance {
    /// Meteor document id, 17 characters.
    pub id: String,
    /// The image to run.
    pub image: ImageName,
    /// Content id (`sha256:…`) of the image that the release is made of, once that is known.
    #[serde(default)]
    pub image_id: Option<String>,
    /// The variables that it was launched with, secrets included.
    pub env: Environment,
    /// Hostnames that are routed to it. No other instance has any of them.
    #[serde(default)]
    pub hostnames: Vec<Site>,
    /// Whether visitors are told that somebody works on it.
    #[serde(default)]
    pub maintenance: bool,
    /// Address to publish and route to, where it is not the one that ports are bound to.
    #[serde(default)]
    pub host: Option<String>,
    /// When it was launched.
    pub created_at: Timestamp,
    /// The newest wish.
    pub wanted: Wanted,
    /// Number of the newest wish; grows by one with each.
    pub wish: u64,
    /// Number of the release that is wanted: of the wish that made it. Containers of others are to be
    /// replaced. 0: the one that it was launched with.
    #[serde(default)]
    pub generation: u64,
    /// Id of the record of that release.
    #[serde(default)]
    pub release: Option<String>,
    /// While that release takes the place of another: which one.
    #[serde(default)]
    pub rollout: Option<Rollout>,
    /// How many containers should run.
    #[serde(default = "one")]
    pub replicas: u32,
    /// What each of them may use.
    #[serde(default)]
    pub limits: Limits,
    /// What is said of them in Docker's own words.
    #[serde(default)]
    pub config: ContainerConfig,
    /// How it is found out whether they answer.
    #[serde(default)]
    pub health: HealthSettings,
    /// Whether the container is replaced when a registry tells of a newer image.
    #[serde(default)]
    pub auto_deploy: bool,
    /// Why it was stopped, if nobody has asked for that.
    #[serde(default)]
    pub given_up: Option<String>,
}

impl AppInstance {
    /// The first of its hostnames that is a name, rather than all names below a domain.
    pub(crate) fn first_hostname(&self) -> Option<&Hostname> {
        let mut sites = self.hostnames.iter();
        sites.find_map(|site| site.address.hostname())
    }
}

fn one() -> u32 {
    1
}

/// What is to be remembered while a release takes the place of another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Id of the deployment.
    pub deployment: String,
    /// Number of the wish for it.
    pub wish: u64,
    /// Number of the release that serves until the new one is ready.
    pub from: u64,
    /// Id of its record.
    pub from_release: Option<String>,
    /// What was wanted before.
    pub before: Wanted,
    /// The hostnames to have from the switch on, if they change as well.
    #[serde(default)]
    pub hostnames: Option<Vec<Site>>,
}

impl Rollout {
    /// Whether the instance is to run until the new release is ready, rather than to be started with it.
    pub(crate) fn is_of_running(&self) -> bool {
        matches!(self.before, Wanted::Running { .. })
    }
}

/// What should be the case.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Wanted {
    /// Containers run.
    #[serde(rename_all = "camelCase")]
    Running {
        /// The newest runs that were known when this was wished. Their ends are no crashes.
        #[serde(default, deserialize_with = "one_or_many")]
        past: Vec<Run>,
        /// Whether those runs are to be replaced by others.
        #[serde(default)]
        restart: bool,
    },
    /// No container runs; the last ones may be kept.
    Stopped {
        /// Kill at once instead of asking it to end.
        kill: bool,
    },
    /// Neither container nor record exists.
    Removed,
}

impl Wanted {
    /// Whether both want a container to run, or none.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// An instance had one container, and so at most one run, until there were replicas.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Run>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Runs {
        Many(Vec<Run>),
        One(Option<Run>),
    }
    Ok(match Runs::deserialize(deserializer)? {
        Runs::Many(runs) => runs,
        Runs::One(run) => run.into_iter().collect(),
    })
}

/// One run of a container's program, from a start to its end.
///
/// Which run is meant is told by the engine's own time of its start, and only by comparing for
/// equality: nothing depends on clocks that agree.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The container's id.
    pub container: String,
    /// When it was started.
    pub started_at: Timestamp,
}

/// What is the case, as the reconciler last saw it. Never stored: it can be observed again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// See [`Status`].
    pub status: Status,
    /// Whether it answers: as the worst of its replicas.
    pub health: Health,
    /// Number of the release that serves.
    pub release: u64,
    /// Its containers: those that serve by replica, then others that run.
    pub containers: Vec<ContainerView>,
    /// Full id of the first container.
    pub container_id: Option<String>,
    /// Content id (`sha256:…`) of the image that it was made from.
    pub image_id: Option<String>,
    /// The port on the host that leads to it, while it runs.
    pub port: Option<u16>,
    /// The newest runs of the containers that serve, whether they have ended or not.
    pub runs: Vec<Run>,
    /// Runs that the engine's events told to have ended, before a look has shown it.
    pub ended: Vec<Option<Run>>,
    /// The newest end that nobody asked for.
    pub exit: Option<Exit>,
    /// Number of the newest wish that has been carried out.
    pub carried_out: u64,
    /// Why the newest deployment failed, until one succeeds.
    pub deploy_error: Option<String>,
    /// Why a wish could not be carried out, for as long as it is being tried.
    pub failure: Option<Failure>,
    /// The container that keeps a release from taking the place of another.
    pub problem: Option<ReplicaProblem>,
    /// Whether anybody has looked since the launcher started.
    pub is_seen: bool,
    /// All containers as the newest look has shown them.
    pub(crate) glimpse: Vec<Glimpse>,
}

/// One container of an instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerView {
    /// The engine's id.
    pub id: String,
    /// Number of its release.
    pub release: u64,
    /// Which replica it is, from 0.
    pub replica: u32,
    /// What it is for.
    pub role: Role,
    /// Whether its program runs.
    pub status: Status,
    /// Whether that answers.
    pub health: Health,
    /// The port on the host that leads to it, while it runs.
    pub port: Option<u16>,
    /// Whether requests go to it.
    pub is_routed: bool,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// How often its replica's program was started again.
    pub restarts: u32,
    /// How it last ended.
    pub exit: Option<Exit>,
    /// Content id (`sha256:…`) of its image.
    pub image_id: String,
    /// Its newest run.
    pub run: Option<Run>,
}

impl ContainerView {
    /// Its program has ended.
    pub(crate) fn end(&mut self) {
        self.status = Status::Stopped;
        self.health = Health::None;
        self.port = None;
        self.is_routed = false;
    }
}

/// What a container is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// It is of the release that serves.
    Serving,
    /// It is of a release that is to take the place of that one.
    Coming,
    /// It still runs, and gets no new requests.
    Leaving,
}

impl Role {
    /// The word that callers see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Coming => "coming",
            Self::Leaving => "draining",
        }
    }
}

/// A container at a glance, to see whether anything has happened to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Glimpse {
    pub(crate) id: String,
    pub(crate) state: ContainerState,
    pub(crate) started_at: Option<Timestamp>,
}

/// How a program ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exit {
    /// Its exit code.
    pub code: i64,
    /// What that means, in words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Whether somebody wanted that.
    pub was_asked: bool,
    /// When it will be started again, if that is still wanted then.
    pub next_try_at: Option<Timestamp>,
    /// The last lines that it wrote, if it ends again and again.
    pub log: Vec<String>,
}

/// A wish that could not be carried out yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The wish's number.
    pub wish: u64,
    /// What went wrong, in words for the caller.
    pub message: String,
}

/// A container that keeps a release from taking the place of another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReplicaProblem {
    /// The container's id.
    pub container: String,
    /// What the newest probe of it said.
    pub answer: String,
}

/// Whether the engine runs the container, and what is being done where it does not.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Status {
    /// The image is being pulled.
    Pulling,
    /// The first container is being made.
    Creating,
    /// The engine runs the container.
    Running,
    /// It does not.
    #[default]
    Stopped,
    /// Its program ends again and again; it will be started again.
    Crashed,
    /// Container and record are being removed.
    Removing,
}

impl Status {
    /// The word that callers see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pulling => "pulling",
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Removing => "removing",
        }
    }
}

/// An instance as it stands: the record and what has been observed.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView {
    /// What is wanted.
    pub record: Arc<AppInstance>,
    /// What is the case.
    pub observed: Observed,
    /// Address on which the ports can be reached.
    pub host: String,
}

impl InstanceView {
    /// When a program will be started again that has ended.
    #[must_use]
    pub fn next_try_at(&self) -> Option<Timestamp> {
        let exit = self.observed.exit.as_ref()?;
        let is_wanted = matches!(self.record.wanted, Wanted::Running { .. });
        exit.next_try_at.filter(|_| is_wanted)
    }

    /// The containers of a replica, or of all: those that serve first. Those that are to take the place of
    /// others are not among them.
    ///
    /// # Errors
    /// [`Error::NoSuchReplica`].
    pub(crate) fn containers_of(
        &self,
        replica: Option<u32>,
    ) -> Result<impl Iterator<Item = &ContainerView>, Error> {
        let last = self.record.replicas.saturating_sub(1);
        if let Some(replica) = replica.filter(|replica| *replica > last) {
            return Err(Error::NoSuchReplica {
                instance: self.record.id.clone(),
                replica,
                last,
            });
        }
        let lines = self.observed.containers.iter();
        let lines = lines.filter(|line| line.role != Role::Coming);
        Ok(lines.filter(move |line| replica.is_none_or(|replica| line.replica == replica)))
    }
}
