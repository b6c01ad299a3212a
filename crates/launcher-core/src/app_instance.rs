//! App instances: what is wanted of one, and what has been observed.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Environment, Hostname, ImageName};

/// The record of an app instance: what a caller wants. It is written before a container is made and
/// deleted after the container is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppInstance {
    /// Meteor document id, 17 characters.
    pub id: String,
    /// The image to run.
    pub image: ImageName,
    /// The variables that it was launched with, secrets included.
    pub env: Environment,
    /// Hostnames that are routed to it. No other instance has any of them.
    #[serde(default)]
    pub hostnames: Vec<Hostname>,
    /// Address to publish and route to, where it is not the one that ports are bound to.
    #[serde(default)]
    pub host: Option<String>,
    /// When it was launched.
    pub created_at: Timestamp,
    /// The newest wish.
    pub wanted: Wanted,
    /// Number of the newest wish; grows by one with each.
    pub wish: u64,
    /// Number of the newest wish for a new container. Containers that were made for an earlier one
    /// are to be replaced. 0: there was none.
    #[serde(default)]
    pub generation: u64,
    /// Whether the container is replaced when a registry tells of a newer image.
    #[serde(default)]
    pub auto_deploy: bool,
}

/// What should be the case.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Wanted {
    /// A container runs.
    #[serde(rename_all = "camelCase")]
    Running {
        /// The newest run that was known when this was wished. Its end is no crash.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        past: Option<Run>,
        /// Whether that run is to be replaced by another one.
        #[serde(default)]
        restart: bool,
    },
    /// No container runs; the last one may be kept.
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

/// One run of a container's program, from a start to its end.
///
/// Which run is meant is told by the engine's own time of its start, and only by comparing for
/// equality: nothing depends on clocks that agree.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
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
    /// The container's full id.
    pub container_id: Option<String>,
    /// Content id (`sha256:…`) of the image that the container was made from.
    pub image_id: Option<String>,
    /// Its newest run, whether that has ended or not.
    pub run: Option<Run>,
    /// The port on the host that leads to the app, while the container runs.
    pub port: Option<u16>,
    /// The run that the engine's events told last to have ended.
    pub ended: Option<Run>,
    /// Number of the newest wish that has been carried out.
    pub carried_out: u64,
    /// Why the newest attempt to replace the container failed, until one succeeds.
    pub deploy_error: Option<String>,
    /// Why a wish could not be carried out, for as long as it is being tried.
    pub failure: Option<Failure>,
}

/// A wish that could not be carried out yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The wish's number.
    pub wish: u64,
    /// What went wrong, in words for the caller.
    pub message: String,
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
    /// Address on which the port can be reached.
    pub host: String,
}
