//! The client's side of a DDP connection, as a state machine.

mod account;
mod backoff;
mod calls;
mod commands;
mod config;
mod event;
mod outbox;
mod quiescence;
mod receive;
mod store;
mod subscriptions;

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use self::account::Account;
pub use self::backoff::{Backoff, BackoffPolicy};
pub use self::calls::{CallKey, CallOptions};
use self::calls::{Calls, Purpose};
pub use self::config::ConnectionConfig;
pub use self::event::{CallError, Event, LimitError, Loss, Status};
use self::outbox::Outbox;
pub use self::outbox::Transmit;
use self::quiescence::Quiescence;
use self::store::Store;
pub use self::store::{Change, Documents};
use self::subscriptions::Subscriptions;
use crate::heartbeat::{Beat, Heartbeat};
use crate::message::{ClientMessage, Told};
use crate::session::VERSIONS;

/// One client: what it has called and subscribed to, and what the server has told it. It outlives
/// the connections to the server: each new one begins with [`handle_open`](Self::handle_open).
///
/// There are four kinds of method:
///
/// - **getters** such as [`status`](Self::status) and [`collection`](Self::collection);
/// - **`handle_*`** take what comes from the wire or from a timer;
/// - **commands** such as [`call`](Self::call) and [`subscribe`](Self::subscribe) are what the
///   application wants; they are good at any time, with or without a connection;
/// - **`poll_*`** tell what is to be done next: tell the application
///   ([`poll_event`](Self::poll_event)), send a frame ([`poll_transmit`](Self::poll_transmit)),
///   call [`handle_timeout`](Self::handle_timeout) at a time
///   ([`poll_timeout`](Self::poll_timeout)).
///
/// After any `handle_*` or command, poll events and frames until there are none.
///
/// What is promised:
///
/// - A call is over when its result *and* the data that its method has written are there.
/// - After a reconnect the login is repeated first, then the calls that have no result are sent
///   again, and all subscriptions with the ids that they had. Until all that was there before
///   is there again, the old data stays, but not for longer than
///   [`max_hold_time`](ConnectionConfig::max_hold_time); then what differs changes in one step.
/// - Messages that make no sense are passed over and [counted](Self::ignored_messages).
///
/// Behaviour follows `packages/ddp-client/common/livedata_connection.js`.
///
/// ```
/// use std::time::Instant;
/// use ddp_protocol::client::{Connection, ConnectionConfig, Event, Transmit};
///
/// let now = Instant::now();
/// let mut client = Connection::new(ConnectionConfig::default());
/// client.handle_open(now);
/// let call = client.call("double", vec![21.into()], Default::default())?;
/// let sent: Vec<_> = std::iter::from_fn(|| client.poll_transmit()).collect();
/// assert_eq!(sent[1], Transmit::Text(
///     r#"{"msg":"method","method":"double","params":[21],"id":"1"}"#.to_owned()
/// ));
/// client.handle_text(r#"{"msg":"connected","session":"Br8mFgKZCAfKZSaMY"}"#, now);
/// client.handle_text(r#"{"msg":"updated","methods":["1"]}"#, now);
/// client.handle_text(r#"{"msg":"result","id":"1","result":42}"#, now);
/// let events: Vec<_> = std::iter::from_fn(|| client.poll_event()).collect();
/// assert!(events.contains(&Event::CallFinished { call, result: Ok(Some(42.into())) }));
/// # Ok::<(), ddp_protocol::client::LimitError>(())
/// ```
pub struct Connection {
    config: ConnectionConfig,
    phase: Phase,
    /// Which of [`VERSIONS`] to suggest, and which were refused since the last success.
    version: &'static str,
    refused: Vec<&'static str>,
    session: Option<String>,
    heartbeat: Option<Heartbeat>,
    calls: Calls,
    subscriptions: Subscriptions,
    account: Account,
    store: Store,
    quiescence: Quiescence,
    outbox: Outbox,
    events: VecDeque<Event>,
    ignored: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Offline(Loss),
    /// `connect` was said, and what there is to say after it; the answer is awaited.
    Opening {
        deadline: Option<Instant>,
    },
    Open,
}

