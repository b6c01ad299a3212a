//! What registries send: Docker Hub's webhooks
//! (<https://docs.docker.com/docker-hub/repos/manage/webhooks/>), and the notifications of registries that
//! are CNCF Distribution (<https://distribution.github.io/distribution/about/notifications/>).

use serde::Deserialize;
use thiserror::Error;

use crate::ImageName;

/// Most images that are taken from one notification; registries send one or a few.
const MAX_IMAGES: usize = 100;

/// A text is neither of the formats.
#[derive(Debug, Error)]
pub enum UnknownPayload {
    /// It is no JSON, or a field of it is of another type.
    #[error("this is not a registry's notification: {0}")]
    Unreadable(String),
    /// It has the fields of neither format.
    #[error(
        "this is neither Docker Hub's format (push_data.tag and repository.repo_name) nor that of a \
         registry's notifications (events)"
    )]
    Unknown,
}

/// The images that a notification says were pushed, each once. Of a registry's events those are left
/// out that are about something else, and those after the first hundred: it sends an event again for
/// as long as it is refused.
///
/// # Errors
/// [`UnknownPayload`].
pub fn pushes(text: &[u8]) -> Result<Vec<ImageName>, UnknownPayload> {
    let payload: Payload = serde_json::from_slice(text)
        .map_err(|error| UnknownPayload::Unreadable(error.to_string()))?;
    let mut names = match payload {
        Payload {
            events: Some(events),
            ..
        } => events.iter().filter_map(Event::image).collect(),
        Payload {
            push_data: Some(push),
            repository: Some(repository),
            ..
        } => vec![hub_image(&push, &repository)?],
        _ => return Err(UnknownPayload::Unknown),
    };
    let mut known = std::collections::HashSet::new();
    names.retain(|name: &ImageName| known.insert(name.canonical()));
    names.truncate(MAX_IMAGES);
    Ok(names)
}

/// Both formats in one; what else is in them, such as a `callback_url`, is not even read.
#[derive(Deserialize)]
struct Payload {
    push_data: Option<PushData>,
    repository: Option<Repository>,
    events: Option<Vec<Event>>,
}

#[derive(Deserialize)]
struct PushData {
    tag: String,
}

#[derive(Deserialize)]
struct Repository {
    repo_name: String,
}

#[derive(Deserialize)]
struct Event {
    action: Option<String>,
    target: Option<Target>,
    request: Option<Request>,
}

#[derive(Deserialize)]
struct Target {
    repository: Option<String>,
    tag: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    host: Option<String>,
}

fn hub_image(push: &PushData, repository: &Repository) -> Result<ImageName, UnknownPayload> {
    let name = format!("docker.io/{}:{}", repository.repo_name, push.tag);
    ImageName::parse(&name).map_err(|error| UnknownPayload::Unreadable(error.to_string()))
}

impl Event {
    /// The image, if a tag of one was pushed.
    fn image(&self) -> Option<ImageName> {
        let target = self.target.as_ref()?;
        let (repository, tag) = (target.repository.as_ref()?, target.tag.as_ref()?);
        let host = registry(self.request.as_ref()?.host.as_ref()?)?;
        if self.action.as_deref() != Some("push") || tag.is_empty() {
            return None;
        }
        ImageName::parse(&format!("{host}/{repository}:{tag}")).ok()
    }
}

/// The registry's name as it stands in names of images.
fn registry(host: &str) -> Option<&str> {
    match host {
        "index.docker.io" | "registry-1.docker.io" => Some("docker.io"),
        // Anything else before a slash would be a folder of Docker Hub's.
        host if host == "localhost" || host.contains(['.', ':']) => Some(host),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let names = pushes(text.as_bytes()).unwrap();
        names.iter().map(ImageName::canonical).collect()
    }

    #[test]
    fn docker_hub_names_repository_and_tag() {
        let text = r#"{"callback_url": "https://registry.hub.docker.com/u/svendowideit/testhook/hook/2141b5bi5i5b02bec211i4eeih0242eg11000a/",
            "push_data": {"pushed_at": 1.417566161e+09, "pusher": "trustedbuilder", "tag": "latest"},
            "repository": {"comment_count": "0", "is_private": true, "name": "testhook", "namespace": "svendowideit",
                "repo_name": "svendowideit/testhook", "status": "Active"}}"#;
        assert_eq!(names(text), ["docker.io/svendowideit/testhook:latest"]);
        let official =
            r#"{"push_data": {"tag": "22"}, "repository": {"repo_name": "library/node"}}"#;
        assert_eq!(names(official), ["docker.io/library/node:22"]);
        let short = r#"{"push_data": {"tag": "22"}, "repository": {"repo_name": "node"}}"#;
        assert_eq!(names(short), names(official));
    }

    fn event(action: &str, target: &str, host: &str) -> String {
        format!(
            r#"{{"id": "1", "action": "{action}", "target": {{{target}}}, "request": {{"id": "2", "host": "{host}"}}}}"#
        )
    }

    #[test]
    fn a_registry_tells_of_many_things() {
        let tagged = r#""mediaType": "application/vnd.docker.distribution.manifest.v2+json", "repository": "team/app", "tag": "1""#;
        let layer = r#""mediaType": "application/octet-stream", "repository": "team/app""#;
        let events = [
            event("push", layer, "127.0.0.1:5000"),
            event("push", tagged, "127.0.0.1:5000"),
            event("push", tagged, "127.0.0.1:5000"),
            event("pull", tagged, "other.test"),
            event("push", tagged, "registry-1.docker.io"),
            event("push", tagged, "folder"),
            event("push", r#""repository": "../..", "tag": "1""#, "a.test"),
            "{}".to_owned(),
        ];
        let text = format!(r#"{{"events": [{}]}}"#, events.join(","));
        let expected = ["127.0.0.1:5000/team/app:1", "docker.io/team/app:1"];
        assert_eq!(names(&text), expected);
        assert!(names(r#"{"events": []}"#).is_empty());
    }

    #[test]
    fn one_notification_is_about_a_hundred_images_at_most() {
        let target = |n| format!(r#""repository": "team/app", "tag": "{n}""#);
        let events: Vec<String> = (0..3_000)
            .map(|n| event("push", &target(n), "a.test"))
            .collect();
        let text = format!(r#"{{"events": [{}]}}"#, events.join(","));
        assert_eq!(names(&text).len(), MAX_IMAGES);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "[]",
            "null",
            "{}",
            "{\"events\": 7}",
            r#"{"push_data": {"tag": "1"}}"#,
            r#"{"push_data": {}, "repository": {"repo_name": "a/b"}}"#,
            r#"{"push_data": {"tag": "1"}, "repository": {"repo_name": "../etc"}}"#,
            "\u{0}",
        ] {
            assert!(pushes(text.as_bytes()).is_err(), "{text}");
        }
    }
}
