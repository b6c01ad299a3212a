//! What a client is told whose request did not come to the end of its head in time.

use std::time::Duration;

use http::{HeaderMap, Response};
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::server::conn::http1::Parts;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::body::ResponseBody;
use crate::client_stream::{ClientStream, forget_reader};
use crate::limited::Limited;
use crate::pages::{Accept, Refusal};
use crate::proxy::Shared;
use crate::visitor::Arrival;

/// How long a client that was slow already may take to read the page.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends the page by the connection that hyper has given up, if anything of a request had come: who has been idle for
/// too long has asked nothing.
pub(crate) async fn refuse<S>(
    parts: Parts<TokioIo<ClientStream>, S>,
    shared: &Shared,
    arrival: &Arrival,
) {
    let stream = parts.io.into_inner();
    // An answer that was not read to its end must not go on with a page.
    if parts.read_buf.is_empty() || stream.is_blocked() {
        return;
    }
    let refusal = Refusal::Limited(Limited::HeadTooSlow);
    let accept = Accept::of(&HeaderMap::new());
    let (text, length) = written(refusal.page(&accept, &shared.config.pages)).await;
    shared.refused_unread(arrival.peer, &refusal, length);
    let (mut stream, _) = stream.into_parts();
    // He may have left as well.
    let _ = timeout(PATIENCE, stream.write_all(&text)).await;
    // Closing a socket with something unread resets it, which may overtake the page.
    let _ = stream.try_read(&mut [0; 4096]);
    forget_reader(&stream);
}

/// As it goes over the wire, and the length of its body.
async fn written(page: Response<ResponseBody>) -> (Vec<u8>, u64) {
    let status = page.status();
    let mut text = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in page.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    let body = match page.into_body() {
        ResponseBody::Page(body) => body,
        _ => Full::default(),
    };
    let body = body
        .collect()
        .await
        .map_or_else(|never| match never {}, Collected::to_bytes);
    text.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    text.extend_from_slice(&body);
    (text, body.len() as u64)
}
