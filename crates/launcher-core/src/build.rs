//! Builds, pulls and pushes of images, as they are told of while they go on and afterwards.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    ImageName,
    source::{self, SourceMapSupport},
    uploads::TakenUpload,
};

/// Work on an image. While it goes on only what [`BuildStatus`] it has is stored, and what led to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// Meteor document id, 17 characters.
    pub id: String,
    /// What is done.
    pub kind: BuildKind,
    /// The image that it is done to.
    pub image: ImageName,
    /// Where the image comes from, or goes to, without credentials.
    #[serde(default)]
    pub source: Option<String>,
    /// How far it is.
    pub status: BuildStatus,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its turn came.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended, in whatever way.
    #[serde(default)]
    pub finished_at: Option<Timestamp>,
    /// Bytes that were received (of a push: sent) so far.
    #[serde(default)]
    pub received_bytes: u64,
    /// Bytes that are to be received, if that is known.
    #[serde(default)]
    pub expected_bytes: Option<u64>,
    /// The step of the Dockerfile that is carried out.
    #[serde(default)]
    pub step: Option<BuildStep>,
    /// Layers of a pull or a push.
    #[serde(default)]
    pub layers: Option<LayerCount>,
    /// Why it failed, in words for the caller.
    #[serde(default)]
    pub error: Option<String>,
    /// The engine's content id (`sha256:…`) of what was made.
    #[serde(default)]
    pub image_id: Option<String>,
    /// The digest (`sha256:…`) that the registry of a pull or a push knows it by.
    #[serde(default)]
    pub digest: Option<String>,
}

/// What is done to an image.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BuildKind {
    /// It is built from an archive.
    Build,
    /// It is pulled from a registry.
    Pull,
    /// It is pushed to a registry.
    Push,
}

/// How far work on an image is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BuildStatus {
    /// It waits for its turn.
    Queued,
    /// The archive, or the layers of a pull, are being received.
    Downloading,
    /// The archive is read and made into a build context.
    Preparing,
    /// The engine builds.
    Building,
    /// Layers are sent to a registry.
    Uploading,
    /// It has ended well.
    Succeeded,
    /// It has failed; `error` says why.
    Failed,
    /// Somebody has cancelled it.
    Cancelled,
}

/// What is to be built, and how.
#[derive(Clone, Debug)]
pub struct BuildOrder {
    /// Where its archive comes from.
    pub source: BuildSource,
    /// Where a Meteor bundle's `source-map-support` comes from; as the launcher is configured
    /// without it.
    pub source_map_support: Option<SourceMapSupport>,
}

impl From<BuildSource> for BuildOrder {
    fn from(source: BuildSource) -> Self {
        Self {
            source,
            source_map_support: None,
        }
    }
}

/// Where the archive of a build comes from.
#[derive(Clone, Debug)]
pub enum BuildSource {
    /// It is downloaded.
    Url(Url),
    /// A caller has uploaded it. A build that succeeds uses it up.
    Upload(Arc<TakenUpload>),
}

impl BuildSource {
    /// What everyone may know of it.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::Url(url) => source::public_url(url),
            Self::Upload(upload) => format!("upload:{}", upload.id()),
        }
    }
}

/// A step of a Dockerfile.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BuildStep {
    /// Its number, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// The instruction.
    pub text: String,
}

/// Layers that are done, of all.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LayerCount {
    /// How many are done; those that were there already count as done.
    pub done: u32,
    /// How many are known of so far.
    pub of: u32,
}

/// What a build said, kept after its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildLog {
    /// The build's id.
    pub build: String,
    /// Its newest lines, oldest first.
    pub lines: Vec<LogLine>,
}

/// One line of a build's log.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its number, from 1. Numbers that are missing were left out or are no longer kept.
    pub number: u64,
    /// When it was said.
    pub at: Timestamp,
    /// The line without its end.
    pub text: String,
}

impl BuildKind {
    /// The word that callers see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Pull => "pull",
            Self::Push => "push",
        }
    }
}

impl BuildStatus {
    /// The word that callers see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Downloading => "downloading",
            Self::Preparing => "preparing",
            Self::Building => "building",
            Self::Uploading => "uploading",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it has ended, in whatever way.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}
