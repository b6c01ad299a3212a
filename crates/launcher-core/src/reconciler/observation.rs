//! From what the engine reports of an instance's containers to what is shown of it.

use super::plan;
use crate::{
    InstanceView, Observed, Status, Wanted,
    engine::{Container, ContainerState, Ended},
};

/// Enters a look at the instance's containers into its view. A look may be older than the event that
/// told of an end.
pub(crate) fn enter(view: &mut InstanceView, containers: &[Container]) {
    let container = plan::current(containers);
    let run = container.and_then(Container::run);
    let is_over = run.is_some() && run == view.observed.ended;
    let state = container.map(|c| match c.state {
        ContainerState::Running if is_over => ContainerState::Exited,
        state => state,
    });
    let running = container.filter(|_| state == Some(ContainerState::Running));
    let status = status(&view.record.wanted, state).unwrap_or(view.observed.status);
    view.observed = Observed {
        status,
        container_id: container.map(|c| c.id.clone()),
        image_id: container.map(|c| c.image_id.clone()),
        run,
        port: running.and_then(|c| c.host_port),
        ..view.observed.clone()
    };
}

/// Enters the end of a run into the view of its instance.
pub(crate) fn enter_end(view: &mut InstanceView, ended: &Ended) {
    let observed = &mut view.observed;
    let is_present = observed
        .run
        .as_ref()
        .is_some_and(|run| ended.can_be_of(run));
    if is_present && observed.status == Status::Running {
        observed.status = Status::Stopped;
        observed.port = None;
        observed.ended.clone_from(&observed.run);
    }
}

/// Whether a look tells something about an instance that is not known yet.
pub(crate) fn differs(view: &InstanceView, containers: &[Container]) -> bool {
    let mut seen = view.clone();
    enter(&mut seen, containers);
    containers.len() > 1 || seen != *view || view.observed.failure.is_some()
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
            image_id: String::new(),
            generation: 0,
            state: ContainerState::Running,
            started_at: Some(at(started)),
            finished_at: None,
            exit_code: None,
            host_port: Some(port),
            stop_signal: "SIGTERM".into(),
            created_at: at(1),
        }
    }

    fn ended(container: &str, second: i64) -> Ended {
        Ended {
            container: container.into(),
            at: at(second),
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
        enter_end(&mut view, &ended("c", 20));
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
        for (container, second) in [("other", 20), ("c", 9)] {
            enter_end(&mut view, &ended(container, second));
            assert_eq!(
                view.observed.status,
                Status::Running,
                "{container} {second}"
            );
        }
    }

    #[test]
    fn a_run_after_the_clock_was_set_back_is_another_run() {
        let mut view = view();
        enter(&mut view, &[running(10, 1)]);
        enter_end(&mut view, &ended("c", 20));
        enter(&mut view, &[running(5, 2)]);
        assert_eq!(
            (view.observed.status, view.observed.port),
            (Status::Running, Some(2))
        );
    }
}
