//! Images that the launcher built, pulled or launched from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ImageName;

/// The record of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Meteor document id, 17 characters.
    pub id: String,
    /// The name it was first asked for by.
    pub name: ImageName,
    /// The engine's content id (`sha256:…`), once it is there.
    #[serde(default)]
    pub image_id: Option<String>,
    /// When the image was made, once it is there; before that, when it was asked for.
    pub created_at: Timestamp,
    /// Size in bytes, once it is there.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// See [`ImageStatus`].
    pub status: ImageStatus,
    /// Where its archive came from, without credentials, when it was built from one.
    #[serde(default)]
    pub source_url: Option<String>,
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
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ImageStatus {
    /// It is being built.
    Building,
    /// It is being pulled.
    Pulling,
    /// The engine has it.
    Ready,
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
