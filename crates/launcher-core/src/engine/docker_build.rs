//! Building images with Docker's classic builder, and leaving nothing behind when it fails.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker, body_try_stream,
    models::{BuildInfo, ImageSummary},
    query_parameters::{
        BuildImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
    },
};
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::{
    BuildOutput, BuildSpec, EngineError, LeftLayers,
    docker::{bounded, time},
    docker_login::{all_credentials, with_readable_credentials},
};

/// How long a build may go without output, and in all.
const SILENCE: Duration = Duration::from_secs(15 * 60);
const BUILD: Duration = Duration::from_secs(60 * 60);
/// How long cleaning up one layer may take.
const CLEANUP: Duration = Duration::from_secs(30);
/// Wait before a layer that a container uses is tried again.
const RETRY_REMOVAL: Duration = Duration::from_millis(250);
/// Longest text that is taken over from the engine into an error, in characters.
const MAX_REASON: usize = 2_000;

/// Builds and names an image. See [`super::Engine::build`].
pub(super) async fn build(docker: &Docker, build: BuildSpec) -> Result<(), EngineError> {
    // `bollard`'s own deadline covers the time until the engine begins to answer.
    let docker = with_readable_credentials(docker).with_timeout(BUILD);
    let credentials = all_credentials(&build.logins);
    let options = BuildImageOptionsBuilder::default()
        .t(&build.name)
        .rm(true)
        .forcerm(true)
        .build();
    let stream = docker.build_image(
        options,
        Some(credentials),
        Some(body_try_stream(build.context)),
    );
    let watched = watch(stream, &*build.output);
    match timeout(BUILD, watched).await {
        Ok(outcome) => outcome,
        Err(_) => Err(EngineError::Deadline("finish the build")),
    }
}

async fn watch(
    stream: impl Stream<Item = Result<BuildInfo, bollard::errors::Error>>,
    output: &(dyn Fn(BuildOutput<'_>) + Send + Sync),
) -> Result<(), EngineError> {
    let mut stream = std::pin::pin!(stream);
    loop {
        let next = timeout(SILENCE, stream.next()).await;
        let Some(info) = next.map_err(|_| EngineError::Deadline("go on with the build"))? else {
            return Ok(());
        };
        let info = info.map_err(|e| shortened(e.into()))?;
        if let Some(error) = info.error_detail {
            return Err(shortened(EngineError::Failed(
                error.message.unwrap_or_default(),
            )));
        }
        if let Some(text) = info.stream.or(info.status) {
            output(layer(&text).map_or(BuildOutput::Text(&text), BuildOutput::Layer));
        }
    }
}

/// The id in a line ` ---> 1a2b3c…`, by which the classic builder names each layer.
fn layer(text: &str) -> Option<&str> {
    let id = text.trim().strip_prefix("---> ")?;
    (id.len() == 12 && id.bytes().all(|c| c.is_ascii_hexdigit())).then_some(id)
}

/// See [`super::Engine::remove_layers`]. The ids come from the build's output, in which a program
/// that it runs may print whatever it likes: so each is looked at before it is removed.
pub(super) async fn remove_layers(docker: &Docker, left: &LeftLayers) {
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

fn shortened(error: EngineError) -> EngineError {
    match error {
        EngineError::Failed(text) => {
            EngineError::Failed(text.trim().chars().take(MAX_REASON).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_layer_lines_name_layers() {
        assert_eq!(layer(" ---> 0123456789ab\n"), Some("0123456789ab"));
        assert_eq!(layer(" ---> Running in 0123456789ab\n"), None);
        assert_eq!(layer(" ---> Using cache\n"), None);
        assert_eq!(layer("Step 1/2 : FROM a\n"), None);
    }
}
