//! Compares everything that the engine has with everything that is known, from time to time and
//! whenever the event stream may have missed something.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{Shared, adoption, observation};

/// Longest time between two listings.
const EVERY: Duration = Duration::from_secs(15);
/// So many quick looks come between two thorough ones, for which every container is inspected. Only a
/// thorough one sees that a container was started again, should the event stream not have told.
const QUICK: u32 = 3;
/// Shortest time between two listings of images: a build or a pull tells of many events.
const IMAGES_PAUSE: Duration = Duration::from_millis(500);

/// Lists images for ever; at once when `due` is notified.
pub(crate) async fn list_images(shared: Arc<Shared>, due: Arc<Notify>) {
    loop {
        if let Err(error) = shared.images.refresh().await {
            tracing::debug!(%error, "the images cannot be listed");
        }
        sleep(IMAGES_PAUSE).await;
        drop(timeout(EVERY, due.notified()).await);
    }
}

/// Lists containers for ever; at once, and thoroughly, when `due` is notified.
pub(crate) async fn list_containers(shared: Arc<Shared>, due: Arc<Notify>) {
    let mut strangers = HashSet::new();
    let mut quick = 0;
    loop {
        if quick == QUICK || !glance(&shared).await {
            quick = 0;
            list(&shared, &mut strangers).await;
        }
        quick = match timeout(EVERY, due.notified()).await {
            Ok(()) => QUICK,
            Err(_) => quick + 1,
        };
    }
}

/// Wakes the workers of instances of which a listing shows something else than is known. Whether it
/// shows only containers of instances.
async fn glance(shared: &Shared) -> bool {
    let listed = match shared.engine.listed_containers(&shared.launcher_id).await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::debug!(%error, "the containers cannot be listed");
            return true;
        }
    };
    let mut by_instance = by_instance(listed, |container| &container.instance);
    for view in shared.instances.views() {
        let own = by_instance.remove(&view.record.id).unwrap_or_default();
        if observation::looks_different(&view, &own) {
            shared.instances.wake(&view.record.id);
        }
    }
    by_instance.is_empty()
}

/// Wakes the workers of instances that are not as they are known, and sees to containers that
/// belong to none.
async fn list(shared: &Shared, strangers: &mut HashSet<String>) {
    let containers = match shared.engine.containers(&shared.launcher_id, None).await {
        Ok(containers) => containers,
        Err(error) => {
            tracing::debug!(%error, "the containers cannot be listed");
            wake_unaware(shared);
            return;
        }
    };
    let mut by_instance = by_instance(containers, |container| &container.instance);
    for view in shared.instances.views() {
        let own = by_instance.remove(&view.record.id).unwrap_or_default();
        if observation::differs(&view, &own) {
            shared.instances.wake(&view.record.id);
        }
    }
    for (instance, containers) in by_instance {
        adoption::meet(shared, &instance, containers, strangers).await;
    }
}

/// Lets every worker find out, and tell, that the engine cannot be asked.
fn wake_unaware(shared: &Shared) {
    let views = shared.instances.views();
    for view in views.iter().filter(|view| view.observed.failure.is_none()) {
        shared.instances.wake(&view.record.id);
    }
}

/// Groups containers by the instance that they belong to.
pub(crate) fn by_instance<C>(
    containers: Vec<C>,
    instance: impl Fn(&C) -> &String,
) -> HashMap<String, Vec<C>> {
    let mut groups: HashMap<String, Vec<C>> = HashMap::new();
    for container in containers {
        let own = groups.entry(instance(&container).clone()).or_default();
        own.push(container);
    }
    groups
}
