//! From what the engine reports of an instance's containers to what is shown of it.

use std::time::Instant;

use super::plan::{self, Memory, Policy, Seen, Service, Situation};
use super::worker::Exits;
use crate::{
    InstanceView, Status, Wanted,
    app_instance::{ContainerView, Exit, Glimpse, Role, Rollout},
    engine::{Container, ContainerState, Ended, ListedContainer},
    health::Health,
};

/// What a look has shown.
pub(crate) struct Picture<'a> {
    pub(crate) service: Service<'a>,
    pub(crate) all: &'a [Seen],
    pub(crate) memory: &'a Memory,
    pub(crate) exits: &'a Exits,
}

/// Enters a look at the instance's containers into its view. A look may be older than the event that
/// told of an end.
pub(crate) fn enter(view: &mut InstanceView, picture: &Picture<'_>) {
    let service = &picture.service;
    let roles = [
        (Role::Serving, &service.replicas),
        (Role::Coming, &service.coming),
        (Role::Leaving, &service.leaving),
    ];
    let mut lines: Vec<ContainerView> = Vec::new();
    for (role, seen) in roles
        .into_iter()
        .flat_map(|(role, all)| all.iter().map(move |s| (role, *s)))
    {
        match lines.iter_mut().find(|line| line.id == seen.container.id) {
            // It is of the release that serves, and on its way out.
            Some(line) => line.role = role,
            None => lines.push(line(seen, role, picture)),
        }
    }
    let ended = &view.observed.ended;
    // Where the look shows the end as well, it tells more of it.
    let is_older = |line: &&mut ContainerView| {
        line.status == Status::Running && line.run.is_some() && ended.contains(&line.run)
    };
    for line in lines.iter_mut().filter(is_older) {
        line.end();
    }
    let observed = &mut view.observed;
    observed
        .ended
        .retain(|run| lines.iter().any(|line| line.run == *run));
    observed.release = service.release;
    observed.containers = lines;
    observed.is_seen = true;
    observed.glimpse = picture
        .all
        .iter()
        .map(|seen| glimpse(&seen.container))
        .collect();
    summarize(view);
}

/// Enters the containers of an instance before anybody has asked whether they answer: those that run
/// are taken to serve as they did.
pub(crate) fn enter_first(view: &mut InstanceView, containers: Vec<Container>) {
    let now = Instant::now();
    let seen: Vec<Seen> = containers
        .into_iter()
        .map(|container| Seen {
            health: match container.state {
                ContainerState::Running => Health::Starting,
                _ => Health::None,
            },
            since: now,
            inherited: container.state == ContainerState::Running,
            is_busy: false,
            container,
        })
        .collect();
    let record = std::sync::Arc::clone(&view.record);
    let (policy, memory, exits) = (Policy::default(), Memory::default(), Exits::default());
    let situation = Situation {
        wanted: &record.wanted,
        release: record.generation,
        replaces: record.rollout.as_ref().map(|rollout| rollout.from),
        replaced_runs: record.rollout.as_ref().is_some_and(Rollout::is_of_running),
        replicas: record.replicas,
        containers: &seen,
        has_image: true,
        policy: &policy,
        memory: &memory,
        now,
    };
    let service = plan::service(&situation);
    enter(
        view,
        &Picture {
            service,
            all: &seen,
            memory: &memory,
            exits: &exits,
        },
    );
}

/// Enters the end of a run into the view of its instance.
pub(crate) fn enter_end(view: &mut InstanceView, ended: &Ended) {
    let lines = &mut view.observed.containers;
    let is_it = |line: &&mut ContainerView| {
        let was_run = line.run.as_ref().is_some_and(|run| ended.can_be_of(run));
        was_run && line.status == Status::Running
    };
    if let Some(line) = lines.iter_mut().find(is_it) {
        line.end();
        let run = line.run.clone();
        view.observed.ended.push(run);
        summarize(view);
    }
}

/// Whether a listing tells something about an instance that is not known yet.
pub(crate) fn differs(view: &InstanceView, containers: &[Container]) -> bool {
    let known = &view.observed.glimpse;
    let listed: Vec<Glimpse> = containers.iter().map(glimpse).collect();
    let is_same = known.len() == listed.len() && listed.iter().all(|one| known.contains(one));
    !is_same || view.observed.failure.is_some() || !view.observed.ended.is_empty()
}

