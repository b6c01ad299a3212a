use std::io;
use std::time::Duration;

use http::header::EXPECT;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::body::{Hold, RequestBody, Verdict};
use crate::config::Config;
use crate::progress::Progress;
use crate::target;
use crate::upstream::{Connection, Upstream};

/// Why there is no answer from an upstream. For the log: a client is not told the cause.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("connecting failed: {0}")]
    Connect(#[source] io::Error),
    #[error("connecting took too long")]
    ConnectTimeout,
    #[error("the connection failed before the answer: {0}")]
    Answer(#[source] hyper::Error),
    #[error("the answer took too long")]
    AnswerTimeout,
    #[error("the client's request body broke off: {0}")]
    RequestBody(#[source] hyper::Error),
    #[error("the answer is an upgrade that was not asked for")]
    UnaskedUpgrade,
}

/// Sends `request`, whose headers are ready, to `upstream` and waits for the head of the answer. The
/// bodies go on moving afterwards; the connection belongs to whoever reads the answer.
///
/// Tried at most twice: an unused connection can be closed by the other side at any moment, so a
/// request that meets that is sent once more on a new one. Only if nothing of it was sent, or if
/// sending it twice does no harm (RFC 9110 §9.2.2: idempotent, and nothing of a body is gone).
pub(crate) async fn exchange(
    request: Request<Incoming>,
    upstream: &Upstream,
    config: &Config,
) -> Result<(Response<Incoming>, Connection), Failure> {
    let progress = Progress::default();
    let mut request = outgoing(request, &progress, config);
    if let Some(connection) = upstream.idle_connection(config) {
        let copy = repeatable(&request);
        match send(connection, request, &progress, config).await {
            Err((Failure::Answer(error), unsent)) => {
                request = unsent.or(copy).ok_or(Failure::Answer(error))?;
            }
            answered => return answered.map_err(|(failure, _)| failure),
        }
    }
    let connecting = timeout(config.connect, upstream.connect(config)).await;
    let connection = connecting
        .map_err(|_| Failure::ConnectTimeout)?
        .map_err(Failure::Connect)?;
    send(connection, request, &progress, config)
        .await
        .map_err(|(failure, _)| failure)
}

type Unsent = Option<Request<RequestBody>>;

async fn send(
    mut connection: Connection,
    request: Request<RequestBody>,
    progress: &Progress,
    config: &Config,
) -> Result<(Response<Incoming>, Connection), (Failure, Unsent)> {
    let answer = connection.send(request);
    match progress.in_time(config.response, answer).await {
        Some(Ok(response)) => Ok((response, connection)),
        Some(Err(mut error)) => {
            let unsent = error.take_message();
            let error = error.into_error();
            // hyper's name for an error of the body it was given, which here is the client's.
            let by_client = error.is_user();
            let failure = if by_client {
                Failure::RequestBody(error)
            } else {
                Failure::Answer(error)
            };
            Err((failure, unsent))
        }
        None => Err((Failure::AnswerTimeout, None)),
    }
}

fn outgoing(
    request: Request<Incoming>,
    progress: &Progress,
    config: &Config,
) -> Request<RequestBody> {
    let (mut parts, body) = request.into_parts();
    let waits = !body.is_end_stream() && expects_continue(parts.headers.get(EXPECT));
    parts.uri = target::origin_form(&parts.uri);
    parts.version = Version::HTTP_11;
    let mut request = Request::from_parts(parts, ());
    let hold = waits.then(|| until_continue(&mut request, config.continue_wait));
    request.map(|()| RequestBody::new(body, progress.clone(), hold))
}

fn expects_continue(expect: Option<&HeaderValue>) -> bool {
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Waits for the upstream's decision, so that the client is told to send its body when the upstream
/// wants it, and not at all when the upstream answers at once.
fn until_continue(request: &mut Request<()>, wait: Duration) -> Hold {
    let (wanted, mut decision) = mpsc::channel(1);
    // hyper drops this, and the sender in it, with the head of the final answer.
    hyper::ext::on_informational(request, move |answer| {
        if answer.status() == StatusCode::CONTINUE {
            let _ = wanted.try_send(());
        }
    });
    Box::pin(async move {
        match timeout(wait, decision.recv()).await {
            Ok(None) => Verdict::Refuse,
            // Not every server knows the expectation: after a while the body is sent unasked.
            Ok(Some(())) | Err(_) => Verdict::Send,
        }
    })
}

/// A copy of `request` if it may be sent twice.
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}
