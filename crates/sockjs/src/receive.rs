//! The requests of HTTP transports through which a client receives, and the life of their sessions.

use std::borrow::Cow;
use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::time::sleep_until;

use crate::admission::Permit;
use crate::body::Body;
use crate::encoding::Encoding;
use crate::path::Transport;
use crate::response;
use crate::server::{Inner, shut_down};
use crate::session::{ReceiverId, ReceiverKind, Refusal, Session};
use crate::shared::Shared;

/// A longer name of a function would be none that clients make.
const MAX_CALLBACK: usize = 32;

/// Answers with what the session has to say. A session that is not there begins.
pub(crate) fn answer(
    server: &Arc<Inner>,
    request: &HeaderMap,
    query: Option<&str>,
    (transport, id): (Transport, &str),
    peer: SocketAddr,
) -> Response<Body> {
    if !server.config.enabled(transport) {
        return response::not_found();
    }
    let mut response = match encoding(transport, query) {
        Ok(encoding) => receive(server, request, (transport, id), encoding, peer),
        Err(complaint) => response::bare(StatusCode::INTERNAL_SERVER_ERROR, complaint),
    };
    let headers = response.headers_mut();
    server.cookie(request, headers);
    response::not_cacheable(headers);
    if !matches!(transport, Transport::HtmlFile | Transport::JsonpPolling) {
        server.cross_origin(request, headers);
    }
    response
}

/// How the transport wants its frames, or what its request lacks.
fn encoding(transport: Transport, query: Option<&str>) -> Result<Encoding, &'static str> {
    Ok(match transport {
        Transport::XhrStreaming => Encoding::Streaming,
        Transport::EventSource => Encoding::EventSource,
        Transport::HtmlFile => {
            let callback = callback(query)?;
            Encoding::HtmlFile { callback }
        }
        Transport::JsonpPolling => {
            let callback = callback(query)?;
            Encoding::Jsonp { callback }
        }
        Transport::XhrPolling | Transport::WebSocket | Transport::RawWebSocket => Encoding::Polling,
    })
}

/// The name of a function that the response calls. It goes into a script, so it may not be just
/// anything.
fn callback(query: Option<&str>) -> Result<String, &'static str> {
    let parameter = |wanted: &str| {
        form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value)
    };
    let callback: Cow<'_, str> = parameter("c")
        .or_else(|| parameter("callback"))
        .ok_or("\"callback\" parameter required")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if callback.len() > MAX_CALLBACK || !callback.bytes().all(allowed) {
        return Err("invalid \"callback\" parameter");
    }
    Ok(callback.into_owned())
}

fn receive(
    server: &Arc<Inner>,
    request: &HeaderMap,
    (transport, id): (Transport, &str),
    encoding: Encoding,
    peer: SocketAddr,
) -> Response<Body> {
    let kind = content_type(&encoding);
    let limit = server.config.response_limit;
    let body = match find_or_begin(server, id, peer) {
        Found::There(session, receiver) => Body::receiving(session, receiver, encoding, limit),
        Found::New(session, receiver, permit) => {
            tokio::spawn(watch(
                Arc::clone(server),
                id.into(),
                Arc::clone(&session),
                permit,
            ));
            server.connect(&session, transport, request.clone(), peer);
            Body::receiving(session, receiver, encoding, limit)
        }
        Found::Refused(Refusal::Tell(closing)) => Body::refusing(closing, encoding),
        Found::Refused(Refusal::Over) => {
            return response::bare(StatusCode::SERVICE_UNAVAILABLE, "Too many connections\n");
        }
    };
    let mut response = response::typed(StatusCode::OK, kind, body);
    if transport == Transport::JsonpPolling {
        let value = HeaderValue::from_static("nosniff");
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, value);
    }
    response
}

fn content_type(encoding: &Encoding) -> &'static str {
    match encoding {
        Encoding::Polling | Encoding::Streaming | Encoding::Jsonp { .. } => response::SCRIPT,
        Encoding::EventSource => response::EVENTS,
        Encoding::HtmlFile { .. } => response::HTML,
    }
}

enum Found {
    There(Arc<Shared>, ReceiverId),
    New(Arc<Shared>, ReceiverId, Permit),
    Refused(Refusal),
}

fn find_or_begin(server: &Inner, id: &str, peer: SocketAddr) -> Found {
    let now = Instant::now();
    server.sessions.update(id, |found| {
        if let Some(session) = found {
            match session.with(|session| session.attach(ReceiverKind::Response, now)) {
                Ok(receiver) => return Found::There(Arc::clone(session), receiver),
                Err(refusal @ Refusal::Tell(_)) => return Found::Refused(refusal),
                Err(Refusal::Over) => {}
            }
        }
        let Some(permit) = server.admit(peer) else {
            return Found::Refused(Refusal::Over);
        };
        let limits = server.config.limits();
        let (session, receiver) = Session::open(limits, ReceiverKind::Response, now);
        let session = Shared::new(session);
        *found = Some(Arc::clone(&session));
        Found::New(session, receiver, permit)
    })
}

/// Tells a session the time until it is over, then forgets it.
async fn watch(server: Arc<Inner>, id: Box<str>, session: Arc<Shared>, permit: Permit) {
    let mut alarm = pin!(sleep_until(Instant::now().into()));
    let mut stopped = false;
    loop {
        let due = poll_fn(|context| match session.poll_deadline(context) {
            None => Poll::Ready(false),
            Some(deadline) => {
                if alarm.deadline().into_std() != deadline {
                    alarm.as_mut().reset(deadline.into());
                }
                alarm.as_mut().poll(context).map(|()| true)
            }
        });
        tokio::select! {
            due = due => match due {
                true => session.with(|session| session.timeout(Instant::now())),
                false => break,
            },
            () = server.stop.cancelled(), if !stopped => {
                shut_down(&session);
                stopped = true;
            }
        }
    }
    server.sessions.remove(&id, &session);
    drop(permit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_are_names_of_functions() {
        assert_eq!(callback(Some("c=%63allback")).unwrap(), "callback");
        assert_eq!(callback(Some("t=1&callback=_jp.a-b")).unwrap(), "_jp.a-b");
        for none in [None, Some(""), Some("a=b")] {
            assert_eq!(callback(none), Err("\"callback\" parameter required"));
        }
        let long = format!("c={}", "x".repeat(MAX_CALLBACK + 1));
        for bad in ["c=%20", "c=*", "c=abc(", "c=abc%28", "c=a%3C", &long] {
            assert_eq!(
                callback(Some(bad)),
                Err("invalid \"callback\" parameter"),
                "{bad}"
            );
        }
    }
}
