//! Images: what the engine has, and what is being made.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ImageName;

/// An image under one of its names. Stored is only what the engine cannot tell, and only of images
/// that somebody asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Meteor document id, 17 characters: the same for as long as the name is the same.
    pub id: String,
    /// The name it was first asked for by; of others, the engine's.
    pub name: ImageName,
    /// The engine's content id (`sha256:…`), once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// When the image was made, to the second; before it is there, when it was asked for.
    #[serde(default, skip_serializing)]
    pub created_at: Timestamp,
    /// Size in bytes, once it is there.
    #[serde(skip)]
    pub size_bytes: Option<u64>,
    /// How many app instances want an image of this name, or have a container that was made from
    /// what this name stands for.
    #[serde(skip)]
    pub in_use: usize,
    /// See [`ImageStatus`].
    #[serde(skip)]
    pub status: ImageStatus,
    /// Where its archive came from, without credentials, when it was built from one.
    #[serde(default)]
    pub source_url: Option<String>,
    /// `meteorRelease` of the bundle that it was built from.
    #[serde(skip)]
    pub meteor_release: Option<String>,
    /// The Node version that it was built on, when it was built from a bundle.
    #[serde(skip)]
    pub node_version: Option<String>,
    /// The digest (`sha256:…`) that registries know it by, if it was pulled or pushed by this name.
    #[serde(skip)]
    pub digest: Option<String>,
    /// When its build began, by the engine's clock; only while it is being built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_began: Option<Timestamp>,
    /// Layers that its build has made so far; only while it is being built.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// The container of the step that its build carried out last; only while it is being built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_container: Option<String>,
}

/// Whether an image can be used.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ImageStatus {
    /// It is being built.
    Building,
    /// It is being pulled.
    Pulling,
    /// The engine has it.
    #[default]
    Ready,
}

impl Image {
    /// An image that nobody has seen yet.
    #[must_use]
    pub(crate) fn new(id: String, name: ImageName) -> Self {
        Self {
            id,
            name,
            image_id: None,
            created_at: Timestamp::now(),
            size_bytes: None,
            in_use: 0,
            status: ImageStatus::Ready,
            source_url: None,
            meteor_release: None,
            node_version: None,
            digest: None,
            build_began: None,
            layers: Vec::new(),
            step_container: None,
        }
    }
}

impl ImageStatus {
    /// The word that callers see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Pulling => "pulling",
            Self::Ready => "ready",
        }
    }
}
