//! Failures of the use cases.

use std::{sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    SiteAddress, engine::EngineError, source::SourceError, store::StoreError, uploads::UploadError,
};

/// Why a wish was refused or could not be carried out. Texts are fit for the caller: no secrets, no
/// paths of this machine.
#[derive(Debug, Error)]
pub enum Error {
    /// No instance has this id.
    #[error("No app instance has ID {0}")]
    NoSuchInstance(String),
    /// Another instance has this hostname.
    #[error(
        "\"{hostname}\" is already listed as a hostname for the app instance with ID {instance}"
    )]
    HostnameTaken {
        /// The hostname that was asked for.
        hostname: SiteAddress,
        /// The instance that has it.
        instance: String,
    },
    /// The instance has no such release, or it is not remembered any more.
    #[error("No release has ID {0}")]
    NoSuchRelease(String),
    /// An instance runs in at least one container, and in so many at most.
    #[error("an app instance has from 1 to {0} replicas")]
    TooManyReplicas(u32),
    /// The instance has fewer replicas.
    #[error(
        "The app instance with ID {instance} has no replica {replica}: they are numbered from 0 to {last}"
    )]
    NoSuchReplica {
        /// Its id.
        instance: String,
        /// What was asked for.
        replica: u32,
        /// The number of its last one.
        last: u32,
    },
    /// No host has this id.
    #[error("No host has ID {0}")]
    NoSuchHost(String),
    /// The host is not given new containers.
    #[error("the host is not active: it takes no new app instances and replicas (see host/set)")]
    HostInactive,
    /// The host may run only so many containers.
    #[error(
        "the host may run at most {max} containers (see host/set); {wanted} should run already, and \
         this would add {more}"
    )]
    HostFull {
        /// The most that it may run.
        max: u32,
        /// How many should run.
        wanted: u64,
        /// How many there were to be in addition.
        more: u32,
    },
    /// The app did not get ready.
    #[error("{reason}{}", ending(log))]
    NotReady {
        /// Why, in words.
        reason: String,
        /// What it wrote last.
        log: Vec<String>,
    },
    /// The instance does not have this hostname.
    #[error("The app instance with ID {instance} has no hostname \"{hostname}\"")]
    NoSuchHostname {
        /// The hostname that was named.
        hostname: SiteAddress,
        /// Id of the instance.
        instance: String,
    },
    /// An instance can have only so many hostnames.
    #[error("an app instance has at most {0} hostnames")]
    TooManyHostnames(usize),
    /// An image with a digest cannot be built, only pulled.
    #[error("an image name with a digest cannot be built; leave out the part from \"@\" on")]
    CannotBuildDigest,
    /// An image with a digest is what it is.
    #[error("an image is pushed by its name and tag; leave out the part from \"@\" on")]
    CannotPushDigest,
    /// The engine has no such image.
    #[error("No image has the name {0}")]
    NoSuchImage(String),
    /// No credentials are stored under this id or for this registry.
    #[error("No credentials are stored for a registry with this ID or host")]
    NoSuchRegistry,
    /// Credentials of only so many registries are kept.
    #[error("credentials of at most {0} registries are stored")]
    TooManyRegistries(usize),
    /// The registry refused the credentials that were to be stored.
    #[error("{0}")]
    CredentialsRefused(String),
    /// The engine refused, failed, or could not be reached.
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// A wish could not be carried out; the text says why.
    #[error("{0}")]
    NotCarriedOut(String),
    /// A wish was recorded but could not be carried out yet.
    #[error("{0}; the launcher keeps trying")]
    NotYet(String),
    /// Another caller wished something else before this was carried out.
    #[error("the app instance with ID {0} was asked to do something else before this was done")]
    Superseded(String),
    /// The wish is recorded but was not carried out in time.
    #[error("not done within {0:?}; the launcher keeps trying")]
    Deadline(Duration),
    /// No build has this id, or it is not remembered any more.
    #[error("No build has ID {0}")]
    NoSuchBuild(String),
    /// The build has ended already.
    #[error("The build with ID {0} is over")]
    BuildIsOver(String),
    /// Only so many builds can wait.
    #[error(
        "{0} builds, pulls and pushes are waiting or under way, which is the most that there may be; \
         try again when some are done"
    )]
    TooManyBuilds(usize),
    /// A build failed.
    #[error("building \"{image}\" failed: {reason} (build {build})")]
    Build {
        /// Name of the image.
        image: String,
        /// Id of the build.
        build: String,
        /// What failed, in words.
        reason: String,
    },
    /// Somebody cancelled a build.
    #[error("the build of \"{image}\" was cancelled (build {build})")]
    BuildCancelled {
        /// Name of the image.
        image: String,
        /// Id of the build.
        build: String,
    },
    /// No image has this id, or it is not on the engine any more.
    #[error("No image has ID {0}")]
    UnknownImage(String),
    /// Something needs the image.
    #[error("\"{image}\" is in use by {by}")]
    ImageInUse {
        /// Its name.
        image: String,
        /// What uses it.
        by: String,
    },
    /// The image is being made.
    #[error("\"{image}\" is being {what}; cancel that first (image/cancelBuild)")]
    ImageIsBusy {
        /// Its name.
        image: String,
        /// What is being done to it.
        what: &'static str,
    },
    /// The image can only be made again by somebody who has its archive.
    #[error(
        "\"{image}\" was built from an archive that is not kept ({source_url}): build it again"
    )]
    ArchiveNotKept {
        /// Its name.
        image: String,
        /// Where the archive came from, without credentials.
        source_url: String,
    },
    /// The state could not be written.
    #[error("the launcher's store cannot be written to")]
    Store(#[from] StoreError),
    /// No hook has this id.
    #[error("No hook has ID {0}")]
    NoSuchHook(String),
    /// There can be only so many hooks.
    #[error("there are {0} hooks, which is the most that there may be")]
    TooManyHooks(usize),
    /// Programs can be run only in containers that run.
    #[error("The app instance with ID {0} does not run")]
    DoesNotRun(String),
    /// One of the instance's containers, in which something was to be done, does not run.
    #[error("Replica {replica} of the app instance with ID {instance} does not run")]
    ReplicaDoesNotRun {
        /// The instance's id.
        instance: String,
        /// Which one.
        replica: u32,
    },
    /// There can be only so many terminals.
    #[error(
        "{0} terminals are open or about to be, which is the most that there may be; close some"
    )]
    TooManyTerminals(usize),
    /// An upload was refused, is not there, or cannot be used.
    #[error("{0}")]
    Upload(#[from] UploadError),
    /// The outcome of work that several callers waited for.
    #[error(transparent)]
    Shared(Arc<Error>),
    /// The launcher is going down.
    #[error("the launcher is shutting down")]
    ShuttingDown,
}

