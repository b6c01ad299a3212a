//! The engine's description of a container exactly as the engine gives it: `bollard`'s types drop the
//! fields that they do not know.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::Value;

use super::{EngineError, docker_request::ask};

/// `GET /v<version>/containers/<id>/json` at the engine's address.
pub(super) async fn inspect(
    host: &str,
    version: &str,
    container: &str,
) -> Result<Value, EngineError> {
    get(host, &format!("/v{version}/containers/{container}/json")).await
}

/// `GET` of a path at the engine's address.
pub(super) async fn get(host: &str, path: &str) -> Result<Value, EngineError> {
    let request = Request::get(path)
        .body(Full::<Bytes>::default())
        .map_err(|e| EngineError::Failed(e.to_string()))?;
    ask(host, request).await?.document().await
}
