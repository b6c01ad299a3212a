use std::collections::VecDeque;

use super::calls::{CallKey, Calls};
use super::subscriptions::Subscriptions;

/// Something to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// A text frame.
    Text(String),
    /// A normal close (code 1000). Nothing comes after it on this connection.
    Close,
}

/// How many answers to pings may wait. A server that reads none of them needs no more.
const MAX_PONGS: usize = 64;

/// What waits to be sent on the present connection.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Outgoing>,
    pongs: usize,
    closing: bool,
}

#[derive(PartialEq)]
enum Outgoing {
    Frame(String),
    Pong(String),
    /// Its frame belongs to the call, which may be over before it is sent.
    Call(CallKey),
    /// Likewise of the subscription with this id.
    Subscription(String),
}

impl Outbox {
    pub(super) fn push(&mut self, frame: String) {
        self.waiting.push_back(Outgoing::Frame(frame));
    }

    pub(super) fn push_pong(&mut self, frame: String) {
        if self.pongs < MAX_PONGS {
            self.pongs += 1;
            self.waiting.push_back(Outgoing::Pong(frame));
        }
    }

    pub(super) fn push_call(&mut self, call: CallKey) {
        self.waiting.push_back(Outgoing::Call(call));
    }

    pub(super) fn push_subscription(&mut self, id: String) {
        self.waiting.push_back(Outgoing::Subscription(id));
    }

    /// A call that was not sent yet is over.
    pub(super) fn take_back_call(&mut self, call: CallKey) {
        self.take_back(&Outgoing::Call(call));
    }

    /// A subscription that was not sent yet has ended.
    pub(super) fn take_back_subscription(&mut self, id: &str) {
        self.take_back(&Outgoing::Subscription(id.to_owned()));
    }

    // otherwise what comes and goes would pile up before a server that reads nothing
    fn take_back(&mut self, taken: &Outgoing) {
        if let Some(at) = self.waiting.iter().position(|waiting| waiting == taken) {
            self.waiting.remove(at);
        }
    }

    pub(super) fn pop(
        &mut self,
        calls: &mut Calls,
        subscriptions: &mut Subscriptions,
    ) -> Option<Transmit> {
        while let Some(outgoing) = self.waiting.pop_front() {
            let frame = match outgoing {
                Outgoing::Frame(frame) => Some(frame),
                Outgoing::Pong(frame) => {
                    self.pongs -= 1;
                    Some(frame)
                }
                Outgoing::Call(call) => calls.send(call),
                Outgoing::Subscription(id) => subscriptions.send(&id),
            };
            if let Some(frame) = frame {
                return Some(Transmit::Text(frame));
            }
        }
        std::mem::take(&mut self.closing).then_some(Transmit::Close)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.closing
    }

    /// Nothing of it can be sent any more; the connection is to be closed, if there still is one.
    pub(super) fn end(&mut self, close: bool) {
        *self = Self {
            closing: close,
            ..Self::default()
        };
    }
}
