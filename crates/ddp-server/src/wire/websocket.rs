use std::io::ErrorKind;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use ddp_protocol::merge_box::Framing;
use ddp_protocol::session::{Text, Transmit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, Role, WebSocketConfig, WebSocketContext,
};
use tokio_tungstenite::tungstenite::{Error, Message, Result, Utf8Bytes};

use super::channel::Channel;
use super::frame::{masked_length, text_frame};
use super::{Arrived, CloseCode, Ending, Wire};

/// The default of 128 KiB for each connection would be most of an idle session.
const READ_BUFFER_BYTES: usize = 512;
/// The longest pong and close that wait for a client that does not read.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// A message that is longer leaves a buffer that is not worth keeping.
const LARGE_BYTES: usize = 8 * 1024;

/// A raw WebSocket: one message is one text frame.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    context: WebSocketContext,
    channel: Channel<S>,
    /// The length of the frames that were read since `context` was made, as far as it is known.
    consumed: usize,
    large: bool,
    leaving: Leaving,
}

/// What is still to be done for a connection that is over.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// Send what waits.
    Send,
    /// Hear the client say good-bye as well.
    Hear,
    /// Read whatever the client still sends: closing over it would reset the connection, and the
    /// client might never see the code.
    Drain,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// A connection that was upgraded, of which some bytes were read already.
    pub(crate) fn new(socket: S, ahead: Bytes, max_message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes));
        Self {
            context: WebSocketContext::new(Role::Server, Some(config)),
            channel: Channel::new(socket, ahead),
            consumed: 0,
            large: false,
            leaving: Leaving::Send,
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> Poll<Result<Message>> {
        match self.context.read(&mut self.channel.with(context)) {
            Err(error) if would_block(&error) => {
                self.shed();
                Poll::Pending
            }
            outcome => Poll::Ready(outcome),
        }
    }

    /// Counts what a message took.
    fn consume(&mut self, message: &Message) {
        let length = message.len();
        self.consumed += masked_length(length);
        self.large |= length > LARGE_BYTES;
    }

    /// Gives the buffer of a large message back, when nothing is in it. That is not known after a
    /// message that came in several frames.
    fn shed(&mut self) {
        if !self.large || *self.channel.given() != self.consumed || !self.context.can_write() {
            return;
        }
        let config = *self.context.get_config();
        self.context = WebSocketContext::new(Role::Server, Some(config));
        (*self.channel.given(), self.consumed, self.large) = (0, 0, false);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Wire for WebSocket<S> {
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Arrived> {
        let message = match ready!(self.read(context)) {
            Ok(message) => message,
            Err(error) => return Poll::Ready(Arrived::End(Ending::of(&error))),
        };
        self.consume(&message);
        Poll::Ready(match message {
            Message::Text(text) => Arrived::Text(text),
            // what is no text is no message either, and is answered as such
            Message::Binary(bytes) => Arrived::Text(
                Utf8Bytes::try_from(bytes).unwrap_or(Utf8Bytes::from_static("\u{fffd}")),
            ),
            _ => Arrived::Nothing,
        })
    }

    fn has_room(&self) -> bool {
        self.channel.has_room()
    }

    fn push(&mut self, message: Transmit) {
        match message {
            Transmit::Text(Text::Own(text)) => self.channel.push(text_frame(&text)),
            Transmit::Text(Text::Shared(change)) => {
                let frame = change.framed(Framing::WebSocket, text_frame);
                self.channel.push(frame.clone());
            }
            Transmit::Close => {}
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        let flushed = ready!(self.channel.poll_flush(context));
        Poll::Ready(flushed.map_err(|_| Ending::Gone))
    }

    fn close(&mut self, code: CloseCode) {
        let frame = CloseFrame {
            code: code.into(),
            reason: Utf8Bytes::default(),
        };
        self.channel.take_all();
        let mut nobody = Context::from_waker(Waker::noop());
        let closed = self
            .context
            .close(&mut self.channel.with(&mut nobody), Some(frame));
        self.leaving = match code {
            _ if closed.is_err() => Leaving::Send,
            CloseCode::Normal | CloseCode::TryAgainLater => Leaving::Hear,
            CloseCode::Protocol | CloseCode::Invalid | CloseCode::TooLong => Leaving::Drain,
        };
    }

    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let flushed = self.channel.poll_flush(context);
        if matches!(flushed, Poll::Ready(Err(_))) {
            return Poll::Ready(());
        }
        match self.leaving {
            Leaving::Send => flushed.map(drop),
            Leaving::Hear => {
                while ready!(self.read(context)).is_ok() {}
                Poll::Ready(())
            }
            Leaving::Drain => self.channel.poll_drain(context),
        }
    }

    fn waiting_bytes(&self) -> usize {
        self.channel.waiting_bytes()
    }
}

impl Ending {
    fn of(error: &Error) -> Self {
        CloseCode::of_error(error).map_or(Self::Gone, Self::Close)
    }
}

fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}
