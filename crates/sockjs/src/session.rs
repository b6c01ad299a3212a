//! One client's session, without I/O and without a clock: what is buffered, who receives it, and
//! when it ends.
//!
//! Methods come in four kinds. *Getters* tell the state. *Input*: `attach`, `detach`,
//! `interrupted`, `heard`, `alive`, `timeout` say what happened outside. *Commands*: `send`,
//! `close`. *Polls*: `poll_message`, `poll_frame`, `poll_timeout` say what is to be done next.
//!
//! A session has at most one receiver: the HTTP response, or the WebSocket, that is now taking
//! frames. States and texts are sockjs-node's (`lib/transport.js`), with two differences: an
//! interrupted session says so for a while (`c[1002,"Connection interrupted"]`), where sockjs-node
//! would let the same id begin anew; and asking a closed session again does not prolong its life.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a message costs besides its bytes, so that empty ones are bounded too.
const MESSAGE_OVERHEAD: usize = 32;

/// Times and sizes of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Between two heartbeats.
    pub(crate) heartbeat: Duration,
    /// How long a client on a WebSocket may take to answer a heartbeat.
    pub(crate) heartbeat_timeout: Duration,
    /// How long a session lives without a receiver, and how long a closed one tells so.
    pub(crate) disconnect_delay: Duration,
    /// Bytes that wait in one direction before the sender has to wait.
    pub(crate) max_queued_bytes: usize,
}

/// Why a session ends, in the words that the client sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Closing {
    pub(crate) fn new(code: u16, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

/// What a receiver is to send next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Open,
    Messages(Vec<String>),
    Heartbeat,
    /// The last one.
    Close(Closing),
}

/// What a receiver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    Send(Frame),
    Wait,
    /// It is this session's receiver no longer.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiverKind {
    /// HTTP: others will follow it, and all that waits goes into one frame.
    Response,
    /// A WebSocket: the session ends with it, each message is a frame, and heartbeats are answered.
    Socket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceiverId(u64);

/// Why there is no room for a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It gets this frame instead.
    Tell(Closing),
    /// The session is over: its id is free again.
    Over,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSent {
    Full,
    Closed,
}

#[derive(Debug)]
pub(crate) struct Session {
    limits: Limits,
    state: State,
    open_due: bool,
    incoming: Queue,
    outgoing: Queue,
    receiver: Option<Receiver>,
    receivers: u64,
    /// When `timeout` has something to do; what, follows from the state.
    deadline: Instant,
}

#[derive(Debug)]
enum State {
    Open,
    Closing(Closing),
    Over,
}

#[derive(Debug)]
struct Receiver {
    id: ReceiverId,
    kind: ReceiverKind,
    heartbeat_due: bool,
    /// A heartbeat was due and nothing was heard since.
    unanswered: bool,
}

impl Session {
    /// A session with its first receiver.
    pub(crate) fn open(limits: Limits, kind: ReceiverKind, now: Instant) -> (Self, ReceiverId) {
        let mut session = Self {
            limits,
            state: State::Open,
            open_due: true,
            incoming: Queue::default(),
            outgoing: Queue::default(),
            receiver: None,
            receivers: 0,
            deadline: now,
        };
        let id = session.receive(kind, now);
        (session, id)
    }

    // getters

    /// Whether messages can be exchanged.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether there is nothing left to tell anybody.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether `send` takes a message.
    pub(crate) fn has_room(&self) -> bool {
        self.outgoing.bytes < self.limits.max_queued_bytes
    }

    /// Whether the client should be heard further.
    pub(crate) fn has_ear(&self) -> bool {
        self.incoming.bytes < self.limits.max_queued_bytes
    }

    /// Whether `poll_message` has something.
    pub(crate) fn has_message(&self) -> bool {
        !self.incoming.messages.is_empty()
    }

