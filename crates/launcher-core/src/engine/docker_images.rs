//! Docker's images: one as it is described, one listing of all, and removing one.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bollard::{
    Docker,
    models::{ContainerSummary, ImageInspect, ImageSummary},
    query_parameters::{
        ListContainersOptionsBuilder, ListImagesOptions, RemoveImageOptionsBuilder,
    },
};
use jiff::Timestamp;

use super::{
    EngineError, EngineImage, ImageUser, LABEL_INSTANCE, LABEL_OWNER, ListedImage,
    docker::{bounded, time},
    docker_containers::is_our_make,
};

/// How long the engine may take for a listing; it looks at the disk for it.
const LISTING: Duration = Duration::from_secs(30);
/// How long it may take to delete an image's data.
const REMOVAL: Duration = Duration::from_secs(5 * 60);
/// What Docker writes where an image has no name.
const NONE: &str = "<none>";

/// See [`super::Engine::images`].
pub(super) async fn list(docker: &Docker) -> Result<Vec<ListedImage>, EngineError> {
    let all = ListContainersOptionsBuilder::default().all(true).build();
    // One after the other: a container that is made in between is of an image that is listed, or of
    // one that the next listing shows.
    let images = async { Ok(docker.list_images(None::<ListImagesOptions>).await?) };
    let images = bounded(LISTING, "list images", images).await?;
    let containers = async { Ok(docker.list_containers(Some(all)).await?) };
    let containers = bounded(LISTING, "list containers", containers).await?;
    let mut users = by_image(containers);
    let listed = images.into_iter().map(|image| {
        let users = users.remove(&image.id).unwrap_or_default();
        listed_image(image, users)
    });
    Ok(listed.collect())
}

/// See [`super::Engine::remove_image`].
pub(super) async fn remove(docker: &Docker, reference: &str) -> Result<(), EngineError> {
    // `bollard`'s own deadline is shorter.
    let docker = docker.clone().with_timeout(REMOVAL);
    let options = RemoveImageOptionsBuilder::default().build();
    let removal = async {
        Ok(docker
            .remove_image(reference, Some(options), None)
            .await
            .map(drop)?)
    };
    bounded(REMOVAL, "remove the image", removal).await
}

/// An image as the engine describes it.
pub(super) fn engine_image(image: ImageInspect) -> EngineImage {
    let config = image.config.unwrap_or_default();
    let exposed = config.exposed_ports.unwrap_or_default();
    EngineImage {
        id: image.id.unwrap_or_default(),
        created_at: time(image.created.as_deref()),
        size_bytes: image.size.and_then(|s| u64::try_from(s).ok()).unwrap_or(0),
        exposed_ports: exposed.iter().filter_map(|port| tcp_port(port)).collect(),
        digests: image.repo_digests.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
    }
}

fn tcp_port(port: &str) -> Option<u16> {
    match port.split_once('/') {
        None => port.parse().ok(),
        Some((number, "tcp")) => number.parse().ok(),
        Some(_) => None,
    }
}

fn by_image(containers: Vec<ContainerSummary>) -> HashMap<String, Vec<ImageUser>> {
    let mut users: HashMap<String, Vec<ImageUser>> = HashMap::new();
    for mut container in containers {
        if let Some(image) = container.image_id.take() {
            users.entry(image).or_default().push(user(container));
        }
    }
    users
}

fn user(container: ContainerSummary) -> ImageUser {
    let ours = is_our_make(&container);
    let id = container.id.unwrap_or_default();
    let name = container.names.into_iter().flatten().next();
    let mut labels = container.labels.filter(|_| ours).unwrap_or_default();
    ImageUser {
        container: name.map_or(id, |name| name.trim_start_matches('/').to_owned()),
        owner: labels.remove(LABEL_OWNER),
        instance: labels.remove(LABEL_INSTANCE),
    }
}

fn listed_image(image: ImageSummary, users: Vec<ImageUser>) -> ListedImage {
    ListedImage {
        id: image.id,
        names: named(image.repo_tags),
        digests: named(image.repo_digests),
        created_at: Timestamp::from_second(image.created).ok(),
        size_bytes: u64::try_from(image.size).unwrap_or(0),
        labels: BTreeMap::from_iter(image.labels),
        users,
    }
}

fn named(references: Vec<String>) -> Vec<String> {
    let is_name = |reference: &String| !reference.contains(NONE);
    references.into_iter().filter(is_name).collect()
}
