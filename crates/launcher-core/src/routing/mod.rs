//! Which hostname goes where: derived from the app instances, never stored.

use crate::{Hostname, InstanceView, Status};

/// Where requests for a hostname go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// The hostname.
    pub hostname: Hostname,
    /// The instance that has it.
    pub instance: String,
    /// Where it leads.
    pub target: Target,
}

/// What is behind a hostname.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// An app that runs.
    Backend {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// An app that does not run; the word says why.
    Unavailable(Status),
}

/// The routes of one instance. One that is being removed has none.
#[must_use]
pub fn routes(view: &InstanceView) -> Vec<Route> {
    let target = target(view);
    let hostnames = view.record.hostnames.iter().cloned();
    hostnames
        .map(|hostname| Route {
            hostname,
            instance: view.record.id.clone(),
            target: target.clone(),
        })
        .collect()
}

fn target(view: &InstanceView) -> Target {
    match (view.observed.status, view.observed.port) {
        (Status::Running, Some(port)) => Target::Backend {
            host: view.host.clone(),
            port,
        },
        (Status::Running, None) => Target::Unavailable(Status::Creating),
        (status, _) => Target::Unavailable(status),
    }
}
