//! The task of one session: it pumps between the wire, the handlers and the protocol, and decides
//! nothing.
//!
//! It is written as a future by hand, as there is one for every client: it holds nothing twice,
//! and goes to rest with nothing but what the session must know.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ddp_protocol::Session;
use ddp_protocol::merge_box::{SubscriptionKey, UnknownDocument};
use ddp_protocol::session::{CloseReason, Event, Transmit};
use tokio::time::Sleep;

use crate::command::{Change, Command, Told};
use crate::connection::Connection;
use crate::handlers::{Handlers, Start};
use crate::inbox::{Inbox, KEPT};
use crate::method::Call;
use crate::metrics::Meter;
use crate::sessions::Place;
use crate::subscription::Subscription;
use crate::wire::{Arrived, CloseCode, Ending, Wire};

/// The most commands that are taken together before what they say is sent, so that a stream of them
/// that says nothing to this client does not keep it from being heard.
const COMMANDS_PER_TURN: usize = 256;
/// The most messages of the client that are taken together.
const MESSAGES_PER_TURN: usize = 32;
/// After so many turns other sessions have theirs.
const TURNS: usize = 4;

/// A session and what it needs to run. It is ready when the session is over.
pub(crate) struct Driver<W> {
    wire: W,
    session: Session,
    inbox: Arc<Inbox>,
    /// Commands that were taken out of the inbox.
    batch: VecDeque<Command>,
    handlers: Arc<Handlers>,
    connection: Connection,
    subscriptions: Subscriptions,
    alarm: Pin<Box<Sleep>>,
    close_timeout: Duration,
    /// How many bytes the client did not take when they were last sent.
    waiting_bytes: usize,
    meter: Meter,
    leaving: bool,
    _place: Place,
}

impl<W: Wire> Driver<W> {
    pub(crate) fn new(
        wire: W,
        session: Session,
        inbox: Arc<Inbox>,
        handlers: Arc<Handlers>,
        connection: Connection,
        close_timeout: Duration,
        place: Place,
    ) -> Self {
        tracing::debug!(session = session.id(), peer = %connection.peer(), "open");
        let meter = Meter::new(Arc::clone(&handlers.metrics));
        Self {
            wire,
            session,
            inbox,
            batch: VecDeque::new(),
            handlers,
            connection,
            subscriptions: Subscriptions::default(),
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
            close_timeout,
            waiting_bytes: 0,
            meter,
            leaving: false,
            _place: place,
        }
    }

