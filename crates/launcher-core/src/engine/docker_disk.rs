//! What Docker has on its disk, and removing an image without anything that it was built on.

use std::{collections::BTreeMap, time::Duration};

use bollard::{
    Docker,
    models::ImageHistoryResponseItem,
    query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{EngineDisk, EngineError, ImageLayer, docker::bounded, docker_inspect};

/// How long the engine may take to list everything.
const LISTING: Duration = Duration::from_secs(60);
/// How long it may take to count: it walks through what containers have written.
const COUNTING: Duration = Duration::from_secs(5 * 60);
/// How long it may take to delete an image's data.
const REMOVAL: Duration = Duration::from_secs(5 * 60);
/// The layer of a step that changed no file.
const EMPTY: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// See [`super::Engine::ancestry`].
pub(super) async fn ancestry(
    docker: &Docker,
) -> Result<BTreeMap<String, Option<String>>, EngineError> {
    let options = ListImagesOptionsBuilder::default().all(true).build();
    let question = async { Ok(docker.list_images(Some(options)).await?) };
    let images = bounded(LISTING, "list images", question).await?;
    let parent = |id: String| Some(id).filter(|id| !id.is_empty());
    Ok(images
        .into_iter()
        .map(|image| (image.id, parent(image.parent_id)))
        .collect())
}

/// See [`super::Engine::image_layers`].
pub(super) async fn layers(docker: &Docker, id: &str) -> Result<Vec<ImageLayer>, EngineError> {
    let image = docker.inspect_image(id).await?;
    let history = docker.image_history(id).await?;
    let differences = image
        .root_fs
        .and_then(|root| root.layers)
        .unwrap_or_default();
    Ok(sized(&differences, &history))
}

/// See [`super::Engine::discard_image`].
pub(super) async fn discard(docker: &Docker, id: &str) -> Result<Vec<String>, EngineError> {
    // `bollard`'s own deadline is shorter.
    let docker = docker.clone().with_timeout(REMOVAL);
    let options = RemoveImageOptionsBuilder::default().noprune(true).build();
    let removal = async { Ok(docker.remove_image(id, Some(options), None).await?) };
    let gone = bounded(REMOVAL, "remove the image", removal).await?;
    Ok(gone.into_iter().filter_map(|item| item.deleted).collect())
}

/// See [`super::Engine::disk`].
pub(super) async fn usage(host: &str, version: &str) -> Result<EngineDisk, EngineError> {
    let path = format!("/v{version}/system/df");
    let answer = bounded(
        COUNTING,
        "count what is on its disk",
        docker_inspect::get(host, &path),
    )
    .await?;
    Ok(understood(&answer))
}

/// Engines before API 1.52 tell of each thing, later ones of each kind.
fn understood(answer: &Value) -> EngineDisk {
    let total = |kind: &str| answer[kind]["TotalSize"].as_u64();
    let sum = |list: &str, field: &str| {
        let things = answer[list].as_array().into_iter().flatten();
        things.filter_map(|thing| thing[field].as_u64()).sum()
    };
    let images = answer["LayersSize"].as_u64().or(total("ImageUsage"));
    EngineDisk {
        images_bytes: images.unwrap_or(0),
        containers_bytes: total("ContainerUsage").unwrap_or_else(|| sum("Containers", "SizeRw")),
        build_cache_bytes: total("BuildCacheUsage").unwrap_or_else(|| sum("BuildCache", "Size")),
    }
}

/// Layers by the differences that they make, the lowest first, and the steps of the image's history,
/// the newest first. Not every step makes a layer: those of some size do, and of the others most of
/// those that work on files. Where that does not come out even, a size may stand at a neighbour.
fn sized(differences: &[String], history: &[ImageHistoryResponseItem]) -> Vec<ImageLayer> {
    let all = sizes(history, |step| {
        step.size > 0 || works_on_files(&step.created_by)
    });
    let even = all.len() == differences.len();
    let some = sizes(history, |step| step.size > 0);
    let mut sizes = if even { all } else { some }.into_iter();
    let mut below = None;
    let layer = |difference: &String| {
        let id = chain_id(below.as_deref(), difference);
        below = Some(id.clone());
        let size_bytes = match difference.as_str() {
            EMPTY if !even => 0,
            _ => sizes.next().unwrap_or(0),
        };
        ImageLayer { id, size_bytes }
    };
    differences.iter().map(layer).collect()
}

fn sizes(
    history: &[ImageHistoryResponseItem],
    made_layer: impl Fn(&ImageHistoryResponseItem) -> bool,
) -> Vec<u64> {
    let steps = history.iter().rev().filter(|step| made_layer(step));
    steps
        .map(|step| u64::try_from(step.size).unwrap_or(0))
        .collect()
}

/// Whether a step that added nothing may have made a layer all the same: an empty file or directory.
fn works_on_files(step: &str) -> bool {
    match step.split_once("#(nop)") {
        Some((_, instruction)) => {
            let instruction = instruction.trim_start();
            ["COPY", "ADD", "WORKDIR"]
                .iter()
                .any(|word| instruction.starts_with(word))
        }
        None => ["RUN", "COPY", "ADD", "WORKDIR", "/bin/"]
            .iter()
            .any(|word| step.starts_with(word)),
    }
}

/// The OCI image specification's `ChainID`, by which the engine names layers.
fn chain_id(below: Option<&str>, difference: &str) -> String {
    let Some(below) = below else {
        return difference.to_owned();
    };
    let digest = Sha256::digest(format!("{below} {difference}"));
    format!("sha256:{}", hex::encode(digest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(created_by: &str, size: i64) -> ImageHistoryResponseItem {
        ImageHistoryResponseItem {
            created_by: created_by.into(),
            size,
            ..Default::default()
        }
    }

    #[test]
    fn layers_have_the_sizes_of_the_steps_that_made_them() {
        let history = [
            step("/bin/sh -c #(nop)  CMD [\"node\"]", 0),
            step("/bin/sh -c make", 30),
            step("/bin/sh -c mkdir /app", 0),
            step("/bin/sh -c true", 0),
            step("/bin/sh -c #(nop)  ENV A=1", 0),
            step("/bin/sh -c #(nop) ADD file:1 in / ", 10),
        ];
        let layers = sized(&["a".into(), "b".into(), "c".into(), "d".into()], &history);
        let sizes: Vec<u64> = layers.iter().map(|layer| layer.size_bytes).collect();
        assert_eq!(sizes, [10, 0, 0, 30]);
        assert_eq!(layers[0].id, "a");
        assert_eq!(layers[1].id, chain_id(Some("a"), "b"));
    }

    #[test]
    fn a_step_without_any_file_is_the_empty_layer() {
        let history = [
            step("RUN /bin/sh -c x # buildkit", 7),
            step("ADD rootfs / # buildkit", 9),
        ];
        let layers = sized(&["a".into(), EMPTY.into(), "b".into()], &history);
        let sizes: Vec<u64> = layers.iter().map(|layer| layer.size_bytes).collect();
        assert_eq!(sizes, [9, 0, 7]);
    }

    #[test]
    fn old_and_new_engines_tell_the_same() {
        let expected = EngineDisk {
            images_bytes: 10,
            containers_bytes: 5,
            build_cache_bytes: 3,
        };
        let old = json!({
            "LayersSize": 10, "Images": [], "Containers": [{"SizeRw": 2}, {"SizeRw": 3}, {}],
            "BuildCache": [{"Size": 3}]
        });
        let new = json!({
            "ImageUsage": {"TotalSize": 10}, "ContainerUsage": {"TotalSize": 5},
            "BuildCacheUsage": {"TotalSize": 3}
        });
        assert_eq!(understood(&old), expected);
        assert_eq!(understood(&new), expected);
        assert_eq!(
            understood(&json!({"BuildCache": null})).build_cache_bytes,
            0
        );
    }
}
