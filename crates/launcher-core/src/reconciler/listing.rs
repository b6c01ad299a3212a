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
use crate::engine::Container;

/// Longest time between two listings.
const EVERY: Duration = Duration::from_secs(15);
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

/// Lists containers for ever; at once when `due` is notified.
pub(crate) async fn list_containers(shared: Arc<Shared>, due: Arc<Notify>) {
    let mut strangers = HashSet::new();
    loop {
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
            tracing::debug!(%error, "the containers cannot be listed");
            wake_unaware(shared);
            return;
        }
    };
    let mut by_instance = by_instance(containers);
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
pub(crate) fn by_instance(containers: Vec<Container>) -> HashMap<String, Vec<Container>> {
    let mut groups: HashMap<String, Vec<Container>> = HashMap::new();
    for container in containers {
        groups
            .entry(container.instance.clone())
            .or_default()
            .push(container);
    }
    groups
}
