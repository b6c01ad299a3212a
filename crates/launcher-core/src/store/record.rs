//! What is stored: records of a few kinds, each a JSON document with an id.

use serde::{Serialize, de::DeserializeOwned};

use crate::{AppInstance, Build, BuildLog, Deployment, Image, Registry, Release};

/// A kind of record.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// What should run.
    Instance,
    /// What instances were made to run.
    Release,
    /// How releases took the place of others.
    Deployment,
    /// Images that are listed.
    Image,
    /// Builds, pulls and pushes.
    Build,
    /// What builds said.
    BuildLog,
    /// Registries that the launcher may log in to.
    Registry,
    /// Archives that callers upload.
    Upload,
    /// Addresses that registries tell of pushes.
    Hook,
    /// Settings that callers change.
    Setting,
    /// Images and layers that are on the engine because the launcher put them there.
    MadeImage,
    /// The images that instances ran.
    RunImages,
    /// What callers did.
    Audit,
}

impl Kind {
    /// Name of the table that they are in.
    #[must_use]
    pub fn table(self) -> &'static str {
        match self {
            Self::Instance => "instances",
            Self::Release => "releases",
            Self::Deployment => "deployments",
            Self::Image => "images",
            Self::Build => "builds",
            Self::BuildLog => "build_logs",
            Self::Registry => "registries",
            Self::Upload => "uploads",
            Self::Hook => "hooks",
            Self::Setting => "settings",
            Self::MadeImage => "made_images",
            Self::RunImages => "run_images",
            Self::Audit => "audit_log",
        }
    }
}

/// A type that is stored.
pub trait Record: Serialize + DeserializeOwned {
    /// Its kind, which no other type has.
    const KIND: Kind;

    /// Its id, unique among its kind.
    fn id(&self) -> &str;
}

impl Record for AppInstance {
    const KIND: Kind = Kind::Instance;

    fn id(&self) -> &str {
        &self.id
    }
}

impl Record for Release {
    const KIND: Kind = Kind::Release;

    fn id(&self) -> &str {
        &self.id
    }
}

impl Record for Deployment {
    const KIND: Kind = Kind::Deployment;

    fn id(&self) -> &str {
        &self.id
    }
}

impl Record for Image {
    const KIND: Kind = Kind::Image;

    fn id(&self) -> &str {
        &self.id
    }
}

impl Record for Build {
    const KIND: Kind = Kind::Build;

    fn id(&self) -> &str {
        &self.id
    }
}

impl Record for BuildLog {
    const KIND: Kind = Kind::BuildLog;

    fn id(&self) -> &str {
        &self.build
    }
}

impl Record for Registry {
    const KIND: Kind = Kind::Registry;

    fn id(&self) -> &str {
        &self.id
    }
}
