//! From an address to a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, handshake};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::address::Address;
use crate::dial_error::DialError;

/// tungstenite's default of 128 KiB would be most of a client's memory.
const BUFFER_BYTES: usize = 16 * 1024;

/// A connection, with or without TLS.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

pub(crate) type Socket = WebSocketStream<Box<dyn Io>>;

/// How to get a connection.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) address: Address,
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Duration,
    pub(crate) max_message_bytes: usize,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
}

impl Dialer {
    pub(crate) async fn dial(self: Arc<Self>) -> Result<Socket, DialError> {
        let attempt = timeout(self.timeout, self.open()).await;
        attempt.unwrap_or(Err(DialError::Timeout(self.timeout)))
    }

    async fn open(&self) -> Result<Socket, DialError> {
        let Address { host, port, .. } = &self.address;
        let socket = TcpStream::connect((host.as_str(), *port)).await?;
        // a message waits for nothing: it is small, and somebody waits for it
        let _not_fatal = socket.set_nodelay(true);
        let stream = self.secure(socket).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_message_size(Some(self.max_message_bytes))
            .max_frame_size(Some(self.max_message_bytes));
        let (socket, _response) =
            client_async_with_config(self.request()?, stream, Some(config)).await?;
        Ok(socket)
    }

    fn request(&self) -> Result<handshake::client::Request, tungstenite::Error> {
        let mut request = self.address.url.as_str().into_client_request()?;
        let headers = self.headers.iter();
        request
            .headers_mut()
            .extend(headers.map(|(name, value)| (name.clone(), value.clone())));
        Ok(request)
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, socket: TcpStream) -> Result<Box<dyn Io>, DialError> {
        if !self.address.tls {
            return Ok(Box::new(socket));
        }
        let stream = crate::tls::connect(self.tls.clone(), &self.address.host, socket)
            .await
            .map_err(DialError::from_tls)?;
        Ok(Box::new(stream))
    }

    #[cfg(not(feature = "tls"))]
    #[allow(
        clippy::unused_async,
        reason = "with TLS there is something to wait for"
    )]
    async fn secure(&self, socket: TcpStream) -> Result<Box<dyn Io>, DialError> {
        Ok(Box::new(socket))
    }
}
