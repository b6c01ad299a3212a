//! The engine's description of a container exactly as the engine gives it: `bollard`'s types drop the
//! fields that they do not know.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::{EngineError, docker::innermost};

/// Longest description that is read, in bytes; a usual one has 10 KB.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Where Docker listens on TCP when no port is given.
const DEFAULT_PORT: u16 = 2375;

/// `GET /v<version>/containers/<id>/json` at the engine's address (`unix://…`, `tcp://…`, `http://…`).
pub(super) async fn inspect(
    host: &str,
    version: &str,
    container: &str,
) -> Result<Value, EngineError> {
    let path = format!("/v{version}/containers/{container}/json");
    if let Some(socket) = host.strip_prefix("unix://") {
        let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
        return ask(stream, path).await;
    }
    let url = Url::parse(host).map_err(unreachable)?;
    let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let stream = TcpStream::connect((name, url.port().unwrap_or(DEFAULT_PORT))).await;
    ask(stream.map_err(unreachable)?, path).await
}

async fn ask<S>(stream: S, path: String) -> Result<Value, EngineError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(unreachable)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(path)
        .header(HOST, "docker")
        .body(Empty::<Bytes>::new())
        .map_err(|e| EngineError::Failed(e.to_string()))?;
    let response = sender.send_request(request).await.map_err(unreachable)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await;
    let body = body.map_err(|e| EngineError::Failed(e.to_string()))?;
    understood(status, &body.to_bytes())
}

fn understood(status: StatusCode, body: &[u8]) -> Result<Value, EngineError> {
    if status.is_success() {
        return serde_json::from_slice(body).map_err(|e| EngineError::Failed(e.to_string()));
    }
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let refused = || format!("the Docker engine answered {status}");
    let message = answer["message"]
        .as_str()
        .map_or_else(refused, str::to_owned);
    match status {
        StatusCode::NOT_FOUND => Err(EngineError::NotFound(message)),
        _ => Err(EngineError::Failed(message)),
    }
}

fn unreachable(error: impl std::error::Error) -> EngineError {
    EngineError::Unreachable(innermost(&error))
}
