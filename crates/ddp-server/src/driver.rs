//! The task of one session: it pumps between the socket, the handlers and the protocol, and
//! decides nothing.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ddp_protocol::Session;
use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::{CloseReason, Event, Transmit};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_util::sync::CancellationToken;

use crate::command::{Change, Command};
use crate::connection::Connection;
use crate::handlers::Handlers;
use crate::publication::Subscription;

/// How many commands are taken at once before their frames are sent together.
const COMMANDS_PER_TURN: usize = 256;

/// A session and what it needs to run.
pub(crate) struct Driver<S> {
    socket: WebSocketStream<S>,
    session: Session,
    commands: UnboundedReceiver<Command>,
    handlers: Arc<Handlers>,
    connection: Connection,
    subscriptions: Subscriptions,
    close_timeout: Duration,
    unflushed: bool,
}

/// What the socket has brought.
enum Arrived {
    Text(String),
    Nothing,
    /// The session wants the connection closed.
    Close,
    /// The client is gone, or has said something that is no WebSocket message.
    Lost(Option<SocketError>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(crate) fn new(
        socket: WebSocketStream<S>,
        session: Session,
        commands: UnboundedReceiver<Command>,
        handlers: Arc<Handlers>,
        connection: Connection,
        close_timeout: Duration,
    ) -> Self {
        Self {
            socket,
            session,
            commands,
            handlers,
            connection,
            subscriptions: Subscriptions::default(),
            close_timeout,
            unflushed: false,
        }
    }

    /// Runs the session until it is over.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        tracing::debug!(session = self.session.id(), peer = %self.connection.peer(), "open");
        let ending = self.pump(stop).await;
        self.dispatch();
        self.report();
        let _client_took_too_long = timeout(self.close_timeout, self.finish(ending)).await;
    }

    /// Pumps until the connection is to be closed, or is gone.
    async fn pump(&mut self, stop: CancellationToken) -> Arrived {
        let mut alarm = pin!(sleep_until(Instant::now().into()));
        loop {
            self.dispatch();
            let deadline = self.session.poll_timeout();
            if let Some(deadline) = deadline.filter(|at| *at != alarm.deadline().into_std()) {
                alarm.as_mut().reset(deadline.into());
            }
            if self.session.close_reason() == Some(CloseReason::SlowReader) {
                return Arrived::Lost(None);
            }
            tokio::select! {
                arrived = poll_fn(|context| {
                    poll_socket(&mut self.socket, &mut self.session, &mut self.unflushed, context)
                }) => match arrived {
                    Arrived::Text(text) => self.session.handle_text(&text, Instant::now()),
                    Arrived::Nothing => {}
                    ending => {
                        self.session.handle_disconnect();
                        return ending;
                    }
                },
                Some(command) = self.commands.recv() => self.obey_waiting(command),
                () = alarm.as_mut(), if deadline.is_some() => {
                    self.session.handle_timeout(Instant::now());
                }
                () = stop.cancelled(), if self.session.close_reason().is_none() => {
                    self.session.close();
                }
            }
        }
    }

