//! `/sockjs/info`, by which a Meteor app is known (`packages/ddp-server/stream_server.js`).

use hyper::StatusCode;
use serde_json::Value;

use super::{
    attempt::{Attempt, Refusal},
    http,
};

const INFO: &str = "/sockjs/info";

/// What is at `/sockjs/info`.
pub(super) enum Info {
    /// SockJS's own answer.
    SockJs {
        /// Whether it has WebSockets; `DISABLE_WEBSOCKETS` of Meteor says no.
        websocket: bool,
    },
    /// Something else, with this status.
    Other(StatusCode),
}

pub(super) async fn info(attempt: &Attempt<'_>) -> Result<Info, Refusal> {
    let (status, body) = http::content(attempt, &attempt.path(INFO)).await?;
    let json: Option<Value> = body.and_then(|body| serde_json::from_slice(&body).ok());
    let websocket = json.and_then(|json| json.get("websocket")?.as_bool());
    Ok(match websocket {
        Some(websocket) => Info::SockJs { websocket },
        None => Info::Other(status),
    })
}

/// What it is called that something else is there.
pub(super) fn answered(attempt: &Attempt<'_>, status: StatusCode) -> Refusal {
    let path = attempt.path(INFO);
    match status {
        StatusCode::OK => {
            let path = http::shown(&path);
            Refusal::Other(format!("GET {path} did not answer with SockJS's JSON"))
        }
        _ => http::answered(&path, status),
    }
}
