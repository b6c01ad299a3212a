//! Which hostname goes where: derived from the app instances, never stored.

mod board;
mod copy;
mod document;
mod redis;

pub use self::redis::{
    InvalidRedisUrl, Reachable, RedisFollower, RedisMirror, RedisServer, RouteTables,
};
pub use board::{RouteBoard, RouteChanges};
pub use copy::RouteCopy;
pub use document::{RouteDocument, UpstreamDocument, UpstreamState};

use crate::{ContainerView, Hostname, InstanceView, Role, Status};

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
    Unavailable(&'static str),
}

/// One server of an app.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Backend {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Number of the release that it runs.
    pub release: u64,
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
    let observed = &view.observed;
    let backend = |line: &ContainerView| {
        let host = view.host.clone();
        line.port.map(|port| Backend {
            host,
            port,
            release: line.release,
        })
    };
    let lines = || observed.containers.iter();
    let serving: Vec<_> = lines()
        .filter(|line| line.is_routed)
        .filter_map(backend)
        .collect();
    if serving.is_empty() {
        return Target::Unavailable(match observed.status {
            // Its program runs, but has not answered yet.
            Status::Running => "starting",
            status => status.as_str(),
        });
    }
    let leaves = |line: &&ContainerView| line.role == Role::Leaving && !line.is_routed;
    let draining = lines().filter(leaves).filter_map(backend).collect();
    Target::Backends { serving, draining }
}
