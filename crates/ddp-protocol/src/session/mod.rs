//! The server's side of one DDP connection, as a state machine.

mod calls;
mod close_reason;
mod commands;
mod config;
mod data;
mod event;
mod outbox;
mod queue;
mod rate;
mod requests;
mod rerun;
mod send;
mod subscriptions;
mod universal;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use self::calls::Calls;
pub use self::close_reason::CloseReason;
pub use self::config::{Names, SessionConfig};
pub use self::event::{Event, Origin};
use self::outbox::Outbox;
pub use self::outbox::{Text, Transmit};
use self::queue::Queue;
pub use self::queue::{CallKey, Work};
use self::rate::Bucket;
pub use self::rate::MessageRate;
pub use self::rerun::CannotSetUser;
use self::rerun::Rerun;
use self::subscriptions::Subscriptions;
use crate::heartbeat::{Beat, Heartbeat};
use crate::merge_box::MergeBox;
use crate::message::{Incoming, ServerMessage};

/// The versions of DDP that are spoken, the best one first.
pub const VERSIONS: [&str; 3] = ["1", "pre2", "pre1"];

/// One client's session: what it may say, in which order it is served, what it has been told.
///
/// There are four kinds of method:
///
/// - **getters** such as [`id`](Self::id) and [`close_reason`](Self::close_reason);
/// - **`handle_*`** take what comes from the wire or from a timer;
/// - **commands** such as [`method_returned`](Self::method_returned) or [`added`](Self::added)
///   are what the application says;
/// - **`poll_*`** tell what is to be done next: run a handler ([`poll_event`](Self::poll_event)),
///   send a frame ([`poll_transmit`](Self::poll_transmit)), call
///   [`handle_timeout`](Self::handle_timeout) at a time ([`poll_timeout`](Self::poll_timeout)).
///
/// After any `handle_*` or command, poll events and frames until there are none. Commands for
/// calls and subscriptions that are over, and for a session that is closed, do nothing: handlers
/// need not know when they are late.
///
/// Behaviour follows `packages/ddp-server/livedata_server.js`.
pub struct Session {
    config: Arc<SessionConfig>,
    names: Arc<dyn Names>,
    id: Box<str>,
    phase: Phase,
    heartbeat: Option<Heartbeat>,
    bucket: Bucket,
    queue: Queue,
    calls: Calls,
    subscriptions: Subscriptions,
    merge_box: MergeBox,
    outbox: Outbox,
    events: VecDeque<Event>,
    user_id: Option<Arc<str>>,
    rerun: Option<Box<Rerun>>,
    /// How many universal publications were begun.
    universal: usize,
    next_key: u64,
    messages_in: u64,
    messages_out: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening { deadline: Instant },
    Open { pings: bool },
    Closed(CloseReason),
}

impl Session {
    /// A session for a connection that was just accepted. `id` is what the client will be told;
    /// it should be hard to guess.
    pub fn new(
        config: Arc<SessionConfig>,
        names: Arc<dyn Names>,
        id: impl Into<Box<str>>,
        now: Instant,
    ) -> Self {
        Self {
            id: id.into(),
            phase: Phase::Opening {
                deadline: now + config.connect_timeout,
            },
            heartbeat: None,
            bucket: Bucket::full(now),
            queue: Queue::default(),
            calls: Calls::default(),
            subscriptions: Subscriptions::default(),
            merge_box: MergeBox::new(Arc::clone(&config.strategies)),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            user_id: None,
            rerun: None,
            universal: 0,
            next_key: 0,
            messages_in: 0,
            messages_out: 0,
            config,
            names,
        }
    }

    /// The session's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who the client is, if it has said so.
    pub fn user_id(&self) -> Option<&Arc<str>> {
        self.user_id.as_ref()
    }

    /// Whether the client has connected and nobody has closed the session.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// Why the session is closed, if it is.
    pub fn close_reason(&self) -> Option<CloseReason> {
        match self.phase {
            Phase::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// How many bytes of messages wait to be sent.
    pub fn queued_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// Whether so much waits to be sent that it is better to write before anything is added
    /// ([`SessionConfig::drain_bytes`]): a client that reads is then never taken for one that
    /// does not, however much it is sent.
    pub fn wants_drain(&self) -> bool {
        self.queued_bytes() >= self.config.drain_bytes
    }

    /// How many of the client's messages wait for their turn.
    pub fn queued_messages(&self) -> usize {
        self.queue.len()
    }

    /// How many subscriptions the client has asked for.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.named()
    }

    /// How many documents the client has, as far as the strategies remember.
    pub fn documents(&self) -> usize {
        self.merge_box.len()
    }

    /// How many messages have come in, whether they were understood or not.
    pub fn messages_in(&self) -> u64 {
        self.messages_in
    }

    /// How many messages were given out to be sent.
    pub fn messages_out(&self) -> u64 {
        self.messages_out
    }

    /// A frame has come in.
    pub fn handle_text(&mut self, frame: &str, now: Instant) {
        if self.close_reason().is_some() {
            return;
        }
        self.messages_in += 1;
        if !self.bucket.take(self.config.message_rate, now) {
            return self.close_with(CloseReason::TooManyMessages);
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.handle_message();
        }
        match Incoming::read(frame, &self.config.types) {
            Ok(message) => self.handle_message(message, frame.len(), now),
            Err(rejection) => self.send_error(rejection.reason(), None),
        }
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Opening { deadline } if deadline <= now => {
                self.close_with(CloseReason::ConnectTimeout);
            }
            Phase::Open { .. } => {
                match self.heartbeat.as_mut().map(|beat| beat.handle_timeout(now)) {
                    Some(Beat::Ping) => self.send(&ServerMessage::Ping),
                    Some(Beat::Dead) => self.close_with(CloseReason::HeartbeatTimeout),
                    Some(Beat::Idle) | None => {}
                }
            }
            _ => {}
        }
    }

    /// The connection is gone: nothing can be sent any more.
    pub fn handle_disconnect(&mut self) {
        self.close_with(CloseReason::Disconnected);
        self.outbox.abandon();
    }

    /// What the application has to do next.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// What is to be sent next.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.outbox.pop()?;
        self.messages_out += u64::from(transmit != Transmit::Close);
        Some(transmit)
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something.
    pub fn has_transmit(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Opening { deadline } => Some(deadline),
            Phase::Open { .. } => self.heartbeat.as_ref().and_then(Heartbeat::poll_timeout),
            Phase::Closed(_) => None,
        }
    }

    fn close_with(&mut self, reason: CloseReason) {
        if self.close_reason().is_some() {
            return;
        }
        self.phase = Phase::Closed(reason);
        self.queue = Queue::default();
        self.calls = Calls::default();
        self.merge_box = MergeBox::default();
        self.rerun = None;
        let open = self.subscriptions.take_all().into_iter();
        self.events
            .retain(|event| matches!(event, Event::Stopped { .. }));
        self.events.extend(open.map(|subscription| Event::Stopped {
            sub: subscription.key,
        }));
        self.outbox.finish();
    }

    fn key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("phase", &self.phase)
            .field("user_id", &self.user_id)
            .field("subscriptions", &self.subscriptions())
            .field("documents", &self.documents())
            .field("queued_bytes", &self.queued_bytes())
            .finish_non_exhaustive()
    }
}
