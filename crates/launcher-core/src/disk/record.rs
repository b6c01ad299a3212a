//! What is remembered durably: which images the launcher made, and which ones an instance ran.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::{Kind, Record};

/// An image, or a layer of one, that is on the engine because the launcher put it there. Nothing else
/// is ever removed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct MadeImage {
    /// The engine's content id (`sha256:…`).
    pub id: String,
    /// How it came to be there.
    pub how: Made,
    /// The names that the launcher gave it, in full (registry, repository and tag), oldest first.
    #[serde(default)]
    pub names: Vec<String>,
    /// When the launcher made it.
    pub made_at: Timestamp,
}

/// How an image came to be on the engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Made {
    /// The launcher built it.
    Built,
    /// The launcher pulled it, and it was not there before.
    Pulled,
    /// So it did, for builds of Meteor bundles to begin with.
    Base,
    /// It has no name: a step of a build, which later builds may go on from.
    Layer,
}

/// The images that an instance ran.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RunImages {
    /// The instance's id.
    pub instance: String,
    /// Ids of the images that its containers were made from, each once, newest first.
    pub images: Vec<String>,
}

impl Record for MadeImage {
    const KIND: Kind = Kind::MadeImage;

    fn id(&self) -> &str {
        &self.id
    }
}

impl Record for RunImages {
    const KIND: Kind = Kind::RunImages;

    fn id(&self) -> &str {
        &self.instance
    }
}
