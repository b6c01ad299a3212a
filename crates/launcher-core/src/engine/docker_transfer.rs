//! Pulls and pushes with Docker, which tells of each layer.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::Full;
use hyper::Request;
use serde::Deserialize;
use tokio::time::timeout;
use url::form_urlencoded;

use super::{
    EngineError, LayerState, Transfer, TransferNews, TransferOutput,
    docker::BROKE_OFF,
    docker_login::{self, masked},
    docker_request::ask,
};

/// How long a transfer may go without a sign of progress, and in all.
const SILENCE: Duration = Duration::from_secs(120);
const TRANSFER: Duration = Duration::from_secs(60 * 60);

/// One message of the engine's. `bollard` does not keep the `id` in those of a push.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Message {
    id: Option<String>,
    status: String,
    progress_detail: Option<ProgressDetail>,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProgressDetail {
    current: Option<i64>,
    total: Option<i64>,
}

/// See [`super::Engine::pull`].
pub(super) async fn pull(
    host: &str,
    version: &str,
    transfer: &Transfer,
) -> Result<String, EngineError> {
    let query = query("fromImage", &transfer.name);
    let path = format!("/v{version}/images/create?{query}");
    carry_out(host, &path, transfer).await
}

/// See [`super::Engine::push`].
pub(super) async fn push(
    host: &str,
    version: &str,
    transfer: &Transfer,
) -> Result<String, EngineError> {
    // Without a tag of its own the engine would push all of them.
    let (repository, tag) = transfer
        .name
        .rsplit_once(':')
        .ok_or_else(|| EngineError::Failed("an image is pushed by name and tag".into()))?;
    let path = format!("/v{version}/images/{repository}/push?{}", query("tag", tag));
    carry_out(host, &path, transfer).await
}

fn query(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish()
}

async fn carry_out(host: &str, path: &str, transfer: &Transfer) -> Result<String, EngineError> {
    let outcome = timeout(TRANSFER, follow(host, path, transfer)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(too_long("was not done", TRANSFER)));
    outcome.map_err(|error| masked(error, transfer.login.as_ref()))
}

/// Follows a transfer to its end, and returns the digest that the registry knows the image by. When
/// this is dropped, the engine gives up.
async fn follow(host: &str, path: &str, transfer: &Transfer) -> Result<String, EngineError> {
    let mut request = Request::post(path);
    request = match &transfer.login {
        Some(login) => request.header(docker_login::HEADER, docker_login::header(login)?),
        // A push without the header is refused.
        None => request.header(docker_login::HEADER, "e30="),
    };
    let request = request
        .body(Full::<Bytes>::default())
        .map_err(|e| EngineError::Failed(e.to_string()))?;
    // The engine begins to answer when the registry has.
    let response = timeout(SILENCE, ask(host, request)).await;
    let response = response.map_err(|_| too_long("did not begin", SILENCE))??;
    if !response.status.is_success() {
        return Err(response.document().await.err().unwrap_or_else(broke_off));
    }
    to_end(response.lines(), &transfer.output).await
}

async fn to_end(
    lines: impl Stream<Item = Result<String, EngineError>>,
    output: &TransferOutput,
) -> Result<String, EngineError> {
    let mut lines = std::pin::pin!(lines);
    let mut digest = None;
    loop {
        let next = timeout(SILENCE, lines.next()).await;
        let Some(line) = next.map_err(|_| too_long("did not go on", SILENCE))? else {
            // The engine says it last: without it, it did not come to the end.
            return digest.ok_or_else(broke_off);
        };
        let message: Message = serde_json::from_str(&line?)
            .map_err(|e| EngineError::Failed(format!("the Docker engine's answer: {e}")))?;
        if let Some(error) = message.error {
            return Err(EngineError::Failed(error));
        }
        digest = digest_in(&message.status).or(digest);
        output(message.news());
    }
}

fn broke_off() -> EngineError {
    EngineError::Unreachable(BROKE_OFF.into())
}

/// Said of an image that cannot be pulled or pushed.
fn too_long(what: &str, limit: Duration) -> EngineError {
    EngineError::Failed(format!(
        "the transfer {what} within {} min",
        limit.as_secs() / 60
    ))
}

