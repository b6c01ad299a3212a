//! What the engine tells of an image, and how that is entered into its document.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use url::Url;

use crate::{
    Image, ImageName, ImageStatus,
    engine::{EngineImage, LABEL_METEOR_RELEASE, LABEL_NODE_VERSION, LABEL_SOURCE, ListedImage},
};

/// Longest label that is published, in characters: whoever made an image could write anything.
const MAX_LABEL: usize = 200;
/// Longest address, in bytes.
const MAX_URL: usize = 4_096;

/// What is known of an image, by whatever question.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    id: &'a str,
    created_at: Option<Timestamp>,
    size_bytes: u64,
    digests: &'a [String],
    labels: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a EngineImage> for Seen<'a> {
    fn from(image: &'a EngineImage) -> Self {
        Self {
            id: &image.id,
            created_at: image.created_at,
            size_bytes: image.size_bytes,
            digests: &image.digests,
            labels: &image.labels,
        }
    }
}

impl<'a> From<&'a ListedImage> for Seen<'a> {
    fn from(image: &'a ListedImage) -> Self {
        Self {
            id: &image.id,
            created_at: image.created_at,
            size_bytes: image.size_bytes,
            digests: &image.digests,
            labels: &image.labels,
        }
    }
}

/// Enters that the engine has the image.
pub(super) fn become_ready(image: &mut Image, seen: Seen<'_>) {
    let was_made_here = image.status == ImageStatus::Building;
    let is_the_same = image.image_id.as_deref() == Some(seen.id);
    let recorded = image
        .source_url
        .take()
        .filter(|_| was_made_here || is_the_same);
    let label = |name: &str| {
        let value = seen.labels.get(name)?;
        is_short(value).then(|| value.clone())
    };
    image.image_id = Some(seen.id.to_owned());
    image.created_at = to_the_second(seen.created_at.unwrap_or(image.created_at));
    image.size_bytes = Some(seen.size_bytes);
    image.status = ImageStatus::Ready;
    image.source_url = source(seen.labels).or(recorded);
    image.meteor_release = label(LABEL_METEOR_RELEASE);
    image.node_version = label(LABEL_NODE_VERSION);
    image.digest = digest(&image.name, seen.digests);
    image.build_began = None;
    image.layers.clear();
    image.step_container = None;
}

/// The images of a listing by the keys of their names, tags and digests.
pub(super) fn by_key(listing: &[ListedImage]) -> HashMap<String, (ImageName, &ListedImage)> {
    let named = listing.iter().flat_map(|image| {
        let names = image.names.iter().chain(&image.digests);
        names.filter_map(move |name| Some((ImageName::parse(name).ok()?, image)))
    });
    named
        .map(|(name, image)| (name.canonical(), (name, image)))
        .collect()
}

/// The listing tells seconds, other questions tell more: a document must not waver between them.
fn to_the_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The digest by which a registry has the image under this name.
fn digest(name: &ImageName, digests: &[String]) -> Option<String> {
    let own = name.digest();
    let repository = name.repository();
    let known = digests.iter().filter_map(|text| {
        let known = ImageName::parse(text).ok()?;
        let digest = known.digest()?.to_owned();
        (known.repository() == repository).then_some(digest)
    });
    let mut known = known.filter(|digest| own.is_none_or(|own| own == digest));
    known.next()
}

/// The label was written by whoever made the image, which need not have been a launcher.
fn source(labels: &BTreeMap<String, String>) -> Option<String> {
    let text = labels.get(LABEL_SOURCE)?;
    if let Ok(url) = Url::parse(text) {
        let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        let fits = bare && text.len() <= MAX_URL && !text.chars().any(char::is_control);
        return fits.then(|| text.clone());
    }
    is_short(text).then(|| text.clone())
}

fn is_short(text: &str) -> bool {
    let fits = text.chars().count() <= MAX_LABEL && !text.chars().any(char::is_control);
    fits && !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str) -> Image {
        Image::new("id".into(), ImageName::parse(name).unwrap())
    }

    fn listed(digests: &[&str], labels: &[(&str, &str)]) -> ListedImage {
        let labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        ListedImage {
            id: "sha256:1".into(),
            digests: digests.iter().map(|d| (*d).into()).collect(),
            labels: labels.collect(),
            ..ListedImage::default()
        }
    }

    fn ready(name: &str, listed: &ListedImage) -> Image {
        let mut image = image(name);
        become_ready(&mut image, listed.into());
        image
    }

    #[test]
    fn the_digest_is_that_of_the_names_own_repository() {
        let (one, two) = (format!("sha256:{:064x}", 1), format!("sha256:{:064x}", 2));
        let (other, own) = (format!("r.test:5000/app@{one}"), format!("app@{two}"));
        let listed = listed(&[&other, &own], &[]);
        let digest = |name: &str| ready(name, &listed).digest;
        assert_eq!(digest("app:1"), Some(two.clone()));
        assert_eq!(digest("docker.io/library/app"), Some(two));
        assert_eq!(digest("r.test:5000/app"), Some(one.clone()));
        assert_eq!(digest("r.test/app"), None);
        assert_eq!(digest(&other), Some(one));
    }

    #[test]
    fn labels_of_strangers_are_not_trusted() {
        let long = "x".repeat(MAX_LABEL + 1);
        for (label, value) in [
            (LABEL_METEOR_RELEASE, long.as_str()),
            (LABEL_METEOR_RELEASE, "METEOR@3\n"),
            (LABEL_NODE_VERSION, ""),
            (LABEL_SOURCE, "http://user:secret@a.test/app.tgz"),
            (LABEL_SOURCE, "http://a.test/app.tgz?token=secret"),
        ] {
            let image = ready("app", &listed(&[], &[(label, value)]));
            let told = (image.meteor_release, image.node_version, image.source_url);
            assert_eq!(told, (None, None, None), "{label} {value}");
        }
        let image = ready(
            "app",
            &listed(&[], &[(LABEL_SOURCE, "http://a.test/app.tgz")]),
        );
        assert_eq!(image.source_url.as_deref(), Some("http://a.test/app.tgz"));
    }

    #[test]
    fn a_name_that_stands_for_something_else_has_another_source() {
        let mut built = image("app");
        built.status = ImageStatus::Building;
        built.source_url = Some("http://a.test/app.tgz".into());
        become_ready(&mut built, (&listed(&[], &[])).into());
        assert!(built.source_url.is_some());
        become_ready(&mut built, (&listed(&[], &[])).into());
        assert!(built.source_url.is_some());
        let other = ListedImage {
            id: "sha256:2".into(),
            ..ListedImage::default()
        };
        become_ready(&mut built, (&other).into());
        assert_eq!(built.source_url, None);
    }
}
