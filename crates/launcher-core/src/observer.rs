//! Telling of every change, to whoever shows it or acts on it.

use crate::{
    AppStats, Build, Deployment, DiskDocument, HookView, Host, Image, InstanceView, LogLine,
    Registry, Release, StatsHour, audit::AuditEntry,
};

/// Hears of every change, in order, before the call that made it returns.
pub trait Observer: Send + Sync + 'static {
    /// Something changed. Must not block.
    fn changed(&self, change: Change<'_>);
}

/// What changed, by its id, and how it is now; `None`: it is gone.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// An app instance.
    Instance(&'a str, Option<&'a InstanceView>),
    /// A release of an instance.
    Release(&'a str, Option<&'a Release>),
    /// A deployment of a release.
    Deployment(&'a str, Option<&'a Deployment>),
    /// An image.
    Image(&'a str, Option<&'a Image>),
    /// A build, pull or push; `None`: it is not remembered any more.
    Build(&'a str, Option<&'a Build>),
    /// A build that goes on has said this. It is heard before the status that follows.
    Log(&'a str, &'a [LogLine]),
    /// What a container of an instance uses, while somebody watches.
    Stats(&'a str, Option<&'a AppStats>),
    /// What an instance used in the minutes of an hour, while somebody watches.
    StatsHour(&'a str, Option<&'a StatsHour>),
    /// A webhook.
    Hook(&'a str, Option<&'a HookView>),
    /// Credentials of a registry.
    Registry(&'a str, Option<&'a Registry>),
    /// An entry of the audit log; `None`: it is not kept any more.
    Audit(&'a str, Option<&'a AuditEntry>),
    /// A machine that runs containers.
    Host(&'a str, Option<&'a Host>),
    /// What is known of the disk, or of an image on it.
    Disk(&'a str, Option<&'a DiskDocument>),
}
