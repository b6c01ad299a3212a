use std::collections::VecDeque;

use crate::merge_box::SubscriptionKey;
use crate::message::Request;

/// Names one call of a method. The client's own id does not: it can be used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(pub(super) u64);

/// A handler that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// A method.
    Method(CallKey),
    /// A publication.
    Publication(SubscriptionKey),
}

/// The messages of a session that wait for their turn, and what holds them up.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    blocked_by: Option<Work>,
}

/// A message that waits, and the size of its frame.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: Request,
    pub(super) bytes: usize,
}

impl Queue {
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.bytes;
        self.waiting.push_back(waiting);
    }

    /// The next message, unless something holds it up.
    pub(super) fn next(&mut self) -> Option<Waiting> {
        if self.blocked_by.is_some() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.bytes -= next.bytes;
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(next)
    }

    pub(super) fn block(&mut self, work: Work) {
        self.blocked_by = Some(work);
    }

    pub(super) fn is_blocked_by(&self, work: Work) -> bool {
        self.blocked_by == Some(work)
    }

    pub(super) fn release(&mut self, work: Work) {
        if self.is_blocked_by(work) {
            self.blocked_by = None;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message would start at once.
    pub(super) fn is_idle(&self) -> bool {
        self.blocked_by.is_none() && self.waiting.is_empty()
    }
}
