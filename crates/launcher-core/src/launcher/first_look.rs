//! What a launcher finds when it starts.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    instances::{Unfinished, unfinished},
    reconciler::{Shared, by_instance},
};

/// How long the engine may keep the launcher from starting with a true picture.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Observers should hear the truth from the first moment on, if the engine can tell it soon. Returns
/// the rebuilds that an earlier launcher has left.
pub(super) async fn first_look(shared: &Shared) -> Vec<Unfinished> {
    tokio::join!(look_at_containers(shared), look_at_images(shared)).0
}

async fn look_at_images(shared: &Shared) {
    match timeout(FIRST_LOOK, shared.images.refresh()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the images cannot be listed yet"),
        Err(_) => tracing::warn!("the images are not listed yet"),
    }
}

async fn look_at_containers(shared: &Shared) -> Vec<Unfinished> {
    let mut left = Vec::new();
    let look = shared.engine.containers(&shared.launcher_id, None);
    match timeout(FIRST_LOOK, look).await {
        Ok(Ok(containers)) => {
            let mut by_instance = by_instance(containers);
            for view in shared.instances.views() {
                let id = &view.record.id;
                let containers = by_instance.remove(id).unwrap_or_default();
                left.extend(unfinished(&view, &containers));
                shared.instances.see(id, &containers);
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "the Docker engine cannot be asked yet"),
        Err(_) => tracing::warn!("the Docker engine does not answer yet"),
    }
    left
}
