use std::collections::VecDeque;
use std::io::ErrorKind;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use ddp_protocol::merge_box::Framing;
use ddp_protocol::session::Transmit;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, Role, WebSocketConfig, WebSocketContext,
};
use tokio_tungstenite::tungstenite::{Error, Message, Result, Utf8Bytes};

use super::channel::Channel;
use super::frame::masked_length;
use super::{Arrived, CloseCode, Ending, Wire, framing};

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
    /// The length of the frames that were read since `context` was made, as far as it is known.
    consumed: usize,
    large: bool,
    framing: Framing,
    /// Messages that came in one frame with others.
    heard: VecDeque<String>,
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
    pub(crate) fn new(socket: S, ahead: Bytes, framing: Framing, max_message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes));
        let mut channel = Channel::new(socket, ahead);
        if let Some(frame) = framing::opening(framing) {
            channel.push(frame);
        }
        Self {
            context: WebSocketContext::new(Role::Server, Some(config)),
            channel,
            consumed: 0,
            large: false,
            framing,
            heard: VecDeque::new(),
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

    fn unframe(&mut self, text: Utf8Bytes) -> Arrived {
        if self.framing == Framing::WebSocket {
            return Arrived::Text(text);
        }
        let Ok(messages) = sockjs::frame::parse_client_frame(&text) else {
            return Arrived::End(Ending::Close(CloseCode::BrokenFraming));
        };
        self.heard = messages.into();
        match self.heard.pop_front() {
            Some(text) => Arrived::Text(text.into()),
            None => Arrived::Nothing,
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
        if let Some(text) = self.heard.pop_front() {
            return Poll::Ready(Arrived::Text(text.into()));
        }
        let message = match ready!(self.read(context)) {
            Ok(message) => message,
            Err(error) => return Poll::Ready(Arrived::End(Ending::of(&error))),
        };
        self.consume(&message);
        Poll::Ready(match message {
            Message::Text(text) => self.unframe(text),
            // what is no text is no message either, and is answered as such
            Message::Binary(bytes) => self
                .unframe(Utf8Bytes::try_from(bytes).unwrap_or(Utf8Bytes::from_static("\u{fffd}"))),
            _ => Arrived::Nothing,
        })
    }

    fn has_room(&self) -> bool {
        self.channel.has_room()
    }

    fn push(&mut self, message: Transmit) {
        if let Transmit::Text(text) = message {
            self.channel.push(framing::message(self.framing, text));
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        let flushed = ready!(self.channel.poll_flush(context));
        Poll::Ready(flushed.map_err(|_| Ending::Gone))
    }

    fn close(&mut self, code: CloseCode) {
        let mut socket_code = code;
        if let Some(frame) = framing::closing(self.framing, code) {
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
mod tests {
    use std::future::poll_fn;

    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::io::DuplexStream;
    use tokio_tungstenite::WebSocketStream;

    use super::*;

    /// A WebSocket and its client, with a pipe between them that holds little.
    async fn pair(size: usize) -> (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (server, client) = tokio::io::duplex(size);
        let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let framing = Framing::WebSocket;
        (
            WebSocket::new(server, Bytes::new(), framing, 1 << 20),
            client,
        )
    }

    /// Hears and sends until something has arrived.
    async fn pump(socket: &mut WebSocket<DuplexStream>) -> Arrived {
        poll_fn(|context| {
            let _waits = socket.poll_flush(context);
            let arrived = socket.poll_receive(context);
            let _waits = socket.poll_flush(context);
            arrived
        })
        .await
    }

    #[tokio::test]
    async fn a_pong_waits_for_the_end_of_a_frame() {
        let (mut socket, mut client) = pair(64).await;
        socket.push(Transmit::Text("x".repeat(1000).into()));
        let server = async {
            assert!(matches!(pump(&mut socket).await, Arrived::Nothing));
            assert!(socket.waiting_bytes() > 0, "the frame has begun");
            socket.push(Transmit::Text("second".to_owned().into()));
            assert!(matches!(pump(&mut socket).await, Arrived::Text(_)));
        };
        let client = async {
            client.send(Message::Ping("?".into())).await.unwrap();
            let first = client.next().await.unwrap().unwrap();
            assert_eq!(first, Message::text("x".repeat(1000)));
            let mut others = Vec::new();
            for _ in 0..2 {
                others.push(client.next().await.unwrap().unwrap());
            }
            assert!(others.contains(&Message::Pong("?".into())));
            assert!(others.contains(&Message::text("second")));
            client.send(Message::text("heard")).await.unwrap();
        };
        tokio::join!(server, client);
    }

    #[tokio::test]
    async fn whoever_floods_with_pings_and_reads_nothing_is_not_kept_in_memory() {
        let (mut socket, mut client) = pair(64).await;
        let server = async {
            while !matches!(pump(&mut socket).await, Arrived::Text(_)) {}
            assert!(socket.waiting_bytes() < 100_000);
        };
        let flood = async {
            for _ in 0..2000 {
                let ping = Message::Ping(vec![0; 120].into());
                client.feed(ping).await.unwrap();
            }
            client.send(Message::text("done")).await.unwrap();
        };
        tokio::join!(server, flood);
    }

    #[tokio::test]
    async fn a_large_message_leaves_no_buffer() {
        let (mut socket, mut client) = pair(1 << 20).await;
        for size in [100_000, 10] {
            client.send(Message::text("x".repeat(size))).await.unwrap();
            assert!(matches!(pump(&mut socket).await, Arrived::Text(text) if text.len() == size));
            assert!(
                poll_fn(|context| Poll::Ready(socket.poll_receive(context).is_pending())).await
            );
            assert!(!socket.large, "the buffer was not given back");
        }
    }

    #[tokio::test]
    async fn a_close_comes_after_what_was_said() {
        let (mut socket, mut client) = pair(64).await;
        socket.push(Transmit::Text("x".repeat(1000).into()));
        socket.close(CloseCode::TryAgainLater);
        let server = async move {
            poll_fn(|context| socket.poll_closed(context)).await;
        };
        let client = async {
            assert!(client.next().await.unwrap().unwrap().is_text());
            let Some(Ok(Message::Close(Some(frame)))) = client.next().await else {
                panic!("no close");
            };
            assert_eq!(u16::from(frame.code), 1013);
            assert!(client.next().await.is_none());
        };
        tokio::join!(server, client);
    }
}
