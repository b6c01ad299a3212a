use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::calls::CallKey;
use crate::message::Data;

/// What holds data back, and the data that is held back.
///
/// After a reconnect the server sends everything anew. Until every subscription that was ready is
/// ready again, and every call that is on its way is done, the client goes on showing what it
/// had; then the new data replaces the old in one step. A `wait` call holds data back likewise,
/// without the replacing (`_waitingForQuiescence` in Meteor's `livedata_connection.js`).
#[derive(Debug, Default)]
pub(super) struct Quiescence {
    subs: HashSet<String>,
    calls: HashSet<CallKey>,
    held: Held,
    held_bytes: usize,
    /// From when the time counts in which data may be held back.
    since: Option<Instant>,
    /// What is held replaces all that was there.
    replaces: bool,
}

/// Messages that take effect together.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Held {
    pub(super) data: Vec<Data>,
    pub(super) marks: Vec<Mark>,
}

/// What comes after data, and says that it is complete.
#[derive(Debug, PartialEq)]
pub(super) enum Mark {
    Ready(Vec<String>),
    Updated(Vec<String>),
}

impl Quiescence {
    pub(super) fn is_waiting(&self) -> bool {
        !self.subs.is_empty() || !self.calls.is_empty()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// When data has been held back for this long.
    pub(super) fn deadline(&self, longest: Duration) -> Option<Instant> {
        let since = self.since.filter(|_| self.is_waiting())?;
        since.checked_add(longest)
    }

    /// A new session has begun: these are what it waits for.
    pub(super) fn begin(
        &mut self,
        subs: impl Iterator<Item = String>,
        calls: impl Iterator<Item = CallKey>,
        replaces: bool,
        now: Instant,
    ) {
        // what was there is old from the first moment on
        self.since = replaces.then_some(now);
        self.subs = subs.collect();
        self.calls = calls.collect();
        self.replaces = replaces;
    }

    pub(super) fn wait_for_call(&mut self, call: CallKey) {
        self.calls.insert(call);
    }

    pub(super) fn call_is_done(&mut self, call: CallKey) {
        self.calls.remove(&call);
    }

    pub(super) fn sub_is_done(&mut self, sub: &str) {
        self.subs.remove(sub);
    }

    pub(super) fn stop_waiting(&mut self) {
        self.subs.clear();
        self.calls.clear();
    }

    pub(super) fn hold_data(&mut self, data: Data, bytes: usize, now: Instant) {
        self.since.get_or_insert(now);
        self.held_bytes += bytes;
        self.held.data.push(data);
    }

    pub(super) fn hold_mark(&mut self, mark: Mark, bytes: usize, now: Instant) {
        self.since.get_or_insert(now);
        self.held_bytes += bytes;
        match &mark {
            Mark::Ready(subs) => subs.iter().for_each(|sub| self.sub_is_done(sub)),
            Mark::Updated(calls) => {
                let calls = calls.iter().filter_map(|id| CallKey::from_wire(id));
                calls.for_each(|call| self.call_is_done(call));
            }
        }
        self.held.marks.push(mark);
    }

    /// Everything that was held back, and whether it replaces all that was there.
    pub(super) fn release(&mut self) -> (Held, bool) {
        self.held_bytes = 0;
        self.since = None;
        (
            std::mem::take(&mut self.held),
            std::mem::take(&mut self.replaces),
        )
    }

    /// The connection is lost: what is held is only a part, and will come again.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
