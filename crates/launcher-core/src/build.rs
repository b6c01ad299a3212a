//! Builds, pulls and pushes of images, as they are told of while they go on and afterwards.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    ImageName,
    engine::{BuildLimits, Machine},
    source::{self, SourceMapSupport},
    uploads::TakenUpload,
};

/// Least memory that a build gets unless somebody has decided otherwise: npm needs so much.
const MIN_MEMORY: u64 = 1 << 30;

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
    /// Its place among those that wait for their turn, from 1, while it waits.
    #[serde(skip)]
    pub place: Option<u32>,
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

/// How builds are carried out.
#[derive(Clone, Debug)]
pub struct BuildSettings {
    /// How many may go on at once, at least 1.
    pub at_once: usize,
    /// Memory of each step, in bytes; without it, half of what the engine has, and at least 1 GiB.
    pub memory_bytes: Option<u64>,
    /// Processors; without it, all that the engine has but one.
    pub cpus: Option<f64>,
    /// How long a build may take, without its download.
    pub time: Duration,
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

/// How far work on an image is, in the order in which it goes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
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

impl BuildOrder {
    /// Whether both make the same image as far as can be known; an upload is used only once.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let urls = (&self.source, &other.source);
        matches!(urls, (BuildSource::Url(url), BuildSource::Url(other)) if url == other)
            && self.source_map_support == other.source_map_support
    }
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

impl Default for BuildSettings {
    fn default() -> Self {
        Self {
            at_once: 1,
            memory_bytes: None,
            cpus: None,
            time: Duration::from_secs(60 * 60),
        }
    }
}

impl BuildSettings {
    /// What a build may use on an engine that has this.
    #[must_use]
    pub fn limits(&self, engine: Machine) -> BuildLimits {
        let half = (engine.memory_bytes / 2).max(MIN_MEMORY);
        let all_but_one = engine.cpus.saturating_sub(1).max(1);
        BuildLimits {
            memory_bytes: self.memory_bytes.unwrap_or(half),
            // The engine refuses more than it has.
            cpus: self.cpus.map_or(f64::from(all_but_one), |cpus| {
                cpus.min(f64::from(engine.cpus.max(1)))
            }),
            time: self.time,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_leave_memory_and_a_processor_to_the_apps() {
        let limits = |memory_bytes, cpus| {
            let limits = BuildSettings::default().limits(Machine {
                memory_bytes,
                cpus,
                time: Timestamp::UNIX_EPOCH,
            });
            (limits.memory_bytes, limits.cpus)
        };
        assert_eq!(limits(8 << 30, 4), (4 << 30, 3.0));
        assert_eq!(limits(1 << 30, 1), (1 << 30, 1.0));
        assert_eq!(limits(0, 0), (1 << 30, 1.0));
    }
}