impl Error {
    /// Whether the caller asked for something that cannot be, as opposed to something that failed.
    #[must_use]
    pub fn is_callers(&self) -> bool {
        match self {
            Self::NoSuchInstance(_)
            | Self::HostnameTaken { .. }
            | Self::NoSuchHostname { .. }
            | Self::TooManyHostnames(_)
            | Self::NoSuchRelease(_)
            | Self::NoSuchReplica { .. }
            | Self::TooManyReplicas(_)
            | Self::NoSuchHost(_)
            | Self::HostInactive
            | Self::HostFull { .. }
            | Self::NoSuchBuild(_)
            | Self::BuildIsOver(_)
            | Self::TooManyBuilds(_)
            | Self::CannotPushDigest
            | Self::NoSuchImage(_)
            | Self::NoSuchRegistry
            | Self::TooManyRegistries(_)
            | Self::CredentialsRefused(_)
            | Self::NoSuchHook(_)
            | Self::TooManyHooks(_)
            | Self::DoesNotRun(_)
            | Self::ReplicaDoesNotRun { .. }
            | Self::TooManyTerminals(_)
            | Self::CannotBuildDigest
            | Self::UnknownImage(_)
            | Self::ImageInUse { .. }
            | Self::ImageIsBusy { .. }
            | Self::ArchiveNotKept { .. } => true,
            Self::Shared(error) => error.is_callers(),
            Self::Upload(error) => error.is_callers(),
            _ => false,
        }
    }
}

/// What can fail in a build.
#[derive(Debug, Error)]
pub(crate) enum BuildError {
    #[error("{0}")]
    Source(#[from] SourceError),
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// What failed in one sentence, and the end of what was printed.
    #[error("{sentence}{}", ending(output))]
    Failed {
        sentence: String,
        output: Vec<String>,
        /// Whether it was cut off, so that the engine may have made what it has not told of.
        cut_off: bool,
    },
    #[error("the base image {image} (see --node-image) cannot be pulled: {error}")]
    Base { image: String, error: EngineError },
    #[error("it was cancelled")]
    Cancelled,
    #[error("{0}")]
    Record(Box<Error>),
}

fn ending(output: &[String]) -> String {
    match output {
        [] => String::new(),
        lines => format!("; its output ended with:\n{}", lines.join("\n")),
    }
}

impl BuildError {
    /// What failed, in one sentence.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Failed { sentence, .. } => sentence.clone(),
            other => other.to_string(),
        }
    }

    /// Whether the engine may have made what it has not told of.
    pub(crate) fn cut_off(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Failed { cut_off: true, .. })
    }

    /// The image's record could not be written.
    pub(crate) fn record(error: Error) -> Self {
        Self::Record(Box::new(error))
    }
}
