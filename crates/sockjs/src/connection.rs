use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::{Sink, Stream};
use http::HeaderMap;

use crate::path::Transport;
use crate::session::{Closing, NotSent, Session};
use crate::shared::{Role, Shared};

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// As much waits for the client as may. Wait for [`Connection::poll_ready`] before sending.
    #[error("too much waits for the client already")]
    Full,
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
}

/// A connection to one client, over whichever transport it found to work.
///
/// It is a [`Stream`] of what the client says, which ends when the client is gone or the connection
/// closed, and a [`Sink`] for what is said to it. Both can be driven by hand with the `poll_`
/// methods, which need no `Pin`. Each of them wakes the task that called it last.
///
/// What is sent waits until the client fetches it. Once more than
/// [`max_queued_bytes`](crate::Builder::max_queued_bytes) wait, `poll_ready` is pending: a client
/// that does not read holds up only those who wait for it.
///
/// Dropping it closes the connection with `1000 "Normal closure"`, after what was sent.
pub struct Connection {
    session: Arc<Shared>,
    id: u64,
    peer: SocketAddr,
    transport: Transport,
    headers: HeaderMap,
}

impl Connection {
    pub(crate) fn new(
        session: Arc<Shared>,
        id: u64,
        peer: SocketAddr,
        transport: Transport,
        headers: HeaderMap,
    ) -> Self {
        Self {
            session,
            id,
            peer,
            transport,
            headers,
        }
    }

    /// A number that no other connection of this server has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The other end of the socket that the connection was opened through.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The headers of the request that opened the connection.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Takes the headers out, for those who look at them once and keep many connections.
    pub fn take_headers(&mut self) -> HeaderMap {
        std::mem::take(&mut self.headers)
    }

    /// The transport that the connection was opened with.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether messages can still be sent.
    pub fn is_open(&self) -> bool {
        self.session.with(|session| session.is_open())
    }

    /// Bytes that wait for the client, with 32 for each message besides its own.
    pub fn queued_bytes(&self) -> usize {
        self.session.with(|session| session.queued_bytes())
    }

    /// The next message, or none when the connection is over.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<String>> {
        self.session.poll(Role::Reader, context, |session| {
            match session.poll_message() {
                Some(message) => Poll::Ready(Some(message)),
                None if session.is_open() => Poll::Pending,
                None => Poll::Ready(None),
            }
        })
    }

    /// Ready when a message can be sent.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`].
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_open(Role::Writer, context, Session::has_room)
    }

    /// Ready when the transport has taken all messages, or at once after a close.
    ///
    /// A client that polls takes them with its next request: who waits for this after each message
    /// makes it ask once for each.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`].
    pub fn poll_drained(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_open(Role::Drainer, context, |session| {
            session.queued_bytes() == 0
        })
    }

    /// Queues a message. It is on its way without anything further.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn start_send(&mut self, message: impl Into<String>) -> Result<(), SendError> {
        let message = message.into();
        self.session
            .with(|session| session.send(message))
            .map_err(|not| match not {
                NotSent::Full => SendError::Full,
                NotSent::Closed => SendError::Closed,
            })
    }

    /// Closes the connection: what was sent is still delivered, then the client is told the code
    /// and the reason. Codes of applications are 3000 to 4999. Does nothing if it is closed.
    pub fn close(&mut self, code: u16, reason: &str) {
        let closing = Closing::new(code, reason);
        self.session
            .with(|session| session.close(closing, Instant::now()));
    }

    fn poll_open(
        &self,
        role: Role,
        context: &mut Context<'_>,
        ready: impl FnOnce(&Session) -> bool,
    ) -> Poll<Result<(), SendError>> {
        self.session.poll(role, context, |session| {
            if !session.is_open() {
                Poll::Ready(Err(SendError::Closed))
            } else if ready(session) {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close(1000, "Normal closure");
    }
}

impl Stream for Connection {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        self.poll_recv(context)
    }
}

/// `flush` is done when the connection has the messages, not when the client has them; `close` is
/// `1000 "Normal closure"`, after what was sent.
impl<M: Into<String>> Sink<M> for Connection {
    type Error = SendError;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        Self::poll_ready(&mut self, context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: M) -> Result<(), SendError> {
        Self::start_send(&mut self, message)
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        Self::close(&mut self, 1000, "Normal closure");
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