    /// Pumps until the connection is over.
    fn poll_session(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        for _ in 0..TURNS {
            self.obey_some();
            let more = match self.hear_some(context) {
                Ok(more) => more,
                Err(ending) => return Poll::Ready(ending),
            };
            let rang = match self.watch_the_clock(context) {
                Ok(rang) => rang,
                Err(ending) => return Poll::Ready(ending),
            };
            if let Some(reason) = self.session.close_reason() {
                return Poll::Ready(Ending::Close(CloseCode::of_session(reason)));
            }
            if let Err(ending) = self.send(context) {
                return Poll::Ready(ending);
            }
            if !more && !rang && self.rest(context) {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether there is nothing to do until something happens.
    fn rest(&mut self, context: &Context<'_>) -> bool {
        if !self.batch.is_empty() || !self.inbox.rest(context) {
            return false;
        }
        if self.batch.capacity() > KEPT {
            self.batch = VecDeque::new();
        }
        true
    }

    /// Hears what the client says; whether it may have more to say.
    fn hear_some(&mut self, context: &mut Context<'_>) -> Result<bool, Ending> {
        for _ in 0..MESSAGES_PER_TURN {
            match self.wire.poll_receive(context) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Arrived::End(ending)) => return Err(ending),
                Poll::Ready(Arrived::Nothing) => {}
                Poll::Ready(Arrived::Text(text)) => {
                    self.meter.bytes_in(text.len());
                    self.session.handle_text(&text, Instant::now());
                    self.obey_some();
                }
            }
            let closed = self.session.close_reason().is_some();
            if closed || self.session.wants_drain() {
                break;
            }
        }
        Ok(true)
    }

    /// Whether it is time for something, which then is done.
    fn watch_the_clock(&mut self, context: &mut Context<'_>) -> Result<bool, Ending> {
        let deadlines = [self.session.poll_timeout(), self.wire.poll_timeout()];
        let Some(deadline) = deadlines.into_iter().flatten().min() else {
            return Ok(false);
        };
        if self.alarm.deadline().into_std() != deadline {
            self.alarm.as_mut().reset(deadline.into());
        }
        let rang = self.alarm.as_mut().poll(context).is_ready();
        if rang {
            let now = Instant::now();
            self.session.handle_timeout(now);
            self.wire.handle_timeout(now)?;
        }
        Ok(rang)
    }

    /// Sends what the session has to say, as far as the client takes it now.
    fn send(&mut self, context: &mut Context<'_>) -> Result<(), Ending> {
        loop {
            while self.wire.has_room()
                && let Some(Transmit::Text(text)) = self.session.poll_transmit()
            {
                self.meter.bytes_out(text.len());
                self.wire.push(Transmit::Text(text));
            }
            match self.wire.poll_flush(context) {
                Poll::Ready(Ok(())) if self.session.has_transmit() => {}
                Poll::Ready(Err(ending)) => return Err(ending),
                _ => break,
            }
        }
        self.waiting_bytes = self.session.queued_bytes() + self.wire.waiting_bytes();
        self.meter.look(&self.session, self.waiting_bytes);
        Ok(())
    }

    /// Starts the handlers that the session asks for.
    fn dispatch(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Connected => self.handlers.connected(&self.connection),
                Event::Method {
                    call,
                    name,
                    params,
                    random_seed,
                    user_id,
                } => {
                    let call = Call {
                        key: call,
                        name,
                        params,
                        random_seed,
                        user_id,
                    };
                    self.handlers.start_method(&self.connection, call);
                }
                Event::Subscribe {
                    sub,
                    origin,
                    user_id,
                    again,
                } => {
                    let start = Start {
                        key: sub,
                        origin,
                        user_id,
                        again,
                    };
                    let subscription = self.handlers.start_publication(&self.connection, start);
                    self.subscriptions.0.push((sub, subscription));
                }
                Event::Stopped { sub } => self.subscriptions.stop(sub),
            }
        }
    }

    /// Does what handlers have said, and starts those that it lets begin.
    fn obey_some(&mut self) {
        self.dispatch();
        for _ in 0..COMMANDS_PER_TURN {
            let Some(command) = self.next_command() else {
                return;
            };
            self.obey(command);
            self.dispatch();
            if self.session.wants_drain() {
                return;
            }
        }
    }

    fn next_command(&mut self) -> Option<Command> {
        if self.batch.is_empty() {
            self.inbox.take(&mut self.batch);
        }
        self.batch.pop_front()
    }

    fn obey(&mut self, command: Command) {
        let session = &mut self.session;
        match command {
            Command::Unblock(work) => session.unblock(work),
            Command::MethodReturned(returned) => {
                session.method_returned(returned.call, returned.result);
            }
            Command::BeginWrite(call) => session.begin_write(call),
            Command::CommitWrite(call) => session.commit_write(call),
            Command::Change(told) => {
                let Told {
                    sub,
                    collection,
                    change,
                } = *told;
                if let Err(error) = change_document(session, sub, &collection, change) {
                    tracing::warn!(session = session.id(), collection = &*collection, "{error}");
                }
            }
            Command::Live { sub, change } => {
                if let Err(error) = session.apply(sub, &change) {
                    let collection = change.collection();
                    tracing::warn!(session = session.id(), collection, "{error}");
                }
            }
            Command::Ready(sub) => session.ready(sub),
            Command::Stop(sub) => session.stop(sub),
            Command::Fail(sub, error) => session.fail(sub, *error),
            Command::PublicationReturned(sub) => session.publication_returned(sub),
            Command::SetUserId(set) => {
                if let Err(error) = session.set_user_id(set.call, set.user_id) {
                    tracing::warn!(session = session.id(), "{error}");
                }
            }
            Command::StartUniversal => session.start_universal(),
            Command::Close => session.close(),
        }
    }

    /// The session is over: tells everybody.
    fn leave(&mut self, ending: Ending) {
        self.leaving = true;
        if self.session.close_reason().is_none() {
            self.session.handle_disconnect();
        }
        self.dispatch();
        self.report();
        self.meter.closed(&self.session);
        self.connection.closed();
        self.inbox.close();
        self.batch = VecDeque::new();
        if let Ending::Close(code) = ending {
            while let Some(message @ Transmit::Text(_)) = self.session.poll_transmit() {
                self.wire.push(message);
            }
            self.wire.close(code);
        }
        let patience = tokio::time::Instant::now() + self.close_timeout;
        self.alarm.as_mut().reset(patience);
    }

    fn report(&self) {
        let (id, peer) = (self.session.id(), self.connection.peer());
        match self.session.close_reason() {
            Some(reason @ CloseReason::SlowReader) => {
                let (client, bytes) = (self.connection.client_address(), self.waiting_bytes);
                tracing::warn!(session = id, %peer, client, bytes, %reason, "dropped a client");
            }
            Some(reason @ (CloseReason::ConnectTimeout | CloseReason::TooManyMessages)) => {
                tracing::warn!(session = id, %peer, %reason, "dropped a client");
            }
            Some(reason) => tracing::debug!(session = id, %peer, %reason, "closed"),
            None => {}
        }
    }
}

impl<W: Wire> Future for Driver<W> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let driver = self.get_mut();
        if !driver.leaving {
            let ending = ready!(driver.poll_session(context));
            driver.leave(ending);
        }
        // a client that does not answer is not waited for
        match driver.alarm.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => driver.wire.poll_closed(context),
        }
    }
}

impl<W> Drop for Driver<W> {
    fn drop(&mut self) {
        self.inbox.close();
        drop(std::mem::take(&mut self.subscriptions));
        self.connection.closed();
    }
}

fn change_document(
    session: &mut Session,
    sub: SubscriptionKey,
    collection: &str,
    change: Change,
) -> Result<(), UnknownDocument> {
    match change {
        Change::Added { id, fields } => {
            session.added(sub, collection, &id, fields);
            Ok(())
        }
        Change::Changed {
            id,
            fields,
            cleared,
        } => session.changed(sub, collection, &id, &fields, &cleared),
        Change::Removed { id } => session.removed(sub, collection, &id),
    }
}

/// The open subscriptions, the oldest first. When the session's task ends in any way, they are
/// told.
#[derive(Default)]
struct Subscriptions(Vec<(SubscriptionKey, Subscription)>);

impl Subscriptions {
    fn stop(&mut self, key: SubscriptionKey) {
        if let Ok(at) = self.0.binary_search_by_key(&key, |(key, _)| *key) {
            self.0.remove(at).1.stopped();
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        for (_, subscription) in self.0.drain(..) {
            subscription.stopped();
        }
    }
}
