//! The task of one session: it pumps between the socket, the handlers and the protocol, and
//! decides nothing.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddp_protocol::Session;
use ddp_protocol::merge_box::{SubscriptionKey, UnknownDocument};
use ddp_protocol::session::{CloseReason, Event};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_util::sync::CancellationToken;

use crate::command::{Change, Command};
use crate::connection::Connection;
use crate::handlers::Handlers;
use crate::publication::Subscription;
use crate::wire::{Arrived, Ending, Wire};

/// Commands are taken together until this many bytes wait, and then sent together.
const BYTES_PER_TURN: usize = 64 * 1024;
/// The most commands that are taken together, so that a stream of them that says nothing to this
/// client does not keep it from being heard.
const COMMANDS_PER_TURN: usize = 256;

/// A session and what it needs to run.
pub(crate) struct Driver<S> {
    wire: Wire<S>,
    session: Session,
    commands: UnboundedReceiver<Command>,
    handlers: Arc<Handlers>,
    connection: Connection,
    subscriptions: Subscriptions,
    close_timeout: Duration,
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
        let (wire, subscriptions) = (Wire::new(socket), Subscriptions::default());
        Self {
            wire,
            session,
            commands,
            handlers,
            connection,
            subscriptions,
            close_timeout,
        }
    }

    /// Runs the session until it is over.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        tracing::debug!(session = self.session.id(), peer = %self.connection.peer(), "open");
        let ending = self.pump(stop).await;
        if !matches!(ending, Ending::Close) {
            self.session.handle_disconnect();
        }
        self.dispatch();
        self.report();
        let finish = self.wire.finish(&mut self.session, ending);
        let _client_took_too_long = timeout(self.close_timeout, finish).await;
    }

    /// Pumps until the connection is over.
    async fn pump(&mut self, stop: CancellationToken) -> Ending {
        let mut alarm = pin!(sleep_until(Instant::now().into()));
        loop {
            self.dispatch();
            if self.session.close_reason().is_some() {
                return Ending::Close;
            }
            if let Err(ending) = self.wire.send_waiting(&mut self.session).await {
                return ending;
            }
            let deadline = self.session.poll_timeout();
            if let Some(deadline) = deadline.filter(|at| *at != alarm.deadline().into_std()) {
                alarm.as_mut().reset(deadline.into());
            }
            tokio::select! {
                arrived = self.wire.next(&mut self.session) => match arrived {
                    Arrived::Text(text) => self.session.handle_text(&text, Instant::now()),
                    Arrived::Nothing => {}
                    Arrived::End(ending) => return ending,
                },
                Some(command) = self.commands.recv() => self.obey_waiting(command),
                () = alarm.as_mut(), if deadline.is_some() => {
                    self.session.handle_timeout(Instant::now());
                }
                () = stop.cancelled() => {
                    self.obey_all();
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
                        let calls = &self.handlers.calls;
                        method.start(&self.connection, call, name, params, random_seed, calls);
                    }
                }
                Event::Subscribe {
                    sub,
                    id,
                    name,
                    params,
                } => {
                    let subscription = Subscription::new(sub, id, name, self.connection.clone());
                    if let Some(publisher) = self.handlers.publisher(subscription.name()) {
                        publisher.start(&subscription, params);
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
            if self.session.queued_bytes() >= BYTES_PER_TURN {
                return;
            }
            let Ok(command) = self.commands.try_recv() else {
                return;
            };
            self.obey(command);
        }
    }

    /// What was said before the end is heard.
    fn obey_all(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
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
            Some(reason) => tracing::debug!(session = id, %peer, %reason, "closed"),
            None => {}
        }
    }
}

fn apply(
    session: &mut Session,
    sub: SubscriptionKey,
    collection: &str,
    change: &Change,
) -> Result<(), UnknownDocument> {
    match change {
        Change::Added { id, fields } => {
            session.added(sub, collection, id, fields);
            Ok(())
        }
        Change::Changed {
            id,
            fields,
            cleared,
        } => session.changed(sub, collection, id, fields, cleared),
        Change::Removed { id } => session.removed(sub, collection, id),
    }
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
