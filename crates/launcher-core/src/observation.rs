//! From what the engine reports of an instance's containers to what is shown of it.

use crate::{
    InstanceView, Observed, Status, Wanted,
    engine::{Container, ContainerState},
    plan,
};

/// Enters a look at the instance's containers into its view.
pub(crate) fn enter(view: &mut InstanceView, containers: &[Container]) {
    let container = plan::current(containers);
    let running = container.filter(|c| c.state == ContainerState::Running);
    let status = status(&view.record.wanted, container).unwrap_or(view.observed.status);
    view.observed = Observed {
        status,
        container_id: container.map(|c| c.id.clone()),
        port: running.and_then(|c| c.host_port),
        ..view.observed.clone()
    };
}

/// Whether a listing of everything tells something about an instance that is not known yet.
pub(crate) fn differs(view: &InstanceView, listing: &[Container]) -> bool {
    let own: Vec<Container> = listing
        .iter()
        .filter(|c| c.instance == view.record.id)
        .cloned()
        .collect();
    let mut seen = view.clone();
    enter(&mut seen, &own);
    own.len() > 1 || seen != *view || view.observed.failure.is_some()
}

/// The status that a container implies; `None` leaves what is shown: a first container is still
/// being made.
fn status(wanted: &Wanted, container: Option<&Container>) -> Option<Status> {
    match (wanted, container.map(|c| c.state)) {
        (Wanted::Removed, _) => Some(Status::Removing),
        (_, Some(ContainerState::Running)) => Some(Status::Running),
        (Wanted::Running { .. }, Some(ContainerState::Created)) => Some(Status::Creating),
        (Wanted::Running { .. }, None) => None,
        _ => Some(Status::Stopped),
    }
}
