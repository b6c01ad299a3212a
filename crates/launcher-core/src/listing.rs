//! Compares everything that the engine has with everything that is known, from time to time and
//! whenever the event stream may have missed something.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::timeout};

use crate::{engine::Container, observation, worker::Shared};

/// Longest time between two listings.
const EVERY: Duration = Duration::from_secs(15);

/// Lists for ever; at once when `due` is notified.
pub(crate) async fn run(shared: Arc<Shared>, due: Arc<Notify>) {
    let mut strangers = HashSet::new();
    loop {
        if let Err(error) = shared.images.refresh().await {
            tracing::warn!(%error, "the images cannot be listed");
        }
        list(&shared, &mut strangers).await;
        drop(timeout(EVERY, due.notified()).await);
    }
}

/// Wakes the workers of instances that are not as they are known, and sees to containers that
/// belong to none.
async fn list(shared: &Shared, strangers: &mut HashSet<String>) {
    let containers = match shared.engine.containers(&shared.launcher_id, None).await {
        Ok(containers) => containers,
        Err(error) => {
            tracing::warn!(%error, "the containers cannot be listed");
            return;
        }
    };
    for view in shared.instances.views() {
        if observation::differs(&view, &containers) {
            shared.instances.wake(&view.record.id);
        }
    }
    for container in &containers {
        if shared.instances.view(&container.instance).is_err() {
            meet_stranger(shared, container, strangers).await;
        }
    }
}

/// A container of ours without a record: a leftover if its instance was removed; else its record was
/// lost, and it is left alone.
async fn meet_stranger(shared: &Shared, container: &Container, known: &mut HashSet<String>) {
    match shared.instances.was_removed(&container.instance).await {
        Ok(true) => match shared.engine.remove(&container.id).await {
            Ok(()) => tracing::info!(container = %container.id, "removed a leftover"),
            Err(error) => tracing::warn!(%error, "a leftover container stays"),
        },
        Ok(false) if known.insert(container.id.clone()) => {
            tracing::warn!(container = %container.id, instance = %container.instance,
                "a container of this launcher has no record; it is left alone");
        }
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "the store cannot be read"),
    }
}
