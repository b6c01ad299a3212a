//! One request by HTTP, on a connection of its own.

use std::{future::pending, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Empty, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{ACCEPT, CONNECTION, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;

use super::attempt::{self, Attempt, Refusal};

/// Longest head and longest body that are read, in bytes.
const MAX_READ: usize = 64 * 1024;
/// How long an answer of which only the status counts may take to end by itself.
const LEAVE: Duration = Duration::from_millis(100);
/// Longest part of a path that is repeated in texts.
const SHOWN_PATH: usize = 100;

/// The status of the answer.
pub(super) async fn status(attempt: &Attempt<'_>, path: &str) -> Result<StatusCode, Refusal> {
    get(attempt, path, async |response| {
        let (head, body) = response.into_parts();
        // Read all the same, where it is short: an app that cannot get rid of it might complain.
        let body = Limited::new(body, MAX_READ).collect();
        let _status_is_enough = attempt.briefly(LEAVE, body).await;
        Ok(head.status)
    })
    .await
}

/// The status, and the body if it is 200. No body: it is too long.
pub(super) async fn content(
    attempt: &Attempt<'_>,
    path: &str,
) -> Result<(StatusCode, Option<Bytes>), Refusal> {
    get(attempt, path, async |response| {
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Ok((head.status, None));
        }
        let body = Limited::new(body, MAX_READ).collect().await;
        Ok((head.status, body.ok().map(Collected::to_bytes)))
    })
    .await
}

/// What an answer with this status is called.
pub(super) fn answered(path: &str, status: StatusCode) -> Refusal {
    let (path, status) = (shown(path), status.as_u16());
    Refusal::Other(format!("GET {path} answered {status}"))
}

/// A path without its query, in which there may be a secret.
pub(super) fn shown(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    path.chars().take(SHOWN_PATH).collect()
}

async fn get<T>(
    attempt: &Attempt<'_>,
    path: &str,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let request = request(attempt, path)?;
    let stream = attempt.connect().await?;
    let exchange = async {
        let mut http = http1::Builder::new();
        http.max_buf_size(MAX_READ);
        let handshake = http.handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| refusal(path, &error))?;
        let exchange = async {
            let response = sender.send_request(request).await;
            read(response.map_err(|error| refusal(path, &error))?).await
        };
        // What goes wrong with the connection is told to who waits for the answer.
        let drive = async {
            let _told = connection.await;
            pending().await
        };
        tokio::select! {
            answer = exchange => answer,
            never = drive => never,
        }
    };
    let answer = attempt.within(exchange).await;
    answer.unwrap_or_else(|| Err(attempt.too_late(&format!("GET {} did not answer", shown(path)))))
}

fn request(attempt: &Attempt<'_>, path: &str) -> Result<Request<Empty<Bytes>>, Refusal> {
    Request::get(path)
        .header(HOST, attempt.host())
        .header(USER_AGENT, attempt::USER_AGENT)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .header("x-forwarded-proto", attempt.proto())
        .body(Empty::new())
        .map_err(|_| Refusal::Other(format!("GET {} cannot be asked", shown(path))))
}

fn refusal(path: &str, error: &hyper::Error) -> Refusal {
    if error.is_parse_too_large() {
        let path = shown(path);
        return Refusal::Other(format!("GET {path} answered with too long a head"));
    }
    match error.is_parse() {
        true => Refusal::NotHttp,
        false => Refusal::Closed,
    }
}
