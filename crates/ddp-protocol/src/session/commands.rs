//! What the application says to a session.

use super::queue::{CallKey, Work};
use super::{CloseReason, Event, Session};
use crate::ejson::{Fields, Value};
use crate::merge_box::{SubscriptionKey, UnknownDocument};
use crate::message::{DataMessage, ServerMessage};
use crate::{DocumentId, Error};

impl Session {
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

    pub(super) fn end_subscription(&mut self, sub: SubscriptionKey, error: Option<Error>) {
        let Some(id) = self.subscriptions.remove(sub) else {
            return;
        };
        for message in self.merge_box.remove_subscription(sub) {
            self.send(&message.into());
        }
        self.events.push_back(Event::Stopped { sub });
        self.send_nosub(Some(id.into()), error);
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
}
