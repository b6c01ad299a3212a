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
    Backends {
        /// Who gets requests. Without any, visitors are told that the app is starting.
        serving: Vec<Backend>,
        /// Who gets no more of them, and is left time to answer those it has.
        draining: Vec<Backend>,
    },
    /// An app that does not run; the word says why.
    Unavailable(Status),
}

/// One server of an app.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Backend {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
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
        (Status::Running, Some(port)) => Target::Backends {
            serving: vec![Backend {
                host: view.host.clone(),
                port,
            }],
            draining: Vec::new(),
        },
        (Status::Running, None) => Target::Unavailable(Status::Creating),
        (status, _) => Target::Unavailable(status),
    }
}
