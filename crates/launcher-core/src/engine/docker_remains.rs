//! Removing what a build has left behind that failed, or was cut off.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    models::{ContainerInspectResponse, ImageSummary},
    query_parameters::{
        InspectContainerOptions, ListImagesOptionsBuilder, RemoveContainerOptionsBuilder,
        RemoveImageOptionsBuilder,
    },
};
use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::{
    EngineError, LABEL_INSTANCE, LeftLayers,
    docker::{bounded, time},
};

/// How long cleaning up one layer may take.
const CLEANUP: Duration = Duration::from_secs(30);
/// Wait before a layer that a container uses is tried again, or a container is looked at again.
const RETRY_REMOVAL: Duration = Duration::from_millis(250);

/// See [`super::Engine::remove_layers`]. The ids come from the build's output, in which a program
/// that it runs may print whatever it likes: so each is looked at before it is removed.
pub(super) async fn remove_layers(docker: &Docker, left: &LeftLayers) {
    if let Some(container) = &left.container {
        end_step(docker, container, left.began).await;
    }
    if left.interrupted {
        for id in unreported(docker, left).await {
            remove_layer(docker, &id, left.began).await;
        }
    }
    for id in left.ids.iter().rev() {
        remove_layer(docker, id, left.began).await;
    }
}

async fn remove_layer(docker: &Docker, id: &str, began: Timestamp) {
    if !is_left_by_build(docker, id, began).await {
        return;
    }
    let removal = timeout(CLEANUP, remove_when_free(docker, id)).await;
    if let Ok(Err(error)) = removal {
        tracing::debug!(layer = %id, %error, "a layer of a failed build is in use");
    } else if removal.is_err() {
        tracing::warn!(layer = %id, "a layer of a failed build is still used by a container");
    }
}

/// The engine removes the container of a step that was cut off in its own time, and until then keeps
/// the layer that the container began with.
async fn remove_when_free(docker: &Docker, id: &str) -> Result<(), EngineError> {
    loop {
        let options = RemoveImageOptionsBuilder::default().noprune(true).build();
        match docker
            .remove_image(id, Some(options), None)
            .await
            .map_err(EngineError::from)
        {
            Err(EngineError::Conflict(text)) if text.contains("container") => {
                sleep(RETRY_REMOVAL).await;
            }
            removed => return removed.map(drop),
        }
    }
}

/// Nameless images that follow a layer of the build and were made since it began.
async fn unreported(docker: &Docker, left: &LeftLayers) -> Vec<String> {
    let filters = HashMap::from([("dangling", vec!["true"])]);
    let options = ListImagesOptionsBuilder::default()
        .filters(&filters)
        .build();
    let question = async { Ok(docker.list_images(Some(options)).await?) };
    let nameless = bounded(CLEANUP, "list images", question)
        .await
        .unwrap_or_default();
    let follows = |image: &ImageSummary| {
        let parent = image.parent_id.trim_start_matches("sha256:");
        left.ids
            .iter()
            .any(|id| !parent.is_empty() && parent.starts_with(id.as_str()))
    };
    let is_new = |image: &ImageSummary| image.created >= left.began.as_second();
    nameless
        .into_iter()
        .filter(|image| follows(image) && is_new(image))
        .map(|i| i.id)
        .collect()
}

async fn is_left_by_build(docker: &Docker, id: &str, began: Timestamp) -> bool {
    let question = async { Ok(docker.inspect_image(id).await?) };
    let Ok(image) = bounded(CLEANUP, "answer", question).await else {
        return false;
    };
    let named = |names: Option<Vec<String>>| names.is_some_and(|names| !names.is_empty());
    let made = time(image.created.as_deref());
    made.is_some_and(|made| made >= began) && !named(image.repo_tags) && !named(image.repo_digests)
}

/// The engine ends the step of a build that was cut off by itself; an engine that was restarted
/// meanwhile has forgotten it, and leaves its container.
async fn end_step(docker: &Docker, container: &str, began: Timestamp) {
    let ended = async {
        while let Some(found) = step_container(docker, container, began).await {
            let running = found.state.as_ref().and_then(|state| state.running);
            if running == Some(false) {
                let options = RemoveContainerOptionsBuilder::default().v(true).build();
                drop(docker.remove_container(container, Some(options)).await);
            }
            sleep(RETRY_REMOVAL).await;
        }
    };
    if timeout(CLEANUP, ended).await.is_err() {
        tracing::warn!(%container, "the step of a build that was cut off still runs");
    }
}

/// The container, if it can be that of a step: a program that a build runs may print any id.
async fn step_container(
    docker: &Docker,
    id: &str,
    began: Timestamp,
) -> Option<ContainerInspectResponse> {
    let question = docker.inspect_container(id, None::<InspectContainerOptions>);
    let found = question.await.ok()?;
    let made = time(found.created.as_deref())?;
    let config = found.config.as_ref()?;
    let by_id = config.image.as_ref()?.starts_with("sha256:");
    let labels = config.labels.as_ref();
    let is_app = labels.is_some_and(|labels| labels.contains_key(LABEL_INSTANCE));
    (made >= began && by_id && !is_app).then_some(found)
}
