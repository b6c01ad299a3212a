use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::body::RequestBody;
use crate::config::Config;

/// A server that requests are forwarded to, and the unused connections to it. Clones are the same
/// upstream; two upstreams are equal when their addresses are.
#[derive(Clone)]
pub struct Upstream {
    inner: Arc<Inner>,
}

struct Inner {
    address: Arc<Address>,
    /// Oldest first. Locked for a push or a pop only.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    host: Box<str>,
    port: u16,
}

struct Idle {
    connection: Open,
    since: Instant,
}

/// Closed when dropped, even in the middle of a request's body.
struct Open {
    sender: SendRequest<RequestBody>,
    task: AbortOnDropHandle<()>,
}

impl Upstream {
    /// The server at `host` (a name or an IP address; an IPv6 one without brackets) and `port`. Does
    /// not connect: that happens with the first request.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into().into_boxed_str();
        let inner = Inner {
            address: Arc::new(Address { host, port }),
            idle: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The name or IP address.
    pub fn host(&self) -> &str {
        &self.inner.address.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.inner.address.port
    }

    pub(crate) fn address(&self) -> Arc<Address> {
        Arc::clone(&self.inner.address)
    }

    /// An unused connection that was open when last looked at, if there is one.
    pub(crate) fn idle_connection(&self, config: &Config) -> Option<Connection> {
        let mut idle = self.inner.idle.lock();
        let expired = idle.partition_point(|idle| idle.since.elapsed() >= config.upstream_idle);
        idle.drain(..expired);
        // The youngest is the least likely to be closed by the other side just now. One that is not
        // ready is still busy with a request's body that outlived its answer: not worth waiting for.
        let open = std::iter::from_fn(|| idle.pop())
            .map(|idle| idle.connection)
            .find(|connection| connection.sender.is_ready())?;
        Some(self.in_use(open))
    }

    /// A new connection. The caller limits the time.
    pub(crate) async fn connect(&self, config: &Config) -> io::Result<Connection> {
        let stream = TcpStream::connect((self.host(), self.port())).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = client(config)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to an upstream ended");
            }
        });
        let task = AbortOnDropHandle::new(task);
        Ok(self.in_use(Open { sender, task }))
    }

    fn in_use(&self, open: Open) -> Connection {
        let upstream = self.clone();
        Connection { open, upstream }
    }

    #[cfg(test)]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl PartialEq for Upstream {
    fn eq(&self, other: &Self) -> bool {
        self.inner.address == other.inner.address
    }
}

impl Eq for Upstream {}

impl fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Upstream({self})")
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host() {
            literal if literal.contains(':') => write!(formatter, "[{literal}]:{}", self.port()),
            host => write!(formatter, "{host}:{}", self.port()),
        }
    }
}

/// One connection to an upstream, in use by one request; closed when dropped.
pub(crate) struct Connection {
    open: Open,
    upstream: Upstream,
}

pub(crate) type SendError = hyper::client::conn::TrySendError<Request<RequestBody>>;

impl Connection {
    /// Sends `request` and waits for the head of its answer. The error holds the request if nothing
    /// of it was sent.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Box<SendError>> {
        let answer = self.open.sender.try_send_request(request);
        answer.await.map_err(Box::new)
    }

    /// Keeps the connection for the next request, once this one's answer has been read to its end.
    pub(crate) fn release(self, config: &Config) {
        let mut idle = self.upstream.inner.idle.lock();
        if !self.open.sender.is_closed() && idle.len() < config.max_idle_per_upstream {
            idle.push(Idle {
                connection: self.open,
                since: Instant::now(),
            });
        }
    }

    /// Leaves the connection to the protocol it was upgraded to.
    pub(crate) fn switch(self) {
        self.open.task.detach();
    }
}

fn client(config: &Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_header_size(config.max_header_bytes);
    if config.max_headers != DEFAULT_MAX_HEADERS {
        builder.max_headers(config.max_headers);
    }
    builder
}

/// What hyper parses without an allocation, as long as it is not told a number.
pub(crate) const DEFAULT_MAX_HEADERS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_are_equal_by_address() {
        assert_eq!(
            Upstream::new("127.0.0.1", 80),
            Upstream::new("127.0.0.1", 80)
        );
        assert_ne!(
            Upstream::new("127.0.0.1", 80),
            Upstream::new("127.0.0.1", 81)
        );
        assert_ne!(
            Upstream::new("127.0.0.1", 80),
            Upstream::new("127.0.0.2", 80)
        );
    }

    #[test]
    fn an_ipv6_address_is_shown_in_brackets() {
        assert_eq!(Upstream::new("::1", 80).to_string(), "[::1]:80");
        assert_eq!(Upstream::new("app", 80).to_string(), "app:80");
    }
}
