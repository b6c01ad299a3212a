//! The requests through which a client sends: `xhr_send` and `jsonp_send`.

use std::future::poll_fn;
use std::task::Poll;

use bytes::{Buf, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::body::Body;
use crate::frame::{PayloadError, parse_payload};
use crate::response::{self, bare};
use crate::server::Inner;
use crate::shared::{Role, Shared};

/// What a request may say it contains, if it is to be taken for JSON (sockjs-node's `lib/webjs.js`,
/// `expect_xhr`).
const JSON_TYPES: [&str; 6] = [
    "",
    "text/plain",
    "T",
    "application/json",
    "application/xml",
    "text/xml",
];
const FORM: &str = "application/x-www-form-urlencoded";
/// As much is read of who has no session, to tell what is wrong. Sessions are counted; those
/// requests are not, so they may not fill the memory.
const STRANGERS_BYTES: usize = 64 * 1024;

/// What the error of a body can be made into.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers `xhr_send`.
pub(crate) async fn xhr<B>(server: &Inner, request: Request<B>, id: &str) -> Response<Body>
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let mut response = match deliver(server, body, id, |body| {
        if JSON_TYPES.contains(&content_type(&headers)) {
            parse_payload(body)
        } else {
            Err(PayloadError::Missing)
        }
    })
    .await
    {
        Ok(()) => response::typed(StatusCode::NO_CONTENT, response::TEXT, Body::whole("")),
        Err(refusal) => refusal,
    };
    finish(server, &headers, response.headers_mut());
    server.cross_origin(&headers, response.headers_mut());
    response
}

/// Answers `jsonp_send`: a form, as that is what a page can send to another origin.
pub(crate) async fn jsonp<B>(server: &Inner, request: Request<B>, id: &str) -> Response<Body>
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let mut response = match deliver(server, body, id, |body| match content_type(&headers) {
        FORM => {
            let payload = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "d");
            parse_payload(&payload.map(|(_, payload)| payload).unwrap_or_default())
        }
        "text/plain" | "" => parse_payload(body),
        _ => Err(PayloadError::Missing),
    })
    .await
    {
        // some browsers make of 204 what it is not
        Ok(()) => response::typed(StatusCode::OK, response::TEXT, Body::whole("ok")),
        Err(refusal) => refusal,
    };
    finish(server, &headers, response.headers_mut());
    response
}

fn finish(server: &Inner, request: &HeaderMap, response: &mut HeaderMap) {
    server.cookie(request, response);
    response::not_cacheable(response);
}

fn content_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
}

/// Gives the messages of a body to the session, when it listens. Requests of one session are read
/// and heard one after the other.
async fn deliver<B>(
    server: &Inner,
    body: B,
    id: &str,
    parse: impl FnOnce(&str) -> Result<Vec<String>, PayloadError>,
) -> Result<(), Response<Body>>
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let deadline = server.config.receive_timeout;
    let session = server.sessions.get(id);
    let (limit, _turn) = match &session {
        Some(session) => {
            let turn = timeout(deadline, session.sending.lock()).await;
            (server.config.max_message_bytes, Some(turn.map_err(deaf)?))
        }
        None => (server.config.max_message_bytes.min(STRANGERS_BYTES), None),
    };
    let body = timeout(deadline, collect(body, limit))
        .await
        .map_err(|_| bare(StatusCode::REQUEST_TIMEOUT, "The body took too long."))??;
    let messages = parse(&String::from_utf8_lossy(&body))
        .map_err(|error| bare(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    drop(body);
    match &session {
        Some(session) if !session.with(|session| session.is_over()) => {
            let heard = timeout(deadline, hear(session, messages)).await;
            heard.map_err(deaf)
        }
        _ => Err(response::not_found()),
    }
}

fn deaf(_elapsed: Elapsed) -> Response<Body> {
    let text = "The connection does not listen.";
    bare(StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn collect<B>(body: B, limit: usize) -> Result<Bytes, Response<Body>>
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let body = Limited::new(body, limit).collect().await;
    body.map(http_body_util::Collected::to_bytes)
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                bare(StatusCode::PAYLOAD_TOO_LARGE, "The body is too long.")
            } else {
                bare(StatusCode::BAD_REQUEST, "The body is incomplete.")
            }
        })
}

/// Waits until the session listens.
async fn hear(session: &Shared, messages: Vec<String>) {
    poll_fn(|context| {
        session.poll(Role::Sender, context, |session| {
            if session.has_ear() || !session.is_open() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    })
    .await;
    session.with(|session| session.heard(messages));
}
