use std::collections::VecDeque;
use std::io::ErrorKind;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::Bytes;
use ddp_protocol::heartbeat::Beat;
use ddp_protocol::merge_box::Framing;
use ddp_protocol::session::Transmit;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, Role, WebSocketConfig, WebSocketContext,
};
use tokio_tungstenite::tungstenite::{Error, Message, Result, Utf8Bytes};

use super::channel::Channel;
use super::frame::PING;
use super::vigil::Vigil;
use super::{Arrived, CloseCode, Ending, Wire, framing};
use crate::config::Heartbeat;

/// The default of 128 KiB for each connection would be most of an idle session.
const READ_BUFFER_BYTES: usize = 512;
/// The longest pong and close that wait for a client that does not read.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// A message that is longer leaves a buffer that is not worth keeping.
const LARGE_BYTES: usize = 8 * 1024;

/// A WebSocket. One message to the client is one text frame, as it is or in an array of SockJS.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    context: WebSocketContext,
    channel: Channel<S>,
    large: bool,
    leaving: Leaving,
    sockjs: Option<Box<SockJs>>,
}

/// What SockJS needs on a WebSocket. A raw one has nothing of it.
#[derive(Debug)]
struct SockJs {
    /// Messages that came in one frame with others.
    heard: VecDeque<String>,
    vigil: Option<Vigil>,
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
    /// A raw connection that was upgraded, of which some bytes were read already.
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
            large: false,
            leaving: Leaving::Send,
            sockjs: None,
        }
    }

    /// Speaks SockJS on it, and asks the client for signs of life.
    pub(crate) fn with_sockjs(mut self, heartbeat: Heartbeat, now: Instant) -> Self {
        self.channel.push(framing::opening());
        self.sockjs = Some(Box::new(SockJs {
            heard: VecDeque::new(),
            vigil: Vigil::new(heartbeat, now),
        }));
        self
    }

    fn framing(&self) -> Framing {
        match self.sockjs {
            None => Framing::WebSocket,
            Some(_) => Framing::SockJs,
        }
    }

    fn vigil(&mut self) -> Option<&mut Vigil> {
        self.sockjs.as_mut()?.vigil.as_mut()
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

    fn unframe(&mut self, text: Utf8Bytes) -> Arrived {
        let Some(sockjs) = &mut self.sockjs else {
            return Arrived::Text(text);
        };
        let Ok(messages) = sockjs::frame::parse_client_frame(&text) else {
            return Arrived::End(Ending::Close(CloseCode::BrokenFraming));
        };
        sockjs.heard = messages.into();
        match sockjs.heard.pop_front() {
            Some(text) => Arrived::Text(text.into()),
            None => Arrived::Nothing,
        }
    }

    /// Gives the buffer of a large message back, when nothing is in it: no begin of a message, and
    /// no answer of its own that waits for room.
    fn shed(&mut self) {
        let empty = self.channel.position().is_between_messages() && self.channel.has_room();
        if !self.large || !empty || !self.context.can_write() {
            return;
        }
        let config = *self.context.get_config();
        self.context = WebSocketContext::new(Role::Server, Some(config));
        self.large = false;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Wire for WebSocket<S> {
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Arrived> {
        if let Some(text) = self
            .sockjs
            .as_mut()
            .and_then(|sockjs| sockjs.heard.pop_front())
        {
            return Poll::Ready(Arrived::Text(text.into()));
        }
        let message = match ready!(self.read(context)) {
            Ok(message) => message,
            Err(error) => return Poll::Ready(Arrived::End(Ending::of(&error))),
        };
        self.large |= message.len() > LARGE_BYTES;
        Poll::Ready(match message {
            Message::Text(text) => self.unframe(text),
            // what is no text is no message either, and is answered as such
            Message::Binary(bytes) => self
                .unframe(Utf8Bytes::try_from(bytes).unwrap_or(Utf8Bytes::from_static("\u{fffd}"))),
            Message::Pong(_) => {
                self.vigil().into_iter().for_each(Vigil::handle_pong);
                Arrived::Nothing
            }
            _ => Arrived::Nothing,
        })
    }

    fn has_room(&self) -> bool {
        self.channel.has_room()
    }

    fn push(&mut self, message: Transmit) {
        if let Transmit::Text(text) = message {
            self.channel.push(framing::message(self.framing(), text));
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        let flushed = ready!(self.channel.poll_flush(context));
        Poll::Ready(flushed.map_err(|_| Ending::Gone))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let vigil = self.sockjs.as_ref()?.vigil.as_ref()?;
        Some(vigil.poll_timeout())
    }

    fn handle_timeout(&mut self, now: Instant) -> std::result::Result<(), Ending> {
        match self.vigil().map(|vigil| vigil.handle_timeout(now)) {
            Some(Beat::Ping) => self.channel.push(PING),
            Some(Beat::Dead) => return Err(Ending::Close(CloseCode::NoHeartbeat)),
            Some(Beat::Idle) | None => {}
        }
        Ok(())
    }

    fn close(&mut self, code: CloseCode) {
        let mut socket_code = code;
        if let Some(frame) = framing::closing(self.framing(), code) {
            self.channel.push(frame);
            socket_code = CloseCode::Normal;
        }
        let frame = CloseFrame {
            code: socket_code.into(),
            reason: Utf8Bytes::from_static(socket_code.reason()),
        };
        self.channel.take_all();
        let mut nobody = Context::from_waker(Waker::noop());
        let closed = self
            .context
            .close(&mut self.channel.with(&mut nobody), Some(frame));
        self.leaving = match code {
            _ if closed.is_err() => Leaving::Send,
            code if code.ends_session() => Leaving::Hear,
            _ => Leaving::Drain,
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

#[cfg(test)]
#[path = "websocket_tests.rs"]
mod tests;
