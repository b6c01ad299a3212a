//! The server's side of one DDP connection, as a state machine.

mod commands;
mod config;
mod outbox;
mod queue;
mod requests;
mod subscriptions;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

pub use self::config::{Names, SessionConfig};
use self::outbox::Outbox;
pub use self::outbox::Transmit;
use self::queue::Queue;
pub use self::queue::{CallKey, Work};
use self::subscriptions::Subscriptions;
use crate::Error;
use crate::ejson::Value;
use crate::heartbeat::{Beat, Heartbeat};
use crate::merge_box::{MergeBox, SubscriptionKey};
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
    id: String,
    phase: Phase,
    heartbeat: Option<Heartbeat>,
    queue: Queue,
    calls: HashMap<CallKey, Call>,
    subscriptions: Subscriptions,
    merge_box: MergeBox,
    outbox: Outbox,
    events: VecDeque<Event>,
    next_key: u64,
}

/// Something that the application has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The client has said `connect` and was told the session's id.
    Connected,
    /// Run a method; answer with [`Session::method_returned`].
    Method {
        /// Names the call in commands.
        call: CallKey,
        /// The method.
        name: String,
        /// Its arguments.
        params: Vec<Value>,
        /// The seed for ids that client and server make alike.
        random_seed: Option<String>,
    },
    /// Run a publication; say [`Session::publication_returned`] when the handler has returned.
    Subscribe {
        /// Names the subscription in commands.
        sub: SubscriptionKey,
        /// The id that the client gave it.
        id: String,
        /// The publication.
        name: String,
        /// Its arguments.
        params: Vec<Value>,
    },
    /// A subscription is over, for whatever reason: nobody listens to its publication any more.
    Stopped {
        /// The subscription.
        sub: SubscriptionKey,
    },
}

/// Why a session was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// No version of DDP that both sides speak.
    VersionMismatch,
    /// The client did not say `connect` in time.
    ConnectTimeout,
    /// The client did not answer a ping in time.
    HeartbeatTimeout,
    /// The application asked for it.
    Application,
    /// The connection is gone.
    Disconnected,
    /// The client reads more slowly than it is written to.
    SlowReader,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VersionMismatch => "no common version of DDP",
            Self::ConnectTimeout => "the client never said connect",
            Self::HeartbeatTimeout => "the client did not answer a ping",
            Self::Application => "closed by the server",
            Self::Disconnected => "the connection is gone",
            Self::SlowReader => "the client does not read what it is sent",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening { deadline: Instant },
    Open { pings: bool },
    Closed(CloseReason),
}

/// A method that runs, or has returned while its writes have not.
#[derive(Debug)]
struct Call {
    id: String,
    pending_writes: usize,
    returned: bool,
}

impl Session {
    /// A session for a connection that was just accepted. `id` is what the client will be told;
    /// it should be hard to guess.
    pub fn new(
        config: Arc<SessionConfig>,
        names: Arc<dyn Names>,
        id: impl Into<String>,
        now: Instant,
    ) -> Self {
        Self {
            id: id.into(),
            phase: Phase::Opening {
                deadline: now + config.connect_timeout,
            },
            heartbeat: None,
            queue: Queue::default(),
            calls: HashMap::new(),
            subscriptions: Subscriptions::default(),
            merge_box: MergeBox::default(),
            outbox: Outbox::new(config.max_queued_bytes),
            events: VecDeque::new(),
            next_key: 0,
            config,
            names,
        }
    }

    /// The session's id.
    pub fn id(&self) -> &str {
        &self.id
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

    /// How many subscriptions the client has.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// A frame has come in.
    pub fn handle_text(&mut self, frame: &str, now: Instant) {
        if self.close_reason().is_some() {
            return;
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.handle_message();
        }
        match Incoming::read(frame, &self.config.types) {
            Ok(message) => self.handle_message(message, now),
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
        self.events.pop_front()
    }

    /// What is to be sent next.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
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

    fn send_nosub(&mut self, id: Option<Value>, error: Option<Error>) {
        self.send(&ServerMessage::NoSub { id, error });
    }

    fn send_error(&mut self, reason: &str, offending: Option<Value>) {
        self.send(&ServerMessage::Error {
            reason: reason.to_owned(),
            offending,
        });
    }

    fn send(&mut self, message: &ServerMessage) {
        if self.close_reason().is_none() && !self.outbox.push(message.to_text()) {
            self.outbox.abandon();
            self.close_with(CloseReason::SlowReader);
        }
    }

    fn close_with(&mut self, reason: CloseReason) {
        if self.close_reason().is_some() {
            return;
        }
        self.phase = Phase::Closed(reason);
        self.queue.clear();
        self.calls.clear();
        self.events.clear();
        self.merge_box = MergeBox::default();
        self.events
            .extend(self.subscriptions.drain().map(|sub| Event::Stopped { sub }));
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
            .field("subscriptions", &self.subscriptions.len())
            .field("documents", &self.merge_box.len())
            .field("queued_bytes", &self.outbox.bytes())
            .finish_non_exhaustive()
    }
}