/// The same of a listing that tells less.
pub(crate) fn looks_different(view: &InstanceView, containers: &[ListedContainer]) -> bool {
    let known = &view.observed.glimpse;
    let is_known = |one: &ListedContainer| {
        let is_it = |known: &Glimpse| known.id == one.id && known.state == one.state;
        known.iter().any(is_it)
    };
    let is_same = known.len() == containers.len() && containers.iter().all(is_known);
    !is_same || view.observed.failure.is_some() || !view.observed.ended.is_empty()
}

fn glimpse(container: &Container) -> Glimpse {
    Glimpse {
        id: container.id.clone(),
        state: container.state,
        started_at: container.started_at,
    }
}

fn line(seen: &Seen, role: Role, picture: &Picture<'_>) -> ContainerView {
    let container = &seen.container;
    let runs = seen.is_running();
    let is_routed = picture
        .service
        .routed
        .iter()
        .any(|routed| routed.id() == seen.id());
    let crashes = picture.memory.crashes_of(container);
    let is_loop = crashes.is_some_and(|crashes| crashes.is_loop);
    ContainerView {
        id: container.id.clone(),
        release: container.generation,
        replica: container.replica,
        role,
        status: match container.state {
            ContainerState::Running => Status::Running,
            ContainerState::Created => Status::Creating,
            ContainerState::Removing => Status::Removing,
            ContainerState::Exited if is_loop => Status::Crashed,
            ContainerState::Exited => Status::Stopped,
        },
        health: if runs { seen.health } else { Health::None },
        port: container.host_port.filter(|_| runs),
        is_routed,
        started_at: container.started_at,
        restarts: crashes.map_or(0, |crashes| crashes.total_restarts),
        exit: picture
            .exits
            .of(container)
            .filter(|_| !runs || is_loop)
            .cloned(),
        image_id: container.image_id.clone(),
        run: container.run(),
    }
}

/// What follows for the instance from its containers.
fn summarize(view: &mut InstanceView) {
    let wanted = view.record.wanted.clone();
    let observed = &mut view.observed;
    let serving = || {
        observed
            .containers
            .iter()
            .filter(|line| line.role != Role::Coming)
    };
    let first = serving()
        .find(|line| line.role == Role::Serving)
        .or_else(|| serving().next());
    let runs = serving().any(|line| line.status == Status::Running);
    let worst =
        serving().filter(|line| line.status == Status::Running && line.role == Role::Serving);
    let health = worst
        .map(|line| line.health)
        .max_by_key(|health| severity(*health));
    let exits = observed.containers.iter().filter_map(unasked_exit);
    let exit = exits.max_by_key(|exit| exit.at);
    let is_loop = serving().any(|line| line.status == Status::Crashed);
    let status = match (&wanted, first) {
        (Wanted::Removed, _) => Status::Removing,
        _ if runs => Status::Running,
        (Wanted::Running { .. }, _) if is_loop => Status::Crashed,
        (Wanted::Running { .. }, Some(line)) if line.status == Status::Creating => Status::Creating,
        (Wanted::Running { .. }, None) if observed.status != Status::Running => observed.status,
        _ => Status::Stopped,
    };
    let (container_id, image_id) = first
        .map(|line| (line.id.clone(), line.image_id.clone()))
        .unzip();
    let port = first.and_then(|line| line.port);
    let runs_of = serving().filter_map(|line| line.run.clone()).collect();
    observed.status = status;
    observed.health = health.unwrap_or_default();
    observed.container_id = container_id;
    observed.image_id = image_id;
    observed.port = port;
    observed.runs = runs_of;
    observed.exit = exit;
}

/// How its program last ended, if nobody wanted that.
fn unasked_exit(line: &ContainerView) -> Option<Exit> {
    let exit = line.exit.as_ref().filter(|exit| !exit.was_asked)?;
    let mut exit = exit.clone();
    exit.next_try_at = exit.next_try_at.filter(|_| line.status != Status::Running);
    Some(exit)
}

fn severity(health: Health) -> u8 {
    match health {
        Health::None => 0,
        Health::Healthy => 1,
        Health::Starting => 2,
        Health::Unhealthy => 3,
    }
}
