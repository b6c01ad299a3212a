//! WebSockets, framed and raw: each is its session's only receiver, and the session ends with it.

use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role as End, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use crate::admission::Permit;
use crate::body::{Body, text};
use crate::config::Config;
use crate::frame::parse_client_frame;
use crate::path::Transport;
use crate::server::{Inner, shut_down};
use crate::session::{Closing, Frame, Next, ReceiverId, ReceiverKind, Session};
use crate::shared::{Role, Shared};
use crate::{handshake, response};

/// The drafts 7 and 8 differ from 13 in nothing that matters here.
const VERSIONS: [&str; 3] = ["13", "8", "7"];
/// tungstenite's default of 128 KiB for each connection would be most of an idle session.
const READ_BUFFER_BYTES: usize = 4 * 1024;
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Answers a request to speak WebSocket, and begins a session on it.
pub(crate) fn answer<B>(
    server: &Arc<Inner>,
    request: &mut Request<B>,
    transport: Transport,
    peer: SocketAddr,
) -> Response<Body> {
    if !server.config.enabled(transport) {
        let mut response = response::not_found();
        response::cacheable(response.headers_mut());
        return response;
    }
    let Some(response) = handshake::accept(request.headers(), &VERSIONS) else {
        return response::bare(StatusCode::BAD_REQUEST, "Not a valid websocket request");
    };
    let response = response.map(|()| Body::whole(""));
    let Some(permit) = server.admit(peer) else {
        return response::bare(StatusCode::SERVICE_UNAVAILABLE, "Too many connections\n");
    };
    let upgrading = hyper::upgrade::on(&mut *request);
    let headers = request.headers().clone();
    let (session, receiver) =
        Session::open(server.config.limits(), ReceiverKind::Socket, Instant::now());
    let session = Shared::new(session);
    server.connect(&session, transport, headers, peer);
    let place = Place {
        session,
        receiver,
        _permit: permit,
    };
    let raw = transport == Transport::RawWebSocket;
    server
        .tasks
        .spawn(serve(Arc::clone(server), upgrading, place, raw));
    response
}

/// The session's receiver. Whatever ends the task, the session ends too.
struct Place {
    session: Arc<Shared>,
    receiver: ReceiverId,
    _permit: Permit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let receiver = self.receiver;
        self.session
            .with(|session| session.interrupted(receiver, Instant::now()));
    }
}

async fn serve(server: Arc<Inner>, upgrading: OnUpgrade, place: Place, raw: bool) {
    let upgraded = tokio::select! {
        upgraded = upgrading => upgraded,
        () = server.stop.cancelled() => return,
    };
    let Ok(upgraded) = upgraded else {
        return;
    };
    let config = Some(socket_config(&server.config));
    let socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), End::Server, config).await;
    let mut pump = Pump {
        socket,
        session: Arc::clone(&place.session),
        receiver: place.receiver,
        raw,
        unflushed: false,
    };
    let ending = pump.run(&server).await;
    // the application need not wait for the client to take leave
    drop(place);
    let _client_took_too_long = timeout(server.config.close_timeout, pump.finish(ending)).await;
}

fn socket_config(config: &Config) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(config.max_message_bytes))
        .max_frame_size(Some(config.max_message_bytes))
}

/// Carries frames between a socket and a session.
struct Pump<S> {
    socket: WebSocketStream<S>,
    session: Arc<Shared>,
    receiver: ReceiverId,
    raw: bool,
    unflushed: bool,
}

/// How a connection ends.
enum Ending {
    /// With a code that the client is told, after what is said already.
    Close(CloseCode, Utf8Bytes),
    /// The same, to a client whose bytes cannot be read as a WebSocket's any more.
    Broken(CloseCode, Utf8Bytes),
    /// The client is gone, or not worth waiting for.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<S> {
    async fn run(&mut self, server: &Inner) -> Ending {
        let mut alarm = pin!(sleep_until(Instant::now().into()));
        let mut stopped = false;
        loop {
            let step = poll_fn(|context| self.poll_step(alarm.as_mut(), context));
            tokio::select! {
                ending = step => if let Some(ending) = ending {
                    return ending;
                },
                () = server.stop.cancelled(), if !stopped => {
                    shut_down(&self.session);
                    stopped = true;
                }
            }
        }
    }

