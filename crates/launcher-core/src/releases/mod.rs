//! Releases: everything that an instance was made to run, one after the other, so that it can go back
//! to any of them.

mod diff;
mod table;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    AppInstance, ContainerConfig, Environment, ImageName, Limits, Site, health::HealthSettings,
};

pub use diff::{Difference, diff};
pub(crate) use table::Releases;

/// What an instance runs. Never changed, but for what becomes known later: the exact image, and the
/// hostnames that it had when another took its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Meteor document id.
    pub id: String,
    /// The instance's id.
    pub instance: String,
    /// Grows with each release of the instance. Its containers carry it.
    pub number: u64,
    /// What runs.
    pub content: Content,
    /// When it was wished.
    pub created_at: Timestamp,
    /// Why there is this release.
    pub reason: Reason,
    /// What has become of it.
    pub status: ReleaseStatus,
}

/// What makes a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// The image's name.
    pub image: ImageName,
    /// Content id (`sha256:…`) of the image, once it is known.
    #[serde(default)]
    pub image_id: Option<String>,
    /// Under which the image can be pulled again, if a registry knows it (`repository@sha256:…`).
    #[serde(default)]
    pub digest: Option<String>,
    /// The app's variables, secrets included.
    pub env: Environment,
    /// Its hostnames, with their options.
    pub hostnames: Vec<Site>,
    /// What its containers may use.
    #[serde(default)]
    pub limits: Limits,
    /// What is said of them in Docker's own words.
    #[serde(default)]
    pub config: ContainerConfig,
    /// How it is found out whether it answers.
    #[serde(default)]
    pub health: HealthSettings,
}

impl Content {
    /// What an instance is to run now.
    pub(crate) fn of(record: &AppInstance) -> Self {
        Self {
            image: record.image.clone(),
            image_id: record.image_id.clone(),
            digest: None,
            env: record.env.clone(),
            hostnames: record.hostnames.clone(),
            limits: record.limits.clone(),
            config: record.config.clone(),
            health: record.health.clone(),
        }
    }

    /// Makes an instance run this. Its hostnames stay.
    pub(crate) fn enter(&self, record: &mut AppInstance) {
        record.image = self.image.clone();
        record.image_id.clone_from(&self.image_id);
        record.env.clone_from(&self.env);
        record.limits = self.limits.clone();
        record.config = self.config.clone();
        record.health = self.health.clone();
    }
}

/// What has become of a release.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReleaseStatus {
    /// It is on its way.
    Pending,
    /// It is the one that the instance runs.
    Current,
    /// Another one has taken its place.
    Superseded,
    /// It did not get ready.
    Failed,
}

impl ReleaseStatus {
    /// The word that callers see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Current => "current",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
        }
    }
}

/// Why there is a release.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The instance was launched.
    Launch,
    /// Another image, or other settings.
    Deploy,
    /// A new container of the newest image of the same name.
    Rebuild,
    /// A registry has told of a newer image.
    AutoDeploy,
    /// Other variables.
    Environment,
    /// Another `ROOT_URL`.
    RootUrl,
    /// Back to an earlier release.
    Rollback,
}

impl Reason {
    /// The word that callers see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Deploy => "deploy",
            Self::Rebuild => "rebuild",
            Self::AutoDeploy => "autoDeploy",
            Self::Environment => "environment",
            Self::RootUrl => "rootUrl",
            Self::Rollback => "rollback",
        }
    }
}
