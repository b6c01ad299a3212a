use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Instant;

use super::event::{CallError, LimitError};
use crate::ejson::Value;
use crate::message::ClientMessage;

/// Names one call of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(u64);

impl CallKey {
    /// The call of an id that the server has sent.
    pub(super) fn from_wire(id: &str) -> Option<Self> {
        id.parse().ok().map(Self)
    }
}

/// The id of the call on the wire: "1", "2" … as Meteor's client counts.
impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a method is to be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// The call is sent when all earlier ones are over, and later ones wait until it is over.
    /// All data is held back meanwhile.
    pub wait: bool,
    /// The call fails when the connection is lost while it is on its way. Otherwise it is sent
    /// again on the next connection, and the method may run twice.
    pub no_retry: bool,
    /// When to give up.
    pub deadline: Option<Instant>,
    /// The seed for ids that client and server make alike.
    pub random_seed: Option<String>,
}

/// What a call means to the connection itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Plain,
    Login,
    Logout,
    /// Repeats the login on a new connection; nobody but the connection knows of it.
    Relogin,
}

/// A call that is not over.
pub(super) struct Call {
    pub(super) purpose: Purpose,
    pub(super) wait: bool,
    /// Its turn has come on the present connection.
    pub(super) started: bool,
    /// It was handed to the wire of the present connection.
    pub(super) sent: bool,
    pub(super) result: Option<Result<Option<Value>, CallError>>,
    /// The data that the method has written is there.
    pub(super) updated: bool,
    no_retry: bool,
    deadline: Option<Instant>,
    frame: String,
}

/// The calls that are not over, in the order in which they are to be sent. Between `wait` calls
/// are blocks of calls that may run at the same time (`_outstandingMethodBlocks` in Meteor).
#[derive(Default)]
pub(super) struct Calls {
    calls: BTreeMap<CallKey, Call>,
    blocks: VecDeque<Block>,
    deadlines: BTreeSet<(Instant, CallKey)>,
    bytes: usize,
    last_key: u64,
}

struct Block {
    wait: bool,
    /// Its calls were started on the present connection; later ones start as they come.
    started: bool,
    calls: BTreeSet<CallKey>,
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn check_room(&self, max_calls: usize, max_bytes: usize) -> Result<(), LimitError> {
        if self.calls.len() >= max_calls {
            return Err(LimitError::Calls);
        }
        if self.bytes > max_bytes {
            return Err(LimitError::CallBytes);
        }
        Ok(())
    }

    /// Puts a call at the end.
    pub(super) fn push(
        &mut self,
        purpose: Purpose,
        method: String,
        params: Vec<Value>,
        options: CallOptions,
    ) -> CallKey {
        let wait = options.wait;
        let key = self.insert(purpose, method, params, options);
        match self.blocks.back_mut() {
            Some(block) if !wait && !block.wait => {
                block.calls.insert(key);
            }
            _ => self.blocks.push_back(Block::of(key, wait)),
        }
        key
    }

    /// Puts a `wait` call before all others.
    pub(super) fn push_first(
        &mut self,
        purpose: Purpose,
        method: String,
        params: Vec<Value>,
        deadline: Option<Instant>,
    ) {
        let options = CallOptions {
            wait: true,
            deadline,
            ..CallOptions::default()
        };
        let key = self.insert(purpose, method, params, options);
        self.blocks.push_front(Block::of(key, true));
    }

    pub(super) fn get(&self, key: CallKey) -> Option<&Call> {
        self.calls.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        self.calls.get_mut(&key)
    }

    /// The call is over.
    pub(super) fn remove(&mut self, key: CallKey) -> Option<Call> {
        let call = self.calls.remove(&key)?;
        self.bytes -= call.frame.len();
        if let Some(deadline) = call.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        for block in &mut self.blocks {
            if block.calls.remove(&key) {
                break;
            }
        }
        self.blocks.retain(|block| !block.calls.is_empty());
        Some(call)
    }

    /// The calls whose turn has come, marked as started.
    pub(super) fn start(&mut self) -> Vec<CallKey> {
        let Some(block) = self.blocks.front_mut().filter(|block| !block.started) else {
            return Vec::new();
        };
        block.started = true;
        let mut starting: Vec<_> = block.calls.iter().copied().collect();
        // a call that has its result waits for nothing but data: sending it again would only run
        // the method twice
        starting.retain(|key| {
            let call = self.calls.get_mut(key);
            call.is_some_and(|call| {
                call.started = call.result.is_none();
                call.started
            })
        });
        starting
    }

    /// As [`start`](Self::start), after a call was pushed.
    pub(super) fn start_pushed(&mut self, key: CallKey) -> Vec<CallKey> {
        let joined = self.blocks.len() == 1 && self.blocks[0].started;
        let Some(call) = self.calls.get_mut(&key).filter(|_| joined) else {
            return self.start();
        };
        call.started = true;
        vec![key]
    }

    /// The message of a call that is to be sent now, unless the call is over.
    pub(super) fn send(&mut self, key: CallKey) -> Option<String> {
        let call = self.calls.get_mut(&key)?;
        call.sent = true;
        Some(call.frame.clone())
    }

    /// The connection is lost: every call without a result will be sent again, as if it had
    /// never been. Gives the calls that must not be.
    pub(super) fn lose_connection(&mut self) -> Vec<CallKey> {
        for block in &mut self.blocks {
            block.started = false;
        }
        let mut lost = Vec::new();
        for (key, call) in &mut self.calls {
            if call.sent && call.no_retry && call.result.is_none() {
                lost.push(*key);
            }
            (call.started, call.sent, call.updated) = (false, false, false);
        }
        lost
    }

    pub(super) fn keys_where(&self, condition: impl Fn(&Call) -> bool) -> Vec<CallKey> {
        let calls = self.calls.iter().filter(|(_, call)| condition(call));
        calls.map(|(key, _)| *key).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// A call whose deadline has passed.
    pub(super) fn overdue(&self, now: Instant) -> Option<CallKey> {
        let (deadline, key) = self.deadlines.first()?;
        (*deadline <= now).then_some(*key)
    }

    fn insert(
        &mut self,
        purpose: Purpose,
        method: String,
        params: Vec<Value>,
        options: CallOptions,
    ) -> CallKey {
        self.last_key += 1;
        let key = CallKey(self.last_key);
        let message = ClientMessage::Method {
            id: key.to_string(),
            method,
            params,
            random_seed: options.random_seed,
        };
        let call = Call {
            purpose,
            wait: options.wait,
            started: false,
            sent: false,
            result: None,
            updated: false,
            no_retry: options.no_retry,
            deadline: options.deadline,
            frame: message.to_text(),
        };
        self.bytes += call.frame.len();
        self.deadlines
            .extend(call.deadline.map(|deadline| (deadline, key)));
        self.calls.insert(key, call);
        key
    }
}

impl Block {
    fn of(key: CallKey, wait: bool) -> Self {
        Self {
            wait,
            started: false,
            calls: BTreeSet::from([key]),
        }
    }
}