impl Connection {
    /// A client without a connection.
    pub fn new(config: ConnectionConfig) -> Self {
        Self {
            config,
            phase: Phase::Offline(Loss::NeverConnected),
            version: VERSIONS[0],
            refused: Vec::new(),
            session: None,
            heartbeat: None,
            calls: Calls::default(),
            subscriptions: Subscriptions::default(),
            account: Account::default(),
            store: Store::default(),
            quiescence: Quiescence::default(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            ignored: 0,
        }
    }

    /// Whether there is a connection, and if not, why.
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::Offline(loss) => Status::Offline(loss),
            Phase::Opening { .. } => Status::Connecting,
            Phase::Open => Status::Connected,
        }
    }

    /// The id of the present session, or of the last one.
    pub fn session_id(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The version of DDP that is spoken, or tried.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// The user that is logged in. It is kept while there is no connection.
    pub fn user_id(&self) -> Option<&str> {
        self.account.user()
    }

    /// The documents of a collection, if the server has ever sent one.
    pub fn collection(&self, name: &str) -> Option<&Documents> {
        self.store.collection(name)
    }

    /// The names of the collections of which the server has ever sent a document.
    pub fn collections(&self) -> impl Iterator<Item = &str> {
        self.store.names()
    }

    /// How many calls are not over.
    pub fn unfinished_calls(&self) -> usize {
        self.calls.len()
    }

    /// How many subscriptions are open.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether the initial data of a subscription has been there, on this connection or an
    /// earlier one.
    pub fn is_ready(&self, sub: &str) -> bool {
        self.subscriptions.is_ready(sub)
    }

    /// Whether data is held back, after a reconnect or for a `wait` call.
    pub fn is_holding_back(&self) -> bool {
        self.quiescence.is_waiting()
    }

    /// How many bytes of messages are held back.
    pub fn held_bytes(&self) -> usize {
        self.quiescence.held_bytes()
    }

    /// How many messages made no sense and were passed over. `server_id`, which old servers send
    /// first, is one of them; so are `addedBefore` and `movedBefore`, which no server sends.
    pub fn ignored_messages(&self) -> u64 {
        self.ignored
    }

    /// There is a new connection to the server. A former one is given up.
    pub fn handle_open(&mut self, now: Instant) {
        self.lose(Loss::Disconnected);
        self.outbox.end(false);
        self.phase = Phase::Opening {
            deadline: now.checked_add(self.config.connect_timeout),
        };
        self.events.push_back(Event::Status(Status::Connecting));
        self.send(&ClientMessage::Connect {
            version: self.version.to_owned(),
            support: VERSIONS.map(str::to_owned).into(),
            session: self.session.clone(),
        });
        if let Some((method, params)) = self.account.resume() {
            let deadline = now.checked_add(self.config.login_timeout);
            self.calls
                .push_first(Purpose::Relogin, method, params, deadline);
        }
        self.start_calls();
        for id in self.subscriptions.ids() {
            self.outbox.push_subscription(id.clone());
        }
    }

    /// A frame has come in.
    pub fn handle_text(&mut self, frame: &str, now: Instant) {
        if self.is_offline() {
            return;
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.handle_message();
        }
        match Told::read(frame, &self.config.types) {
            Some(message) => self.handle_message(message, frame.len(), now),
            None => self.ignored += 1,
        }
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.give_up_overdue_calls(now);
        self.release_overdue(now);
        if let Phase::Opening { deadline } = self.phase
            && deadline.is_some_and(|deadline| deadline <= now)
        {
            self.lose(Loss::ConnectTimeout);
        }
        match self.heartbeat.as_mut().map(|beat| beat.handle_timeout(now)) {
            Some(Beat::Ping) => self.send(&ClientMessage::Ping),
            Some(Beat::Dead) => self.lose(Loss::HeartbeatTimeout),
            Some(Beat::Idle) | None => {}
        }
    }

    /// The connection is gone.
    pub fn handle_disconnect(&mut self) {
        self.lose(Loss::Disconnected);
        self.outbox.end(false);
    }

    /// What the application may want to know next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is to be sent next. A call counts as sent from here on.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop(&mut self.calls, &mut self.subscriptions)
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) may have something.
    pub fn has_transmit(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let connect = match self.phase {
            Phase::Opening { deadline } => deadline,
            Phase::Open | Phase::Offline(_) => None,
        };
        let beat = self.heartbeat.as_ref().and_then(Heartbeat::poll_timeout);
        let held = self.quiescence.deadline(self.config.max_hold_time);
        let times = [connect, beat, held, self.calls.next_deadline()];
        times.into_iter().flatten().min()
    }

    fn is_offline(&self) -> bool {
        matches!(self.phase, Phase::Offline(_))
    }

    fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening { .. })
    }

    fn send(&mut self, message: &ClientMessage) {
        self.outbox.push(message.to_text());
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("phase", &self.phase)
            .field("session", &self.session)
            .field("calls", &self.calls.len())
            .field("subscriptions", &self.subscriptions.len())
            .field("holding_back", &self.quiescence.is_waiting())
            .finish_non_exhaustive()
    }
}
