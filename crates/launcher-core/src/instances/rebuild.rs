//! A new container for an instance; if it cannot be made or does not run, the old one goes on.

use futures_util::future::join_all;

use super::{Goal, Instances, LAUNCH, Wish, given_up, wishes::Before};
use crate::{
    Error, InstanceView, Wanted,
    engine::{Container, ContainerState},
};

/// A rebuild that went on when an earlier launcher ended.
pub(crate) struct Unfinished {
    id: String,
    goal: Goal,
    before: Before,
}

/// Gives an instance a new container, or leaves it as it was.
pub(crate) async fn rebuild(instances: &Instances, id: &str) -> Result<(), Error> {
    let (goal, before) = instances.wish_anew(id, Wish::Rebuild).await?;
    finish(instances, id, &goal, before).await
}

/// The rebuild of an instance that has these containers, if the launcher ended during it.
pub(crate) fn unfinished(view: &InstanceView, containers: &[Container]) -> Option<Unfinished> {
    let record = &view.record;
    let is_rebuild = record.generation == record.wish;
    let is_old = |c: &&Container| is_rebuild && c.generation < record.generation;
    let old = containers
        .iter()
        .filter(is_old)
        .max_by_key(|c| c.generation)?;
    let Wanted::Running { .. } = record.wanted else {
        return None;
    };
    let before = match old.state {
        ContainerState::Running => record.wanted.clone(),
        _ => Wanted::Stopped { kill: false },
    };
    Some(Unfinished {
        id: record.id.clone(),
        goal: Goal::Wish(record.wish, record.wanted.clone()),
        before: Before::new(record.wish, before, old.generation),
    })
}

/// Ends what was left unfinished as whoever asked for it would have: well, or given up.
pub(crate) async fn finish_all(instances: &Instances, left: Vec<Unfinished>) {
    let all = left.into_iter().map(|left| async move {
        match finish(instances, &left.id, &left.goal, left.before).await {
            Ok(()) => tracing::info!(instance = %left.id, "rebuilt"),
            Err(error) => tracing::warn!(instance = %left.id, %error, "not rebuilt"),
        }
    });
    join_all(all).await;
}

async fn finish(instances: &Instances, id: &str, goal: &Goal, before: Before) -> Result<(), Error> {
    // A pull may be part of it.
    let outcome = instances.reached(id, goal, LAUNCH).await;
    let error = match outcome {
        Err(error @ (Error::NotYet(_) | Error::Deadline(_))) => given_up(error),
        outcome => {
            instances.observe(id, |observed| observed.deploy_error = None);
            return outcome;
        }
    };
    instances.take_back(id, before).await?;
    let text = format!("{error}; the app instance goes on as it was");
    instances.observe(id, |observed| observed.deploy_error = Some(text.clone()));
    Err(Error::NotCarriedOut(text))
}
