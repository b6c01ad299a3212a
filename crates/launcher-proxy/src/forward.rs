use std::io;
use std::time::Duration;

use http::header::EXPECT;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::body::{BodyError, Hold, RequestBody, Verdict};
use crate::config::Config;
use crate::limited::Limited;
use crate::meter::Bill;
use crate::progress::Progress;
use crate::settings::SiteSettings;
use crate::target;
use crate::upstream::{Answering, Connection, SendError, Upstream};

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
    #[error("{0}")]
    Limited(Limited),
    #[error("the answer is an upgrade that was not asked for")]
    UnaskedUpgrade,
}

/// A request that is ready to be sent, and how far its body is.
pub(crate) struct Outgoing {
    request: Request<RequestBody>,
    progress: Progress,
}

/// What an upstream answered, and the connection, which belongs to whoever reads the answer.
pub(crate) type Answered = (Response<Incoming>, Answering);

/// There is no answer.
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    /// The request, if it may go to another upstream.
    pub(crate) again: Option<Outgoing>,
}

/// Sends `outgoing` to `upstream` and waits for the head of the answer. The bodies go on moving
/// afterwards.
///
/// Tried at most twice: an unused connection can be closed by the other side at any moment, so a
/// request that meets that is sent once more on a new one. Only if nothing of it was sent, or if
/// sending it twice does no harm (RFC 9110 §9.2.2: idempotent, and nothing of a body is gone).
///
/// A new connection that breaks is different: the request may be what broke the upstream, and should
/// not break the next. Unless the upstream is being taken out of service, when its end is no surprise.
pub(crate) async fn exchange(
    mut outgoing: Outgoing,
    upstream: &Upstream,
    config: &Config,
    settings: &SiteSettings,
) -> Result<Answered, Box<Failed>> {
    if let Some(connection) = upstream.idle_connection(config) {
        match send(connection, outgoing, settings).await {
            Err(Unanswered {
                failure: failure @ Failure::Answer(_),
                unsent,
                copy,
            }) => match unsent.or(copy) {
                Some(again) if upstream.is_serving() => {
                    upstream.meter().retried();
                    outgoing = again;
                }
                again => return Err(Failed::boxed(failure, again)),
            },
            answered => return answered.map_err(|failed| Failed::boxed(failed.failure, None)),
        }
    }
    let connection = match connect(upstream, config, settings).await {
        Ok(connection) => connection,
        Err(failure) => return Err(Failed::boxed(failure, Some(outgoing))),
    };
    let answered = send(connection, outgoing, settings).await;
    answered.map_err(|failed| {
        let copy = failed.copy.filter(|_| !upstream.is_serving());
        Failed::boxed(failed.failure, failed.unsent.or(copy))
    })
}

async fn connect(
    upstream: &Upstream,
    config: &Config,
    settings: &SiteSettings,
) -> Result<Connection, Failure> {
    let connected = match timeout(settings.connect, upstream.connect(config)).await {
        Ok(connected) => connected.map_err(Failure::Connect),
        Err(_) => Err(Failure::ConnectTimeout),
    };
    if connected.is_err() {
        upstream.avoidance().begin(config.avoid_failed);
    }
    connected
}

impl Failed {
    fn boxed(failure: Failure, again: Option<Outgoing>) -> Box<Self> {
        Box::new(Self { failure, again })
    }
}

/// One connection brought no answer.
struct Unanswered {
    failure: Failure,
    /// The request, if nothing of it was sent.
    unsent: Option<Outgoing>,
    /// The same as was sent, if it may be sent twice.
    copy: Option<Outgoing>,
}

async fn send(
    connection: Connection,
    outgoing: Outgoing,
    settings: &SiteSettings,
) -> Result<Answered, Unanswered> {
    let copy = outgoing.repeatable();
    let Outgoing { request, progress } = outgoing;
    let (mut connection, limit) = (connection, settings.response);
    let mut alarm = connection.take_alarm();
    let answer = connection.send(request);
    match progress.in_time_by(limit, &mut alarm, answer).await {
        Some(Ok((response, mut answering))) => {
            answering.keep_alarm(alarm);
            Ok((response, answering))
        }
        Some(Err(error)) => Err(Unanswered::new(*error, progress, copy)),
        None => Err(Unanswered {
            failure: Failure::AnswerTimeout,
            unsent: None,
            copy: None,
        }),
    }
}

impl Unanswered {
    fn new(mut error: SendError, progress: Progress, copy: Option<Outgoing>) -> Self {
        let unsent = error.take_message();
        let error = error.into_error();
        // hyper's name for an error of the body it was given, which here is the client's.
        if error.is_user() {
            let body = std::error::Error::source(&error).and_then(|body| body.downcast_ref());
            let failure = match body {
                Some(BodyError::Limited(limited)) => Failure::Limited(*limited),
                _ => Failure::RequestBody(error),
            };
            return Self {
                failure,
                unsent: None,
                copy: None,
            };
        }
        Self {
            failure: Failure::Answer(error),
            unsent: unsent.map(|request| Outgoing { request, progress }),
            copy,
        }
    }
}

impl Outgoing {
    /// `request`, whose headers are ready, as upstreams get it.
    pub(crate) fn new(
        request: Request<Incoming>,
        config: &Config,
        settings: &SiteSettings,
    ) -> Self {
        let progress = Progress::default();
        let (mut parts, body) = request.into_parts();
        let waits = !body.is_end_stream() && expects_continue(parts.headers.get(EXPECT));
        parts.uri = target::origin_form(&parts.uri);
        parts.version = Version::HTTP_11;
        let mut request = Request::from_parts(parts, ());
        let hold = waits.then(|| until_continue(&mut request, config.continue_wait));
        let request = request.map(|()| RequestBody::new(body, progress.clone(), hold, settings));
        Self { request, progress }
    }

    /// Whom the bytes of the body are counted for.
    pub(crate) fn count_for(&mut self, bill: impl FnOnce() -> Bill) {
        self.request.body_mut().count_for(bill);
    }

    /// As upstreams get them.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// A copy of the request if it may be sent twice.
    pub(crate) fn repeatable(&self) -> Option<Self> {
        let request = &self.request;
        if !request.method().is_idempotent() || !request.body().is_end_stream() {
            return None;
        }
        let mut copy = Request::new(RequestBody::Empty);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        Some(Self {
            request: copy,
            progress: self.progress.clone(),
        })
    }
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
