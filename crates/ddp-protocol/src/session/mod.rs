//! The server's side of one DDP connection, as a state machine.

mod config;
mod outbox;
mod queue;
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
use crate::ejson::{Fields, Value};
use crate::heartbeat::{Beat, Heartbeat};
use crate::merge_box::{MergeBox, SubscriptionKey, UnknownDocument};
use crate::message::{DataMessage, Incoming, Kind, Request, ServerMessage};
use crate::mongo_id::DocumentId;

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
        match Incoming::read(frame) {
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

    /// Lets the client's next message start before this work has returned. Saying it again, or
    /// after the work has returned, does nothing.
    pub fn unblock(&mut self, work: Work) {
        self.queue.release(work);
        self.advance();
    }

    /// A method has returned. `Ok(None)` is JavaScript's `undefined`: no result at all.
    pub fn method_returned(&mut self, call: CallKey, result: Result<Option<Value>, Error>) {
        let Some(state) = self.calls.get_mut(&call).filter(|state| !state.returned) else {
            return;
        };
        state.returned = true;
        let (id, fenced) = (state.id.clone(), state.pending_writes > 0);
        if !fenced {
            self.send_updated(call);
        }
        self.send(&ServerMessage::Result { id, result });
        self.unblock(Work::Method(call));
    }

    /// A method has begun a write that may end after the method has returned: its `updated`
    /// waits for [`commit_write`](Self::commit_write).
    pub fn begin_write(&mut self, call: CallKey) {
        if let Some(state) = self.calls.get_mut(&call) {
            state.pending_writes += 1;
        }
    }

    /// A write of a method has ended, and its data was handed to this session.
    pub fn commit_write(&mut self, call: CallKey) {
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        state.pending_writes = state.pending_writes.saturating_sub(1);
        if state.returned && state.pending_writes == 0 {
            self.send_updated(call);
        }
    }

    /// A publication has a document.
    pub fn added(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
        fields: &Fields,
    ) {
        if self.subscriptions.contains(sub) {
            let message = self.merge_box.added(sub, collection, id, fields);
            self.send_data(message);
        }
    }

    /// A document of a publication has other fields.
    ///
    /// # Errors
    ///
    /// [`UnknownDocument`] when the publication never added it. If its handler still runs, the
    /// subscription ends with an internal error, as if the handler had thrown.
    pub fn changed(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
        fields: &Fields,
        cleared: &[String],
    ) -> Result<(), UnknownDocument> {
        if !self.subscriptions.contains(sub) {
            return Ok(());
        }
        let change = self.merge_box.changed(sub, collection, id, fields, cleared);
        self.send_change(sub, change)
    }

    /// A publication no longer has a document.
    ///
    /// # Errors
    ///
    /// [`UnknownDocument`] as for [`changed`](Self::changed).
    pub fn removed(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
    ) -> Result<(), UnknownDocument> {
        if !self.subscriptions.contains(sub) {
            return Ok(());
        }
        let change = self.merge_box.removed(sub, collection, id);
        self.send_change(sub, change)
    }

    /// A publication has sent its initial data. Only the first time counts.
    pub fn ready(&mut self, sub: SubscriptionKey) {
        if let Some(id) = self.subscriptions.make_ready(sub) {
            self.send(&ServerMessage::Ready { subs: vec![id] });
        }
    }

    /// A publication ends its subscription.
    pub fn stop(&mut self, sub: SubscriptionKey) {
        self.end_subscription(sub, None);
    }

    /// A publication ends its subscription with an error.
    pub fn fail(&mut self, sub: SubscriptionKey, error: Error) {
        self.end_subscription(sub, Some(error));
    }

    /// The handler of a publication has returned; what it started may go on.
    pub fn publication_returned(&mut self, sub: SubscriptionKey) {
        self.subscriptions.returned(sub);
        self.unblock(Work::Publication(sub));
    }

    /// Closes the session once what was already said is sent.
    pub fn close(&mut self) {
        self.close_with(CloseReason::Application);
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

    /// The order of checks matters: clients see which one failed.
    fn handle_message(&mut self, message: Incoming, now: Instant) {
        match (message.kind(), self.phase) {
            (_, Phase::Closed(_)) | (Kind::Pong, Phase::Open { pings: true }) => {}
            (Kind::Missing, _) => self.send_error("Bad request", Some(message.into_offending())),
            (Kind::Connect, Phase::Opening { .. }) => self.connect(&message, now),
            (Kind::Connect, Phase::Open { .. }) => {
                self.send_error("Already connected", Some(message.into_offending()));
            }
            (_, Phase::Opening { .. }) => {
                self.send_error("Must connect first", Some(message.into_offending()));
            }
            (Kind::Ping, Phase::Open { pings: true }) => {
                self.send(&ServerMessage::Pong {
                    id: message.id().cloned(),
                });
            }
            (Kind::Ping | Kind::Pong | Kind::Other, Phase::Open { .. }) => {
                self.enqueue(message.into_request());
            }
        }
    }

    fn connect(&mut self, message: &Incoming, now: Instant) {
        let Some(version) = negotiate(message) else {
            let best = message
                .versions()
                .and_then(|(_, support)| common_version(&support));
            self.send(&ServerMessage::Failed {
                version: best.unwrap_or(VERSIONS[0]).to_owned(),
            });
            return self.close_with(CloseReason::VersionMismatch);
        };
        let pings = version != "pre1";
        self.phase = Phase::Open { pings };
        self.heartbeat = pings.then(|| {
            Heartbeat::new(
                self.config.heartbeat_interval,
                self.config.heartbeat_timeout,
                now,
            )
        });
        self.send(&ServerMessage::Connected {
            session: self.id.clone(),
        });
        self.events.push_back(Event::Connected);
    }

    fn enqueue(&mut self, request: Request) {
        if self.queue.len() >= self.config.max_queued_messages {
            return self.refuse(request);
        }
        self.queue.push(request);
        self.advance();
    }

    /// Starts what waits, until something that runs holds the queue up.
    fn advance(&mut self) {
        while self.is_open() {
            let Some(request) = self.queue.next() else {
                return;
            };
            self.start(request);
        }
    }

    fn start(&mut self, request: Request) {
        match request {
            Request::Method {
                id,
                name,
                params,
                random_seed,
            } => {
                self.start_method(id, name, params, random_seed);
            }
            Request::Sub { id, name, params } => self.start_publication(id, name, params),
            Request::Unsub { id } => self.unsubscribe(id),
            Request::Refuse { reason, offending } => self.send_error(reason, Some(offending)),
        }
    }

    fn start_method(
        &mut self,
        id: String,
        name: String,
        params: Vec<Value>,
        random_seed: Option<String>,
    ) {
        if !self.names.has_method(&name) {
            return self.refuse_method(id, Error::not_found(format!("Method '{name}' not found")));
        }
        let call = CallKey(self.key());
        self.calls.insert(
            call,
            Call {
                id,
                pending_writes: 0,
                returned: false,
            },
        );
        self.queue.block(Work::Method(call));
        self.events.push_back(Event::Method {
            call,
            name,
            params,
            random_seed,
        });
    }

    fn start_publication(&mut self, id: String, name: String, params: Vec<Value>) {
        if !self.names.has_publication(&name) {
            let error = Error::not_found(format!("Subscription '{name}' not found"));
            return self.send_nosub(Some(id.into()), Some(error));
        }
        if self.subscriptions.key_of(&id).is_some() {
            return;
        }
        if self.subscriptions.len() >= self.config.max_subscriptions {
            let error = Error::new("too-many-subscriptions", "Too many subscriptions are open");
            return self.send_nosub(Some(id.into()), Some(error));
        }
        let sub = SubscriptionKey(self.key());
        self.subscriptions.insert(sub, id.clone());
        self.queue.block(Work::Publication(sub));
        self.events.push_back(Event::Subscribe {
            sub,
            id,
            name,
            params,
        });
    }

    fn unsubscribe(&mut self, id: Option<Value>) {
        let sub = id
            .as_ref()
            .and_then(Value::as_str)
            .and_then(|id| self.subscriptions.key_of(id));
        match sub {
            Some(sub) => self.end_subscription(sub, None),
            None => self.send_nosub(id, None),
        }
    }

    fn end_subscription(&mut self, sub: SubscriptionKey, error: Option<Error>) {
        let Some(id) = self.subscriptions.remove(sub) else {
            return;
        };
        for message in self.merge_box.remove_subscription(sub) {
            self.send(&message.into());
        }
        self.events.push_back(Event::Stopped { sub });
        self.send_nosub(Some(id.into()), error);
    }

    /// Answers what does not fit into the queue any more.
    fn refuse(&mut self, request: Request) {
        const REASON: &str = "Too many messages are waiting to be processed";
        let error = || Error::new("too-many-requests", REASON);
        match request {
            Request::Method { id, .. } => self.refuse_method(id, error()),
            Request::Sub { id, .. } => self.send_nosub(Some(id.into()), Some(error())),
            Request::Unsub { id } => self.send_nosub(id, Some(error())),
            Request::Refuse { .. } => self.send_error(REASON, None),
        }
    }

    fn refuse_method(&mut self, id: String, error: Error) {
        self.send(&ServerMessage::Result {
            id: id.clone(),
            result: Err(error),
        });
        self.send(&ServerMessage::Updated { methods: vec![id] });
    }

    fn send_updated(&mut self, call: CallKey) {
        if let Some(state) = self.calls.remove(&call) {
            self.send(&ServerMessage::Updated {
                methods: vec![state.id],
            });
        }
    }

    fn send_change(
        &mut self,
        sub: SubscriptionKey,
        change: Result<Option<DataMessage>, UnknownDocument>,
    ) -> Result<(), UnknownDocument> {
        if change.is_err() && self.subscriptions.is_running(sub) {
            self.fail(sub, Error::internal());
        }
        self.send_data(change?);
        Ok(())
    }

    fn send_data(&mut self, message: Option<DataMessage>) {
        if let Some(message) = message {
            self.send(&message.into());
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
            self.close_with(CloseReason::SlowReader);
            self.outbox.abandon();
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

/// The version that both sides speak, if it is the one that the client proposed.
fn negotiate(message: &Incoming) -> Option<&str> {
    let (version, support) = message.versions()?;
    (common_version(&support).unwrap_or(VERSIONS[0]) == version).then_some(version)
}

/// The first of the client's versions that this server speaks.
fn common_version<'a>(support: &[&'a str]) -> Option<&'a str> {
    support
        .iter()
        .copied()
        .find(|version| VERSIONS.contains(version))
}

#[cfg(test)]
mod tests;