impl Message {
    fn news(&self) -> TransferNews<'_> {
        match self.id.as_deref().zip(self.layer_state()) {
            Some((id, state)) => TransferNews::Layer {
                id,
                state,
                text: &self.status,
            },
            None => TransferNews::Text(&self.status),
        }
    }

    /// By Docker's words (`distribution/pull_v2.go`, `push_v2.go`, `xfer/`, `pkg/progress`).
    fn layer_state(&self) -> Option<LayerState> {
        let words = self.status.as_str();
        let state = match words {
            "Pulling fs layer" | "Waiting" | "Preparing" => LayerState::Waiting,
            "Downloading" | "Pushing" => self.moving(),
            "Verifying Checksum" | "Download complete" | "Extracting" => LayerState::Unpacking,
            "Pull complete" | "Already exists" | "Pushed" | "Layer already exists" => {
                LayerState::Done
            }
            _ if words.starts_with("Mounted from ") => LayerState::Done,
            _ if words.starts_with("Retrying in ") => LayerState::Waiting,
            _ => return None,
        };
        Some(state)
    }

    fn moving(&self) -> LayerState {
        let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        let progress = self.progress_detail.as_ref();
        LayerState::Moving {
            done: progress.and_then(|p| bytes(p.current)).unwrap_or(0),
            of: progress
                .and_then(|p| bytes(p.total))
                .filter(|total| *total > 0),
        }
    }
}

/// The digest in `Digest: sha256:…` of a pull, or `<tag>: digest: sha256:… size: …` of a push.
fn digest_in(status: &str) -> Option<String> {
    let (before, after) = status.split_once("igest: ")?;
    let digest = after
        .split(' ')
        .next()
        .filter(|d| d.starts_with("sha256:"))?;
    (before == "D" || before.ends_with(": d")).then(|| digest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_where_they_are_said() {
        let digest = format!("sha256:{:064x}", 1);
        let pulled = format!("Digest: {digest}");
        let pushed = format!("latest: digest: {digest} size: 528");
        assert_eq!(digest_in(&pulled), Some(digest.clone()));
        assert_eq!(digest_in(&pushed), Some(digest));
        assert_eq!(digest_in("Pulling from team/app"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_that_stands_still_is_given_up_and_one_without_end_is_the_engines_failure() {
        use futures_util::stream;

        let begun = || stream::iter([Ok(r#"{"status":"Pulling from team/app"}"#.to_owned())]);
        let output: TransferOutput = std::sync::Arc::new(|_| {});
        let silent = to_end(begun().chain(stream::pending()), &output).await;
        let expected = "the transfer did not go on within 2 min";
        assert_eq!(silent, Err(EngineError::Failed(expected.into())));
        let ended = to_end(begun(), &output).await;
        assert!(matches!(ended, Err(EngineError::Unreachable(_))));
    }

    #[test]
    fn each_of_the_engines_words_is_a_state() {
        let state = |line: &str| {
            let message: Message = serde_json::from_str(line).unwrap();
            match message.news() {
                TransferNews::Layer { state, .. } => Some(state),
                TransferNews::Text(_) => None,
            }
        };
        let moving = LayerState::Moving {
            done: 5,
            of: Some(9),
        };
        for (line, expected) in [
            (
                r#"{"status":"Pulling fs layer","progressDetail":{},"id":"a"}"#,
                Some(LayerState::Waiting),
            ),
            (
                r#"{"status":"Downloading","progressDetail":{"current":5,"total":9},"id":"a"}"#,
                Some(moving),
            ),
            (
                r#"{"status":"Extracting","progressDetail":{"current":5,"total":9},"id":"a"}"#,
                Some(LayerState::Unpacking),
            ),
            (
                r#"{"status":"Layer already exists","progressDetail":{},"id":"a"}"#,
                Some(LayerState::Done),
            ),
            (
                r#"{"status":"Mounted from team/base","progressDetail":{},"id":"a"}"#,
                Some(LayerState::Done),
            ),
            (r#"{"status":"Pulling from team/app","id":"latest"}"#, None),
            (
                r#"{"progressDetail":{},"aux":{"Tag":"latest","Size":528}}"#,
                None,
            ),
        ] {
            assert_eq!(state(line), expected, "{line}");
        }
    }
}
