//! What a launcher finds when it starts.

use std::{collections::HashSet, time::Duration};

use tokio::time::timeout;

use crate::{
    hosts::{Hosts, LOCAL},
    reconciler::{Shared, by_instance, meet},
};

/// How long the engine may keep the launcher from starting with a true picture.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Observers should hear the truth from the first moment on, if the engine can tell it soon.
pub(super) async fn first_look(shared: &Shared, hosts: &Hosts) {
    let look_at_host = timeout(FIRST_LOOK, hosts.refresh(LOCAL));
    // That the engine does not answer is said by the others.
    let (_, (), ()) = tokio::join!(
        look_at_host,
        look_at_containers(shared),
        look_at_images(shared)
    );
}

async fn look_at_images(shared: &Shared) {
    match timeout(FIRST_LOOK, shared.images.refresh()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the images cannot be listed yet"),
        Err(_) => tracing::warn!("the images are not listed yet"),
    }
}

async fn look_at_containers(shared: &Shared) {
    let look = shared.engine.containers(&shared.launcher_id, None);
    match timeout(FIRST_LOOK, look).await {
        Ok(Ok(containers)) => {
            let mut by_instance = by_instance(containers, |container| &container.instance);
            for view in shared.instances.views() {
                let id = &view.record.id;
                let containers = by_instance.remove(id).unwrap_or_default();
                shared.instances.see_first(id, containers);
            }
            for (instance, containers) in by_instance {
                meet(shared, &instance, containers, &mut HashSet::new()).await;
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "the Docker engine cannot be asked yet"),
        Err(_) => tracing::warn!("the Docker engine does not answer yet"),
    }
}
