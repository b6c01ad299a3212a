//! One WebSocket, as a session needs it: sending never holds up hearing.

use std::future::poll_fn;
use std::task::{Context, Poll};

use ddp_protocol::Session;
use ddp_protocol::session::Transmit;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// A WebSocket and what is on its way out.
pub(crate) struct Wire<S> {
    socket: WebSocketStream<S>,
    unflushed: bool,
}

/// What the socket has brought.
pub(crate) enum Arrived {
    Text(Utf8Bytes),
    /// Something that is for the WebSocket only.
    Nothing,
    /// It is over.
    End(Ending),
}

/// How a connection ends.
pub(crate) enum Ending {
    /// The session wants it closed.
    Close,
    /// The client has said something that is no WebSocket message, or is gone.
    Broken(Error),
    /// The client is gone, or not worth waiting for.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(socket: WebSocketStream<S>) -> Self {
        Self {
            socket,
            unflushed: false,
        }
    }

    /// Sends what the session has to say, as far as the client takes it now.
    pub(crate) async fn send_waiting(&mut self, session: &mut Session) -> Result<(), Ending> {
        poll_fn(|context| match self.poll_send(session, context) {
            Poll::Ready(ending) => Poll::Ready(Err(ending)),
            Poll::Pending => Poll::Ready(Ok(())),
        })
        .await
    }

    /// Waits for something to arrive, and goes on sending meanwhile.
    pub(crate) async fn next(&mut self, session: &mut Session) -> Arrived {
        poll_fn(|context| match self.poll_send(session, context) {
            Poll::Ready(ending) => Poll::Ready(Arrived::End(ending)),
            Poll::Pending => self.poll_receive(context),
        })
        .await
    }

    /// Takes leave of the client, as far as it is still there: says what the session has left to
    /// say, and closes. May wait for the client: bound the time.
    pub(crate) async fn finish(&mut self, session: &mut Session, mut ending: Ending) {
        if matches!(ending, Ending::Close) {
            ending = poll_fn(|context| self.poll_send(session, context)).await;
        }
        let Some(code) = close_code(&ending) else {
            return;
        };
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        if self.socket.close(Some(frame)).await.is_err() {
            return;
        }
        if code == CloseCode::Normal {
            while let Some(Ok(_)) = self.socket.next().await {}
            return;
        }
        // What the client still sends must be read: closing over it would reset the connection,
        // and the client might never see the code.
        let mut rest = [0; 4096];
        while let Ok(1..) = self.socket.get_mut().read(&mut rest).await {}
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Arrived> {
        self.socket
            .poll_next_unpin(context)
            .map(|message| match message {
                Some(Ok(Message::Text(text))) => Arrived::Text(text),
                Some(Ok(Message::Binary(bytes))) => {
                    Arrived::Text(match Utf8Bytes::try_from(bytes) {
                        Ok(text) => text,
                        // what is no text is no message either, and is answered as such
                        Err(_) => Utf8Bytes::from_static("\u{fffd}"),
                    })
                }
                Some(Ok(_)) => Arrived::Nothing,
                Some(Err(error)) => Arrived::End(Ending::Broken(error)),
                None => Arrived::End(Ending::Gone),
            })
    }

    /// Is ready only when the connection is over.
    fn poll_send(&mut self, session: &mut Session, context: &mut Context<'_>) -> Poll<Ending> {
        while session.has_transmit() {
            match self.socket.poll_ready_unpin(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Ending::Broken(error)),
                Poll::Pending => return Poll::Pending,
            }
            match session.poll_transmit() {
                Some(Transmit::Text(text)) => {
                    if let Err(error) = self.socket.start_send_unpin(Message::text(text)) {
                        return Poll::Ready(Ending::Broken(error));
                    }
                    self.unflushed = true;
                }
                Some(Transmit::Close) => return Poll::Ready(Ending::Close),
                None => break,
            }
        }
        self.poll_flush(context)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        if !self.unflushed {
            return Poll::Pending;
        }
        match self.socket.poll_flush_unpin(context) {
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(error)) => return Poll::Ready(Ending::Broken(error)),
            Poll::Pending => {}
        }
        Poll::Pending
    }
}

/// The code to close with (RFC 6455 §7.4.1), where the client can still be told one.
fn close_code(ending: &Ending) -> Option<CloseCode> {
    match ending {
        Ending::Close => Some(CloseCode::Normal),
        Ending::Broken(Error::Capacity(_)) => Some(CloseCode::Size),
        Ending::Broken(Error::Utf8(_)) => Some(CloseCode::Invalid),
        Ending::Broken(Error::Protocol(_)) => Some(CloseCode::Protocol),
        Ending::Broken(_) | Ending::Gone => None,
    }
}
