//! Deployments: one release takes the place of another, step by step, for everyone to watch.

mod follow;
mod table;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::releases::Reason;

pub(crate) use follow::Deployer;
pub(crate) use table::Deployments;

/// How a release takes, or took, the place of another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// Meteor document id.
    pub id: String,
    /// The instance's id.
    pub instance: String,
    /// The release that is to run.
    pub release: String,
    /// The one that it takes the place of.
    pub from: Option<String>,
    /// Why.
    pub reason: Reason,
    /// How far it is.
    pub status: DeploymentStatus,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// When it succeeded or failed.
    #[serde(default)]
    pub finished_at: Option<Timestamp>,
    /// What has happened, oldest first.
    #[serde(default)]
    pub steps: Vec<DeploymentStep>,
    /// Why it failed, in words.
    #[serde(default)]
    pub error: Option<String>,
    /// What the newest probe of the container said that did not get ready.
    #[serde(default)]
    pub probe: Option<String>,
    /// The last lines that this container wrote, if it failed.
    #[serde(default)]
    pub log: Vec<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStep {
    /// When.
    pub at: Timestamp,
    /// How far the deployment was thereby.
    pub status: DeploymentStatus,
    /// What, in words.
    pub text: String,
}

/// How far a deployment is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeploymentStatus {
    /// It is recorded.
    Queued,
    /// The image is being pulled.
    Pulling,
    /// Containers are being made and started.
    Starting,
    /// The new containers run, but do not answer yet.
    Waiting,
    /// Requests go to the new containers; the old ones end.
    Draining,
    /// The old containers have ended.
    Succeeded,
    /// The new containers did not get ready; the old ones go on.
    Failed,
    /// Something else was wished before it was done.
    Superseded,
}

impl DeploymentStatus {
    /// The word that callers see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pulling => "pulling",
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Draining => "draining",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Superseded)
    }
}
