//! From what the engine reports of an instance's containers to what is shown of it.

use crate::{
    InstanceView, Observed, Status, Wanted,
    engine::{Container, ContainerState, Ended},
    plan,
};

/// Enters a look at the instance's containers into its view.
pub(crate) fn enter(view: &mut InstanceView, containers: &[Container]) {
    let ended = view.observed.ended.as_ref();
    let container = plan::current(containers);
    let state = container.map(|c| match c.state {
        ContainerState::Running if ended.is_some_and(|e| e.is_of(c)) => ContainerState::Exited,
        state => state,
    });
    let running = container.filter(|_| state == Some(ContainerState::Running));
    let status = status(&view.record.wanted, state).unwrap_or(view.observed.status);
    view.observed = Observed {
        status,
        container_id: container.map(|c| c.id.clone()),
        started_at: running.and_then(|c| c.started_at),
        port: running.and_then(|c| c.host_port),
        ..view.observed.clone()
    };
}

/// Enters the end of a run into the view of its instance.
pub(crate) fn enter_end(view: &mut InstanceView, ended: Ended) {
    let observed = &mut view.observed;
    let is_the_same = observed.container_id.as_ref() == Some(&ended.container);
    let is_present = observed.started_at.is_some_and(|start| start <= ended.at);
    if is_the_same && is_present && observed.status == Status::Running {
        observed.status = Status::Stopped;
        observed.started_at = None;
        observed.port = None;
    }
    observed.ended = Some(ended);
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
fn status(wanted: &Wanted, container: Option<ContainerState>) -> Option<Status> {
    match (wanted, container) {
        (Wanted::Removed, _) => Some(Status::Removing),
        (_, Some(ContainerState::Running)) => Some(Status::Running),
        (Wanted::Running { .. }, Some(ContainerState::Created)) => Some(Status::Creating),
        (Wanted::Running { .. }, None) => None,
        _ => Some(Status::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::store::contract::sample_instance;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn running(started: i64, port: u16) -> Container {
        Container {
            id: "c".into(),
            instance: "i".into(),
            state: ContainerState::Running,
            started_at: Some(at(started)),
            finished_at: None,
            host_port: Some(port),
            stop_signal: "SIGTERM".into(),
            created_at: at(1),
        }
    }

    fn view() -> InstanceView {
        InstanceView {
            record: sample_instance("i", 1).into(),
            observed: Observed::default(),
            host: "127.0.0.1".into(),
        }
    }

    #[test]
    fn a_look_that_is_older_than_the_end_does_not_bring_it_back() {
        let mut view = view();
        enter(&mut view, &[running(10, 1)]);
        assert_eq!(view.observed.status, Status::Running);
        enter_end(
            &mut view,
            Ended {
                container: "c".into(),
                at: at(20),
            },
        );
        assert_eq!(
            (view.observed.status, view.observed.port),
            (Status::Stopped, None)
        );
        enter(&mut view, &[running(10, 1)]);
        assert_eq!(
            (view.observed.status, view.observed.port),
            (Status::Stopped, None)
        );
        enter(&mut view, &[running(21, 2)]);
        assert_eq!(
            (view.observed.status, view.observed.port),
            (Status::Running, Some(2))
        );
    }

    #[test]
    fn the_end_of_an_earlier_run_is_no_news() {
        let mut view = view();
        enter(&mut view, &[running(10, 1)]);
        enter_end(
            &mut view,
            Ended {
                container: "other".into(),
                at: at(20),
            },
        );
        assert_eq!(view.observed.status, Status::Running);
    }
}
