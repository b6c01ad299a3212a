//! App instances and images: what should run, and making it so.
//!
//! Callers say what they want through [`Launcher`]; every wish is recorded durably in a [`store`]
//! before anything is done about it. The reconciler compares what is wanted with what the container
//! [`engine`] reports, asks the pure function [`plan::plan`] for the next step, and takes it. What it
//! sees on the way is told to an [`Observer`], synchronously and in order.
//!
//! This crate knows no DDP and no HTTP server. `bollard` is named only under `engine/`, `rusqlite`
//! only under `store/`.

pub mod app_instance;
pub mod audit;
mod budget;
pub mod build;
mod builds;
pub mod container_config;
mod deployments;
pub mod digest;
pub mod disk;
pub mod engine;
pub mod environment;
pub mod error;
#[cfg_attr(
    not(feature = "failpoints"),
    expect(unreachable_pub, reason = "only tests reach it from outside")
)]
mod failpoints;
pub mod health;
pub mod hooks;
pub mod hostname;
pub mod hosts;
pub mod ids;
pub mod image;
pub mod image_name;
mod images;
mod instances;
mod launcher;
pub mod limits;
pub mod logs;
pub mod observer;
mod reconciler;
pub mod registries;
pub mod releases;
pub mod rights;
pub mod routing;
pub mod site;
pub mod source;
pub mod stats;
pub mod store;
mod supervision;
pub mod terminals;
pub mod traffic;
pub mod uploads;

pub use app_instance::{
    AppInstance, ContainerView, Exit, InstanceView, MAX_REPLICAS, Observed, Role, Run, Status,
    Wanted,
};
pub use build::{
    Build, BuildKind, BuildLog, BuildOrder, BuildSettings, BuildSource, BuildStatus, BuildStep,
    LayerCount, LogLine,
};
pub use container_config::ContainerConfig;
pub use deployments::{Deployment, DeploymentStatus, DeploymentStep};
pub use disk::{Collection, DiskDocument, DiskSettings};
pub use environment::Environment;
pub use error::Error;
#[cfg(feature = "failpoints")]
pub use failpoints::Failpoint;
pub use hooks::{Hook, HookView};
pub use hostname::Hostname;
pub use hosts::{Host, HostChange, HostSettings};
pub use image::{Image, ImageStatus};
pub use image_name::ImageName;
pub use launcher::{
    DeployOptions, EnvironmentChange, Health, LaunchOptions, Launcher, Parts, Settings, Wait,
};
pub use limits::Limits;
pub use logs::AppLogLine;
pub use observer::{Change, Observer};
pub use reconciler::{Patience, plan};
pub use registries::{NewRegistry, Registry, RegistryHost, Secret};
pub use releases::{Difference, Release, ReleaseStatus};
pub use rights::Rights;
pub use site::{InvalidSiteAddress, Site, SiteAddress, SiteOptions};
pub use stats::{AppStats, MovedBytes, StatsHour, StatsMinute};
pub use traffic::{OpenConnections, Traffic};
