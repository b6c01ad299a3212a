//! Requests to the engine that `bollard` does not make, or whose answers its types do not keep.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{HOST, HeaderValue},
    upgrade::{self, OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_util::{
    codec::{Decoder, FramedRead, LinesCodec, LinesCodecError},
    io::StreamReader,
    task::AbortOnDropHandle,
};
use url::Url;

use super::{
    EngineError,
    docker::{BROKE_OFF, innermost},
};

/// Longest answer that is read, in bytes; a container's description has 10 KB, one of all that is on
/// the engine's disk about 1 KB for each thing.
const MAX_ANSWER: usize = 32 * 1024 * 1024;
/// Longest line of a stream, in bytes; the longest are the errors of registries.
const MAX_LINE: usize = 1024 * 1024;
/// Where Docker listens on TCP when no port is given.
const DEFAULT_PORT: u16 = 2375;

/// What the engine begins to answer, whose connection ends with it.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Incoming,
    upgrade: OnUpgrade,
    connection: AbortOnDropHandle<hyper::Result<()>>,
}

/// Sends a request to the engine at `host` (`unix://…`, `tcp://…`, `http://…`).
pub(super) async fn ask(
    host: &str,
    request: Request<Full<Bytes>>,
) -> Result<Response, EngineError> {
    if let Some(socket) = host.strip_prefix("unix://") {
        let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
        return send(stream, request).await;
    }
    let url = Url::parse(host).map_err(unreachable)?;
    let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let stream = TcpStream::connect((name, url.port().unwrap_or(DEFAULT_PORT))).await;
    send(stream.map_err(unreachable)?, request).await
}

/// Sends a request for whose answer the engine leaves HTTP, and returns the bare connection.
pub(super) async fn hijack(
    host: &str,
    request: Request<Full<Bytes>>,
) -> Result<Upgraded, EngineError> {
    let response = ask(host, request).await?;
    if response.status != StatusCode::SWITCHING_PROTOCOLS {
        let refused = || EngineError::Failed("the Docker engine does not leave HTTP".into());
        return Err(response.document().await.err().unwrap_or_else(refused));
    }
    // Its task ends when it has handed the connection over.
    response.upgrade.await.map_err(unreachable)
}

async fn send<S>(stream: S, mut request: Request<Full<Bytes>>) -> Result<Response, EngineError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(unreachable)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(connection.with_upgrades()));
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("docker"));
    let mut response = sender.send_request(request).await.map_err(unreachable)?;
    Ok(Response {
        status: response.status(),
        upgrade: upgrade::on(&mut response),
        body: response.into_body(),
        connection,
    })
}

impl Response {
    /// The whole document, or why there is none.
    pub(super) async fn document(self) -> Result<Value, EngineError> {
        let status = self.status;
        let body = Limited::new(self.body, MAX_ANSWER).collect().await;
        drop(self.connection);
        let body = body
            .map_err(|e| EngineError::Failed(e.to_string()))?
            .to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|e| EngineError::Failed(e.to_string()));
        }
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let refused = || format!("the Docker engine answered {status}");
        let message = answer["message"]
            .as_str()
            .map_or_else(refused, str::to_owned);
        match status {
            StatusCode::NOT_FOUND => Err(EngineError::NotFound(message)),
            StatusCode::CONFLICT => Err(EngineError::Conflict(message)),
            _ => Err(EngineError::Failed(message)),
        }
    }

    /// Itself, unless the engine refuses.
    pub(super) async fn success(self) -> Result<Self, EngineError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let status = self.status;
        let refused = move |_| EngineError::Failed(format!("the Docker engine answered {status}"));
        Err(self.document().await.map_or_else(|error| error, refused))
    }

    /// Its lines, as they come.
    pub(super) fn lines(self) -> impl Stream<Item = Result<String, EngineError>> {
        let codec = LinesCodec::new_with_max_length(MAX_LINE);
        self.decoded(codec).map_err(|error| match error {
            LinesCodecError::MaxLineLengthExceeded => {
                EngineError::Failed("the Docker engine sent an endless line".into())
            }
            LinesCodecError::Io(error) => error.into(),
        })
    }

    /// What a decoder makes of it, as it comes.
    pub(super) fn decoded<D: Decoder>(
        self,
        decoder: D,
    ) -> impl Stream<Item = Result<D::Item, D::Error>> {
        let connection = self.connection;
        let pieces = self.body.into_data_stream().map_err(std::io::Error::other);
        FramedRead::new(StreamReader::new(pieces), decoder).inspect(move |_| {
            let _open = &connection;
        })
    }
}

impl From<std::io::Error> for EngineError {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(_) => unreachable(error),
            // The HTTP library's, of an answer that has no end.
            None => Self::Unreachable(BROKE_OFF.into()),
        }
    }
}

fn unreachable(error: impl std::error::Error + 'static) -> EngineError {
    EngineError::Unreachable(innermost(&error))
}
