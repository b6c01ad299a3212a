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
    waiting: VecDeque<Request>,
    blocked_by: Option<Work>,
}

impl Queue {
    pub(super) fn push(&mut self, request: Request) {
        self.waiting.push_back(request);
    }

    /// The next message, unless something holds it up.
    pub(super) fn next(&mut self) -> Option<Request> {
        if self.blocked_by.is_some() {
            return None;
        }
        self.waiting.pop_front()
    }

    pub(super) fn block(&mut self, work: Work) {
        self.blocked_by = Some(work);
    }

    pub(super) fn release(&mut self, work: Work) {
        if self.blocked_by == Some(work) {
            self.blocked_by = None;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn clear(&mut self) {
        self.waiting = VecDeque::new();
        self.blocked_by = None;
    }
}