    fn poll_step(
        &mut self,
        mut alarm: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Ending>> {
        if let Poll::Ready(ending) = self.poll_send(context) {
            return Poll::Ready(Some(ending));
        }
        if let Poll::Ready(ending) = self.poll_hear(context) {
            return Poll::Ready(ending);
        }
        let Some(deadline) = self.session.poll_deadline(context) else {
            return Poll::Ready(Some(Ending::Gone));
        };
        if alarm.deadline().into_std() != deadline {
            alarm.as_mut().reset(deadline.into());
        }
        alarm.poll(context).map(|()| {
            self.session.with(|session| session.timeout(Instant::now()));
            None
        })
    }

    /// Is ready only when the connection is over.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        loop {
            match self.socket.poll_ready_unpin(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(broken(&error)),
                Poll::Pending => return Poll::Pending,
            }
            let receiver = self.receiver;
            let next = self.session.poll(Role::Receiver, context, |session| {
                match session.poll_frame(receiver) {
                    Next::Wait => Poll::Pending,
                    next => Poll::Ready(next),
                }
            });
            let Poll::Ready(Next::Send(frame)) = next else {
                if next.is_ready() {
                    return Poll::Ready(Ending::Gone);
                }
                return self.poll_flush(context);
            };
            if let Poll::Ready(ending) = self.start_send(frame) {
                return Poll::Ready(ending);
            }
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        if !self.unflushed {
            return Poll::Pending;
        }
        match self.socket.poll_flush_unpin(context) {
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(error)) => return Poll::Ready(broken(&error)),
            Poll::Pending => {}
        }
        Poll::Pending
    }

    fn start_send(&mut self, frame: Frame) -> Poll<Ending> {
        let (messages, ending) = self.messages(frame);
        for message in messages {
            if let Err(error) = self.socket.start_send_unpin(message) {
                return Poll::Ready(broken(&error));
            }
            self.unflushed = true;
        }
        ending.map_or(Poll::Pending, Poll::Ready)
    }

    /// What goes over the socket for a frame, and whether that is all.
    fn messages(&self, frame: Frame) -> (Vec<Message>, Option<Ending>) {
        match frame {
            Frame::Heartbeat => (vec![Message::Ping(Bytes::new())], None),
            Frame::Open if self.raw => (Vec::new(), None),
            Frame::Messages(messages) if self.raw => {
                (messages.into_iter().map(Message::text).collect(), None)
            }
            Frame::Close(Closing { code, reason }) if self.raw => {
                let ending = Ending::Close(code.into(), short(reason));
                (Vec::new(), Some(ending))
            }
            Frame::Close(closing) => {
                let message = Message::text(text(Frame::Close(closing)));
                let reason = Utf8Bytes::from_static("Normal closure");
                (
                    vec![message],
                    Some(Ending::Close(CloseCode::Normal, reason)),
                )
            }
            frame => (vec![Message::text(text(frame))], None),
        }
    }

    /// Hears what the client says, while the application keeps up.
    fn poll_hear(&mut self, context: &mut Context<'_>) -> Poll<Option<Ending>> {
        let listens = self.session.poll(Role::Sender, context, |session| {
            if session.has_ear() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        if listens.is_pending() {
            return Poll::Pending;
        }
        self.socket
            .poll_next_unpin(context)
            .map(|arrived| match arrived {
                Some(Ok(message)) => self.hear(message),
                Some(Err(error)) => Some(broken(&error)),
                None => Some(Ending::Gone),
            })
    }

    fn hear(&self, message: Message) -> Option<Ending> {
        let heard = match message {
            Message::Text(text) => self.unframe(text.as_str()),
            Message::Binary(bytes) => self.unframe(&String::from_utf8_lossy(&bytes)),
            _ => Ok(Vec::new()),
        };
        let Ok(messages) = heard else {
            let reason = Utf8Bytes::from_static("Broken framing.");
            return Some(Ending::Close(CloseCode::Library(3000), reason));
        };
        self.session.with(|session| {
            session.alive(Instant::now());
            session.heard(messages);
        });
        None
    }

    fn unframe(&self, text: &str) -> Result<Vec<String>, crate::frame::BrokenFraming> {
        if self.raw {
            Ok(vec![text.to_owned()])
        } else {
            parse_client_frame(text)
        }
    }

    /// Takes leave of the client, as far as it is still there. May wait for it: bound the time.
    async fn finish(&mut self, ending: Ending) {
        let (code, reason, orderly) = match ending {
            Ending::Close(code, reason) => (code, reason, true),
            Ending::Broken(code, reason) => (code, reason, false),
            Ending::Gone => return,
        };
        if self
            .socket
            .close(Some(CloseFrame { code, reason }))
            .await
            .is_err()
        {
            return;
        }
        if orderly {
            while let Some(Ok(_)) = self.socket.next().await {}
            return;
        }
        // What the client still sends must be read: closing over it would reset the connection,
        // and the client might never see the code. That nothing else comes, it sees at once.
        let _client_gone = self.socket.get_mut().shutdown().await;
        let mut rest = [0; 4096];
        while let Ok(1..) = self.socket.get_mut().read(&mut rest).await {}
    }
}

/// What to tell a client that made this error (RFC 6455 §7.4.1), where it can still be told.
fn broken(error: &Error) -> Ending {
    let code = match error {
        Error::Capacity(_) => CloseCode::Size,
        Error::Utf8(_) => CloseCode::Invalid,
        Error::Protocol(_) => CloseCode::Protocol,
        _ => return Ending::Gone,
    };
    Ending::Broken(code, Utf8Bytes::default())
}

/// A control frame has room for 123 bytes of reason (RFC 6455 §5.5).
fn short(mut reason: String) -> Utf8Bytes {
    while reason.len() > 123 {
        reason.pop();
    }
    reason.into()
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