    /// Starts the handlers that the session asks for.
    fn dispatch(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Connected => {}
                Event::Method {
                    call,
                    name,
                    params,
                    random_seed,
                } => {
                    if let Some(method) = self.handlers.method(&name) {
                        method.start(&self.connection, call, name, params, random_seed);
                    }
                }
                Event::Subscribe {
                    sub,
                    id,
                    name,
                    params,
                } => {
                    let subscription = Subscription::new(sub, id, self.connection.clone());
                    if let Some(publisher) = self.handlers.publisher(&name) {
                        publisher.start(&subscription, name, params);
                    }
                    self.subscriptions.0.insert(sub, subscription);
                }
                Event::Stopped { sub } => self.subscriptions.stop(sub),
            }
        }
    }

    fn obey_waiting(&mut self, first: Command) {
        self.obey(first);
        for _ in 1..COMMANDS_PER_TURN {
            let Ok(command) = self.commands.try_recv() else {
                return;
            };
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command) {
        let session = &mut self.session;
        match command {
            Command::Unblock(work) => session.unblock(work),
            Command::MethodReturned { call, result } => session.method_returned(call, result),
            Command::BeginWrite(call) => session.begin_write(call),
            Command::CommitWrite(call) => session.commit_write(call),
            Command::Change {
                sub,
                collection,
                change,
            } => {
                if let Err(error) = apply(session, sub, &collection, &change) {
                    tracing::warn!(session = session.id(), collection = &*collection, "{error}");
                }
            }
            Command::Ready(sub) => session.ready(sub),
            Command::Stop(sub) => session.stop(sub),
            Command::Fail(sub, error) => session.fail(sub, error),
            Command::PublicationReturned(sub) => session.publication_returned(sub),
            Command::Close => session.close(),
        }
    }

    fn report(&self) {
        let (id, peer) = (self.session.id(), self.connection.peer());
        match self.session.close_reason() {
            Some(reason @ (CloseReason::SlowReader | CloseReason::ConnectTimeout)) => {
                tracing::warn!(session = id, %peer, %reason, "dropped a client");
            }
            reason => {
                let reason = reason.map(|reason| reason.to_string());
                tracing::debug!(session = id, %peer, reason, "closed");
            }
        }
    }

    /// Takes leave of the client as far as it is still there.
    async fn finish(&mut self, ending: Arrived) {
        let code = match ending {
            Arrived::Close => CloseCode::Normal,
            Arrived::Lost(Some(SocketError::Capacity(_))) => CloseCode::Size,
            Arrived::Lost(Some(SocketError::Utf8(_))) => CloseCode::Invalid,
            Arrived::Lost(Some(SocketError::Protocol(_))) => CloseCode::Protocol,
            _ => return,
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
}

/// Sends what the session has to say as far as the client takes it, and looks for a message.
/// Both in one poll, so that a client that does not read is still heard.
fn poll_socket<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    session: &mut Session,
    unflushed: &mut bool,
    context: &mut Context<'_>,
) -> Poll<Arrived> {
    if let Poll::Ready(ending) = poll_send(socket, session, unflushed, context) {
        return Poll::Ready(ending);
    }
    socket
        .poll_next_unpin(context)
        .map(|message| match message {
            Some(Ok(Message::Text(text))) => Arrived::Text(text.as_str().to_owned()),
            Some(Ok(Message::Binary(bytes))) => {
                Arrived::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            Some(Ok(_)) => Arrived::Nothing,
            Some(Err(error)) => Arrived::Lost(Some(error)),
            None => Arrived::Lost(None),
        })
}

fn poll_send<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    session: &mut Session,
    unflushed: &mut bool,
    context: &mut Context<'_>,
) -> Poll<Arrived> {
    let lost = |error| Poll::Ready(Arrived::Lost(Some(error)));
    while session.has_transmit() {
        match socket.poll_ready_unpin(context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return lost(error),
            Poll::Pending => return Poll::Pending,
        }
        match session.poll_transmit() {
            Some(Transmit::Text(text)) => {
                if let Err(error) = socket.start_send_unpin(Message::text(text)) {
                    return lost(error);
                }
                *unflushed = true;
            }
            Some(Transmit::Close) => return Poll::Ready(Arrived::Close),
            None => break,
        }
    }
    if *unflushed {
        match socket.poll_flush_unpin(context) {
            Poll::Ready(Ok(())) => *unflushed = false,
            Poll::Ready(Err(error)) => return lost(error),
            Poll::Pending => {}
        }
    }
    Poll::Pending
}

fn apply(
    session: &mut Session,
    sub: SubscriptionKey,
    collection: &str,
    change: &Change,
) -> Result<(), ddp_protocol::merge_box::UnknownDocument> {
    match change {
        Change::Added { id, fields } => session.added(sub, collection, id, fields),
        Change::Changed {
            id,
            fields,
            cleared,
        } => {
            return session.changed(sub, collection, id, fields, cleared);
        }
        Change::Removed { id } => return session.removed(sub, collection, id),
    }
    Ok(())
}

/// The open subscriptions. When the session's task ends in any way, they are told.
#[derive(Default)]
struct Subscriptions(HashMap<SubscriptionKey, Subscription>);

impl Subscriptions {
    fn stop(&mut self, key: SubscriptionKey) {
        if let Some(subscription) = self.0.remove(&key) {
            subscription.stopped();
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        for (_, subscription) in self.0.drain() {
            subscription.stopped();
        }
    }
}
