//! Uploads over HTTP: tus 1.0 (<https://tus.io/protocols/resumable-upload>), and a plain `PUT` of the
//! whole for people with `curl -T`.
//!
//! The last part of an upload's path is the secret that `image/createUpload` gave: it may be used at
//! once, or be presented as a token to `POST /uploads`, which answers with that path.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header},
    response::IntoResponse,
};
use futures_util::StreamExt;
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use launcher_core::uploads::{Begin, Progress, UploadError, Uploads};
use tokio::time::timeout;

use crate::{
    http::{Control, foreign_page},
    origin,
    upload_token::token,
};

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// The version of tus.
const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
/// The parts of tus that are there besides its core.
const EXTENSIONS: HeaderValue =
    HeaderValue::from_static("creation,creation-with-upload,expiration,termination");
/// What the bytes of an upload are sent as.
const BYTES: &str = "application/offset+octet-stream";
/// What is asked of an upload.
const METHODS: HeaderValue = HeaderValue::from_static("OPTIONS, HEAD, PATCH, PUT, DELETE");

/// How much of a body is read, how long, and how long without a piece of it, that comes with a
/// request that is refused: a client that is still sending does not hear the answer when the
/// connection is closed. The times are those of nginx's `lingering_time` and `lingering_timeout`.
const DRAINED_BYTES: usize = 4 * 1024 * 1024;
const DRAINED: Duration = Duration::from_secs(30);
const DRAINED_SILENCE: Duration = Duration::from_secs(5);

/// `image/createUpload`'s secret as a path.
pub(crate) fn path(secret: &str) -> String {
    format!("/uploads/{secret}")
}

