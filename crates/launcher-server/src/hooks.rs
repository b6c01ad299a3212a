//! Webhooks over HTTP: `POST /hooks/<secret>`.

use std::time::Duration;

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use launcher_core::hooks::pushes;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    http::{Control, foreign_page, nothing},
    origin,
};

/// Most of a notification, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// How long its sender may take.
const BODY: Duration = Duration::from_secs(10);
/// Where hooks are.
const PREFIX: &str = "/hooks/";

/// A hook's secret as a path.
pub(crate) fn path(secret: &str) -> String {
    format!("{PREFIX}{secret}")
}

/// Answers at once; what follows is done in the background. Whoever does not know a secret learns no
/// more here than anywhere else where nothing is.
pub(crate) async fn receive(State(control): State<Control>, request: Request) -> Response {
    if !origin::is_trusted(request.headers(), control.domain.as_ref()) {
        return foreign_page();
    }
    let launcher = control.api.launcher();
    let secret = request.uri().path().strip_prefix(PREFIX);
    let hook = secret.and_then(|secret| launcher.hooks().find(secret));
    let Some(hook) = hook.filter(|_| request.method() == Method::POST) else {
        return nothing();
    };
    let images = match read(request.into_body()).await {
        Ok(text) => pushes(&text).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string())),
        Err(refusal) => Err(refusal),
    };
    match images {
        Ok(images) => {
            tracing::info!(%hook, ?images, "a registry tells of a push");
            launcher.pushed(&hook, &images);
            let names: Vec<&str> = images
                .iter()
                .map(launcher_core::ImageName::as_str)
                .collect();
            (StatusCode::ACCEPTED, Json(json!({ "images": names }))).into_response()
        }
        Err((status, error)) => {
            tracing::warn!(%hook, error = %error.escape_debug(), "a registry sent something else");
            (status, Json(json!({ "error": error }))).into_response()
        }
    }
}

async fn read(body: Body) -> Result<axum::body::Bytes, (StatusCode, String)> {
    match timeout(BODY, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(_)) => Err((
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a notification has at most {MAX_BODY} bytes"),
        )),
        Err(_) => Err((
            StatusCode::REQUEST_TIMEOUT,
            format!("the notification did not come within {BODY:?}"),
        )),
    }
}
