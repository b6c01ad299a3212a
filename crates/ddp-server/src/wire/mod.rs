//! The ways on which a session speaks to its client.

mod channel;
mod close;
mod frame;
mod framing;
mod polling;
mod position;
mod socket;
mod vigil;
mod websocket;

use std::task::{Context, Poll};
use std::time::Instant;

use ddp_protocol::session::Transmit;
use tokio_tungstenite::tungstenite::Utf8Bytes;

pub(crate) use self::close::CloseCode;
pub(crate) use self::polling::Polling;
pub(crate) use self::socket::Socket;
pub(crate) use self::websocket::WebSocket;

/// A connection that carries messages. Sending never holds up hearing.
pub(crate) trait Wire: Send + Unpin + 'static {
    /// What has arrived.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Arrived>;

    /// Whether it takes a message. It holds few: what waits belongs to the session, which can
    /// still merge it, and counts it.
    fn has_room(&self) -> bool;

    /// Takes a message to send.
    fn push(&mut self, message: Transmit);

    /// Sends what it was given, as far as the client takes it. Ready when nothing is left.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ending>>;

    /// When to call [`handle_timeout`](Self::handle_timeout), if ever.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Time has passed. Fails when the client is to be given up.
    fn handle_timeout(&mut self, _now: Instant) -> Result<(), Ending> {
        Ok(())
    }

    /// Takes leave. Nothing is pushed after this.
    fn close(&mut self, code: CloseCode);

    /// Ready when the client has heard that the connection is over, or is gone.
    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// How many bytes it holds that the client has not taken.
    fn waiting_bytes(&self) -> usize;
}

/// What a wire has brought.
#[derive(Debug)]
pub(crate) enum Arrived {
    Text(Utf8Bytes),
    /// Something that is for the wire only.
    Nothing,
    /// It is over.
    End(Ending),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client is to be told why.
    Close(CloseCode),
    /// The client is gone.
    Gone,
}