/// `/uploads`
pub(crate) async fn all(State(control): State<Control>, request: Request) -> Response<Body> {
    if !origin::is_trusted(request.headers(), control.domain.as_ref()) {
        return foreign_page();
    }
    let uploads = control.api.launcher().uploads();
    let (head, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let outcome = match head.method {
        Method::OPTIONS => Ok(offer(uploads)),
        Method::POST => create(uploads, &head, &mut body).await,
        _ => Err(Refusal::method("OPTIONS, POST")),
    };
    answer(outcome, body)
}

/// `/uploads/<secret>`
pub(crate) async fn one(
    State(control): State<Control>,
    Path(secret): Path<String>,
    request: Request,
) -> Response<Body> {
    if !origin::is_trusted(request.headers(), control.domain.as_ref()) {
        return foreign_page();
    }
    let uploads = control.api.launcher().uploads();
    let (head, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let outcome = match method(&head.method, &head.headers) {
        Ok(Method::OPTIONS) => Ok(offer(uploads)),
        Ok(method) => match uploads.find(&secret) {
            Ok(id) => work(uploads, &id, &method, &head.headers, &mut body).await,
            Err(unknown) => Err(unknown.into()),
        },
        Err(refusal) => Err(refusal),
    };
    answer(outcome, body)
}

/// What a request came to: headers and a body that are tus's.
type Outcome = Result<Response<Body>, Refusal>;

/// Why a request was refused.
struct Refusal {
    status: StatusCode,
    text: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    fn new(status: StatusCode, text: &str) -> Self {
        Self {
            status,
            text: text.to_owned(),
            header: None,
        }
    }

    fn method(allowed: &'static str) -> Self {
        Self {
            header: Some((header::ALLOW, HeaderValue::from_static(allowed))),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this method is not known here",
            )
        }
    }

    fn bad(text: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

impl From<UploadError> for Refusal {
    fn from(error: UploadError) -> Self {
        Self::new(status(&error), &error.to_string())
    }
}

fn status(error: &UploadError) -> StatusCode {
    match error {
        UploadError::Unknown => StatusCode::NOT_FOUND,
        UploadError::Empty
        | UploadError::OtherSize(_)
        | UploadError::Incomplete { .. }
        | UploadError::CutOff => StatusCode::BAD_REQUEST,
        UploadError::TooLarge(_) | UploadError::TooMuch(_) => StatusCode::PAYLOAD_TOO_LARGE,
        UploadError::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        UploadError::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
        UploadError::TokenUsed | UploadError::WrongOffset(_) => StatusCode::CONFLICT,
        UploadError::Busy => StatusCode::LOCKED,
        // tus's own "Checksum Mismatch"
        UploadError::Mismatch { .. } => StatusCode::from_u16(460).unwrap_or(StatusCode::CONFLICT),
        UploadError::WasMismatched | UploadError::Used => StatusCode::GONE,
        UploadError::Stalled(_) | UploadError::Deadline(_) => StatusCode::REQUEST_TIMEOUT,
        UploadError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        UploadError::Disk(_) | UploadError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The request's method, or the one that a client behind a poor proxy means.
fn method(sent: &Method, headers: &HeaderMap) -> Result<Method, Refusal> {
    match headers.get(METHOD_OVERRIDE) {
        Some(meant) if *sent == Method::POST => Method::from_bytes(meant.as_bytes())
            .map_err(|_| Refusal::bad("X-HTTP-Method-Override is no method")),
        _ => Ok(sent.clone()),
    }
}

fn offer(uploads: &Uploads) -> Response<Body> {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_VERSION, VERSION);
    headers.insert(TUS_EXTENSION, EXTENSIONS);
    headers.insert(TUS_MAX_SIZE, uploads.max_bytes().into());
    response
}

/// Takes the secret for a token, and the first bytes if there are any.
async fn create(
    uploads: &std::sync::Arc<Uploads>,
    head: &axum::http::request::Parts,
    body: &mut BodyDataStream,
) -> Outcome {
    check_version(&head.headers)?;
    let unauthorized = || Refusal {
        header: Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        ..Refusal::new(
            StatusCode::UNAUTHORIZED,
            "an upload needs the token that image/createUpload gave, as \"Authorization: Bearer …\"",
        )
    };
    let token = token(head).ok_or_else(unauthorized)?;
    let length = number(&head.headers, &UPLOAD_LENGTH)?;
    let id = match uploads.redeem(&token, length).await {
        Err(UploadError::Unknown) => return Err(unauthorized()),
        redeemed => redeemed?,
    };
    let mut progress = uploads.progress(&id)?;
    if is_bytes(&head.headers) {
        progress = receive(uploads, &id, Begin::At(0), &head.headers, body).await?;
    }
    let mut response = StatusCode::CREATED.into_response();
    tell(response.headers_mut(), progress);
    let location = HeaderValue::try_from(path(&token));
    let location = location.map_err(|_| Refusal::from(UploadError::Unknown))?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// Does what is asked of an upload.
async fn work(
    uploads: &std::sync::Arc<Uploads>,
    id: &str,
    method: &Method,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Outcome {
    if *method == Method::PUT {
        receive(uploads, id, Begin::Anew, headers, body).await?;
        return Ok(format!("The upload {id} is complete.\n").into_response());
    }
    if ![Method::HEAD, Method::PATCH, Method::DELETE].contains(method) {
        return Err(Refusal {
            header: Some((header::ALLOW, METHODS)),
            ..Refusal::method("")
        });
    }
    check_version(headers)?;
    if *method == Method::DELETE {
        uploads.remove(id).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let (status, progress) = if *method == Method::PATCH {
        let offset = number(headers, &UPLOAD_OFFSET)?;
        if !is_bytes(headers) {
            let text = format!("the bytes of an upload are sent as {BYTES}");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text));
        }
        let received = receive(uploads, id, Begin::At(offset), headers, body).await?;
        (StatusCode::NO_CONTENT, received)
    } else {
        (StatusCode::OK, uploads.progress(id)?)
    };
    let mut response = status.into_response();
    tell(response.headers_mut(), progress);
    Ok(response)
}

async fn receive(
    uploads: &std::sync::Arc<Uploads>,
    id: &str,
    begin: Begin,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<Progress, UploadError> {
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse().ok());
    let body = std::mem::replace(body, Body::empty().into_data_stream());
    uploads.receive(id, begin, announced, body).await
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get(TUS_RESUMABLE) == Some(&VERSION) {
        return Ok(());
    }
    Err(Refusal {
        header: Some((TUS_VERSION, VERSION)),
        ..Refusal::new(
            StatusCode::PRECONDITION_FAILED,
            "the header Tus-Resumable must say 1.0.0",
        )
    })
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Refusal> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let digits = value.filter(|text| text.bytes().all(|c| c.is_ascii_digit()));
    let number = digits.and_then(|text| text.parse().ok());
    number.ok_or_else(|| Refusal::bad(&format!("the header {name} must be a number of bytes")))
}

fn is_bytes(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(BYTES.as_bytes()))
}

fn tell(headers: &mut HeaderMap, progress: Progress) {
    headers.insert(UPLOAD_OFFSET, progress.offset.into());
    headers.insert(UPLOAD_LENGTH, progress.size.into());
    if let Some(date) = http_date(progress.expires_at) {
        headers.insert(UPLOAD_EXPIRES, date);
    }
}

fn http_date(time: Timestamp) -> Option<HeaderValue> {
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&time);
    text.ok()?.try_into().ok()
}

/// Adds what all answers have in common.
fn answer(outcome: Outcome, body: BodyDataStream) -> Response<Body> {
    let mut response = outcome.unwrap_or_else(|refusal| {
        tokio::spawn(drain(body));
        let mut response = (refusal.status, format!("{}\n", refusal.text)).into_response();
        response.headers_mut().extend(refusal.header);
        response
    });
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE, VERSION);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn drain(mut body: BodyDataStream) {
    let reading = async {
        let mut left = DRAINED_BYTES;
        while let Ok(Some(Ok(piece))) = timeout(DRAINED_SILENCE, body.next()).await {
            let Some(less) = left.checked_sub(piece.len()) else {
                return;
            };
            left = less;
        }
    };
    drop(timeout(DRAINED, reading).await);
}