    /// Bytes that wait for a receiver.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.outgoing.bytes
    }

    /// Whether `poll_frame` would not say `Wait` to the receiver that is there.
    pub(crate) fn has_frame(&self) -> bool {
        let Some(receiver) = &self.receiver else {
            return true;
        };
        self.open_due
            || !self.outgoing.messages.is_empty()
            || !self.is_open()
            || receiver.heartbeat_due
    }

    // input

    /// Somebody comes to take frames.
    pub(crate) fn attach(
        &mut self,
        kind: ReceiverKind,
        now: Instant,
    ) -> Result<ReceiverId, Refusal> {
        match (&self.state, &self.receiver) {
            (State::Over, _) => Err(Refusal::Over),
            (State::Closing(closing), Some(_)) => Err(Refusal::Tell(closing.clone())),
            (State::Open, Some(_)) => {
                let reason = "Another connection still open";
                Err(Refusal::Tell(Closing::new(2010, reason)))
            }
            (_, None) => Ok(self.receive(kind, now)),
        }
    }

    /// A response is complete: the next may come.
    pub(crate) fn detach(&mut self, id: ReceiverId, now: Instant) {
        let Some(receiver) = self.receiver.take_if(|receiver| receiver.id == id) else {
            return;
        };
        if receiver.kind == ReceiverKind::Socket {
            self.end();
        } else if self.is_open() {
            self.deadline = now + self.limits.disconnect_delay;
        }
    }

    /// The client went away in the middle: what it has got is unknown, so this cannot go on.
    pub(crate) fn interrupted(&mut self, id: ReceiverId, now: Instant) {
        let Some(receiver) = self.receiver.take_if(|receiver| receiver.id == id) else {
            return;
        };
        if receiver.kind == ReceiverKind::Socket {
            self.end();
        } else if self.is_open() {
            self.outgoing = Queue::default();
            self.begin_closing(Closing::new(1002, "Connection interrupted"), now);
        }
    }

    /// The client has sent messages. A closed session does not listen.
    pub(crate) fn heard(&mut self, messages: Vec<String>) {
        if self.is_open() {
            messages
                .into_iter()
                .for_each(|message| self.incoming.push(message));
        }
    }

    /// The client on the WebSocket has given a sign of life.
    pub(crate) fn alive(&mut self, now: Instant) {
        let heartbeat = self.limits.heartbeat;
        let open = self.is_open();
        if let Some(receiver) = self
            .receiver
            .as_mut()
            .filter(|receiver| receiver.unanswered && open)
        {
            receiver.unanswered = false;
            self.deadline = now + heartbeat;
        }
    }

    /// Time has passed. Nothing happens before `poll_timeout`.
    pub(crate) fn timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match (&self.state, &mut self.receiver) {
            (State::Open, Some(receiver)) if receiver.unanswered => {
                self.begin_closing(Closing::new(3000, "No response from heartbeat"), now);
            }
            (State::Open, Some(receiver)) => {
                receiver.heartbeat_due = true;
                receiver.unanswered = receiver.kind == ReceiverKind::Socket;
                let wait = if receiver.unanswered {
                    self.limits.heartbeat_timeout
                } else {
                    self.limits.heartbeat
                };
                self.deadline = now + wait;
            }
            _ => self.end(),
        }
    }

    // commands

    /// Queues a message for the client.
    pub(crate) fn send(&mut self, message: String) -> Result<(), NotSent> {
        if !self.is_open() {
            return Err(NotSent::Closed);
        }
        if !self.has_room() {
            return Err(NotSent::Full);
        }
        self.outgoing.push(message);
        Ok(())
    }

    /// The application ends the session. What it has sent before is still delivered.
    pub(crate) fn close(&mut self, closing: Closing, now: Instant) {
        if self.is_open() {
            self.incoming = Queue::default();
            self.begin_closing(closing, now);
        }
    }

    // polls

    /// What the client has said, in order. Also what it said before it went away.
    pub(crate) fn poll_message(&mut self) -> Option<String> {
        self.incoming.pop()
    }

    /// What this receiver is to send.
    pub(crate) fn poll_frame(&mut self, id: ReceiverId) -> Next {
        let Some(receiver) = self.receiver.as_mut().filter(|receiver| receiver.id == id) else {
            return Next::End;
        };
        if std::mem::take(&mut self.open_due) {
            return Next::Send(Frame::Open);
        }
        let messages = match receiver.kind {
            ReceiverKind::Response => self.outgoing.take(),
            ReceiverKind::Socket => self.outgoing.pop().into_iter().collect(),
        };
        if !messages.is_empty() {
            return Next::Send(Frame::Messages(messages));
        }
        if let State::Closing(closing) = &self.state {
            let last = Frame::Close(closing.clone());
            self.receiver = None;
            return Next::Send(last);
        }
        if std::mem::take(&mut receiver.heartbeat_due) {
            return Next::Send(Frame::Heartbeat);
        }
        Next::Wait
    }

    /// When to call `timeout`; never again after the end.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (!self.is_over()).then_some(self.deadline)
    }

    fn receive(&mut self, kind: ReceiverKind, now: Instant) -> ReceiverId {
        self.receivers += 1;
        let id = ReceiverId(self.receivers);
        self.receiver = Some(Receiver {
            id,
            kind,
            heartbeat_due: false,
            unanswered: false,
        });
        if self.is_open() {
            self.deadline = now + self.limits.heartbeat;
        }
        id
    }

    fn begin_closing(&mut self, closing: Closing, now: Instant) {
        self.state = State::Closing(closing);
        self.deadline = now + self.limits.disconnect_delay;
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.receiver = None;
        self.outgoing = Queue::default();
    }
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<String>,
    bytes: usize,
}

impl Queue {
    fn push(&mut self, message: String) {
        self.bytes += message.len() + MESSAGE_OVERHEAD;
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<String> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len() + MESSAGE_OVERHEAD;
        Some(message)
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(self).messages.into()
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
