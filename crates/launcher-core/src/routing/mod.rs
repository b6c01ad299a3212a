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
pub use document::{Page, RouteDocument, UpstreamDocument, UpstreamState};

use crate::{ContainerView, InstanceView, Role, Status};

/// The routes of one instance. One that is being removed has none.
#[must_use]
pub fn routes(view: &InstanceView) -> Vec<RouteDocument> {
    let upstreams = upstreams(view);
    let serves = upstreams.iter().any(UpstreamDocument::is_serving);
    let page = (!serves).then(|| page(view));
    let progress = page.filter(|page| *page == Page::Starting);
    let progress = progress.and_then(|_| progress_of(view.observed.status));
    let sites = view.record.hostnames.iter();
    let route = |site: &crate::Site| RouteDocument {
        hostname: site.address.to_string(),
        instance_id: view.record.id.clone(),
        upstreams: upstreams.clone(),
        page,
        progress: progress.map(str::to_owned),
        options: site.options.clone(),
        is_default: false,
    };
    sites.map(route).collect()
}

/// Those that serve, then those that get no more requests. None while no visitor is to get through.
fn upstreams(view: &InstanceView) -> Vec<UpstreamDocument> {
    if view.record.maintenance {
        return Vec::new();
    }
    let lines = || view.observed.containers.iter();
    let serving = lines().filter(|line| line.is_routed);
    let serving = serving.filter_map(|line| upstream(view, line, UpstreamState::Serving));
    let serving: Vec<_> = serving.collect();
    if serving.is_empty() {
        return serving;
    }
    let leaves = |line: &&ContainerView| line.role == Role::Leaving && !line.is_routed;
    let draining = lines().filter(leaves);
    let draining = draining.filter_map(|line| upstream(view, line, UpstreamState::Draining));
    serving.into_iter().chain(draining).collect()
}

fn upstream(
    view: &InstanceView,
    line: &ContainerView,
    state: UpstreamState,
) -> Option<UpstreamDocument> {
    Some(UpstreamDocument {
        host: view.host.clone(),
        port: line.port?,
        state,
        release: line.release,
    })
}

fn page(view: &InstanceView) -> Page {
    if view.record.maintenance {
        return Page::Maintenance;
    }
    match view.observed.status {
        Status::Pulling | Status::Creating | Status::Running => Page::Starting,
        Status::Stopped => Page::Stopped,
        Status::Crashed => Page::Crashed,
        Status::Removing => Page::Removing,
    }
}

/// What visitors are told of a start: nothing that only its owner should know.
fn progress_of(status: Status) -> Option<&'static str> {
    match status {
        Status::Pulling => Some("Its image is being pulled."),
        Status::Creating => Some("Its container is being made."),
        Status::Running => Some("It has been started, and does not answer yet."),
        Status::Stopped | Status::Crashed | Status::Removing => None,
    }
}
