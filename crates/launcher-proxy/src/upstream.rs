use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::admission::Admission;
use crate::affinity::{Affinity, Token};
use crate::alarm::Alarm;
use crate::avoidance::Avoidance;
use crate::body::RequestBody;
use crate::config::Config;
use crate::load::{Load, UpstreamStats};
use crate::meter::Meter;
use crate::sockets::Sockets;

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
    load: Load,
    sockets: Sockets,
    meter: Meter,
    avoidance: Avoidance,
    admission: Admission,
    retired: AtomicBool,
    /// Set when it is first published by a proxy that makes its clients stay.
    token: OnceLock<Token>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

/// An [`Upstream`] for as long as somebody else holds it.
pub(crate) struct WeakUpstream {
    inner: Weak<Inner>,
}

impl WeakUpstream {
    pub(crate) fn upgrade(&self) -> Option<Upstream> {
        self.inner.upgrade().map(|inner| Upstream { inner })
    }
}

struct Idle {
    connection: Open,
    since: Instant,
}

/// Closed when dropped, even in the middle of a request's body.
struct Open {
    sender: SendRequest<RequestBody>,
    task: AbortOnDropHandle<()>,
    /// For how long an answer may take.
    alarm: Alarm,
}

impl Upstream {
    /// The server at `host` (a name or an IP address; an IPv6 one without brackets) and `port`. Does
    /// not connect: that happens with the first request.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into().into_boxed_str();
        let inner = Inner {
            address: Arc::new(Address { host, port }),
            idle: Mutex::default(),
            load: Load::default(),
            sockets: Sockets::default(),
            meter: Meter::default(),
            avoidance: Avoidance::default(),
            admission: Admission::default(),
            retired: AtomicBool::new(false),
            token: OnceLock::new(),
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

    /// What stands for it in cookies.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.inner.token.get()
    }

    pub(crate) fn name(&self, affinity: &Affinity) {
        let address = &self.inner.address;
        self.inner.token.get_or_init(|| affinity.token(address));
    }

    pub(crate) fn downgrade(&self) -> WeakUpstream {
        WeakUpstream {
            inner: Arc::downgrade(&self.inner),
        }
    }

    pub(crate) fn stats(&self) -> UpstreamStats {
        let sessions = || self.sockets().sessions();
        self.inner.load.stats(self.is_serving(), sessions)
    }

    pub(crate) fn load(&self) -> &Load {
        &self.inner.load
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    pub(crate) fn sockets(&self) -> &Sockets {
        &self.inner.sockets
    }

    pub(crate) fn avoidance(&self) -> &Avoidance {
        &self.inner.avoidance
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.inner.admission
    }

    /// Whether a client has something there.
    pub(crate) fn is_in_use(&self) -> bool {
        let stats = self.stats();
        stats.open_requests + stats.upgraded + stats.sessions > 0
    }

    /// Whether new requests may be sent.
    pub(crate) fn is_serving(&self) -> bool {
        !self.inner.retired.load(SeqCst)
    }

    pub(crate) fn serve(&self) {
        self.inner.retired.store(false, SeqCst);
    }

    /// Lets no new request begin, and closes what is unused, now and when it becomes so: a server
    /// that is asked to end waits for its clients. What is in use goes on.
    /// Returns whether it served before.
    pub(crate) fn retire(&self) -> bool {
        let served = !self.inner.retired.swap(true, SeqCst);
        let unused = std::mem::take(&mut *self.inner.idle.lock());
        drop(unused);
        served
    }

    /// An unused connection that was open when last looked at, if there is one.
    pub(crate) fn idle_connection(&self, config: &Config) -> Option<Connection> {
        let mut idle = self.inner.idle.lock();
        let now = Instant::now();
        let is_expired = |idle: &Idle| now.duration_since(idle.since) >= config.upstream_idle;
        let expired = idle.partition_point(is_expired);
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
        let alarm = Alarm::default();
        Ok(self.in_use(Open {
            sender,
            task,
            alarm,
        }))
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
        self.inner.address.fmt(formatter)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host.contains(':') {
            true => write!(formatter, "[{host}]:{port}"),
            false => write!(formatter, "{host}:{port}"),
        }
    }
}

/// One connection to an upstream, for one request; closed when dropped.
pub(crate) struct Connection {
    open: Open,
    upstream: Upstream,
}

/// A connection that an answer comes through; closed when dropped.
pub(crate) struct Answering {
    /// Absent if the connection has ended, which does not mean that the answer has been read.
    open: Option<Open>,
    upstream: Upstream,
}

pub(crate) type SendError = hyper::client::conn::TrySendError<Request<RequestBody>>;

impl Connection {
    /// To be given back with the answer.
    pub(crate) fn take_alarm(&mut self) -> Alarm {
        std::mem::take(&mut self.open.alarm)
    }

    /// Sends `request` and waits for the head of its answer. The error holds the request if nothing
    /// of it was sent.
    pub(crate) async fn send(
        self,
        request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Answering), Box<SendError>> {
        let mut open = self.open;
        let mut answer = pin!(open.sender.try_send_request(request));
        let (answered, open) = tokio::select! {
            biased;
            answered = answer.as_mut() => (answered, Some(open)),
            _ = &mut open.task => {
                // A request that was queued just as the connection ended stays in hyper's queue, without
                // an answer, until the sender is gone as well (hyperium/hyper#4122).
                drop(open);
                (answer.await, None)
            }
        };
        let upstream = self.upstream;
        let response = answered.map_err(Box::new)?;
        upstream.avoidance().end();
        Ok((response, Answering { open, upstream }))
    }
}

impl Answering {
    pub(crate) fn keep_alarm(&mut self, alarm: Alarm) {
        if let Some(open) = &mut self.open {
            open.alarm = alarm;
        }
    }

    /// Keeps the connection for the next request, once this one's answer has been read to its end.
    pub(crate) fn release(self, config: &Config) {
        let Some(connection) = self.open.filter(|open| !open.sender.is_closed()) else {
            return;
        };
        let mut idle = self.upstream.inner.idle.lock();
        // Asked under the lock: either this sees that the upstream is retired, or that sees this one.
        if self.upstream.is_serving() && idle.len() < config.max_idle_per_upstream {
            idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Leaves the connection to the protocol it was upgraded to.
    pub(crate) fn switch(self) {
        if let Some(open) = self.open {
            open.task.detach();
        }
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
