//! One WebSocket, as a connection needs it: sending never holds up hearing.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use ddp_protocol::client::{Connection, Transmit};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::dial::Socket;

/// How long the server may take to answer the closing of the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A WebSocket and what is on its way out.
pub(crate) struct Wire {
    socket: Socket,
    unflushed: bool,
}

/// What the socket has brought.
pub(crate) enum Arrived {
    Text(Utf8Bytes),
    /// Something that is for the WebSocket only.
    Nothing,
    /// It is over, and why.
    End(String),
}

impl Wire {
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            socket,
            unflushed: false,
        }
    }

    /// Waits for something to arrive, and sends meanwhile what there is to send.
    pub(crate) async fn next(&mut self, connection: &mut Connection) -> Arrived {
        poll_fn(|context| match self.poll_send(connection, context) {
            Poll::Ready(error) => Poll::Ready(Arrived::End(error.to_string())),
            Poll::Pending => self.poll_receive(context),
        })
        .await
    }

    /// Takes leave of the server, as far as it is still there.
    pub(crate) async fn close(mut self) {
        let leave = async {
            let frame = CloseFrame {
                code: CloseCode::Normal,
                reason: "".into(),
            };
            if self.socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _server_took_too_long = timeout(CLOSE_TIMEOUT, leave).await;
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Arrived> {
        let message = self.socket.poll_next_unpin(context);
        message.map(|message| match message {
            Some(Ok(Message::Text(text))) => Arrived::Text(text),
            // what is no text is no message either, and is passed over as such
            Some(Ok(Message::Binary(bytes))) => {
                Utf8Bytes::try_from(bytes).map_or(Arrived::Nothing, Arrived::Text)
            }
            Some(Ok(Message::Close(frame))) => Arrived::End(match frame {
                Some(frame) => format!("the server has closed the connection ({})", frame.code),
                None => "the server has closed the connection".to_owned(),
            }),
            Some(Ok(_)) => Arrived::Nothing,
            Some(Err(error)) => Arrived::End(error.to_string()),
            None => Arrived::End("the connection has ended".to_owned()),
        })
    }

    /// Is ready only when the connection is broken.
    fn poll_send(&mut self, connection: &mut Connection, context: &mut Context<'_>) -> Poll<Error> {
        while connection.has_transmit() {
            match self.socket.poll_ready_unpin(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => return Poll::Pending,
            }
            let Some(Transmit::Text(text)) = connection.poll_transmit() else {
                break;
            };
            if let Err(error) = self.socket.start_send_unpin(Message::text(text)) {
                return Poll::Ready(error);
            }
            self.unflushed = true;
        }
        self.poll_flush(context)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        if !self.unflushed {
            return Poll::Pending;
        }
        match self.socket.poll_flush_unpin(context) {
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(error)) => return Poll::Ready(error),
            Poll::Pending => {}
        }
        Poll::Pending
    }
}
