//! What the application says to a session about its calls and subscriptions.

use super::outbox::Data;
use super::queue::{CallKey, Work};
use super::{CloseReason, Event, Session};
use crate::Error;
use crate::ejson::Value;
use crate::merge_box::SubscriptionKey;
use crate::message::ServerMessage;

impl Session {
    /// Lets the client's next message start before this work has returned. Saying it again, or
    /// after the work has returned, does nothing.
    pub fn unblock(&mut self, work: Work) {
        if let Work::Publication(sub) = work {
            self.settle(sub);
        }
        self.queue.release(work);
        self.advance();
    }

    /// A method has returned. `Ok(None)` is JavaScript's `undefined`: no result at all.
    pub fn method_returned(&mut self, call: CallKey, result: Result<Option<Value>, Error>) {
        let Some(returned) = self.calls.returned(call) else {
            return;
        };
        if returned.written {
            self.answer_updated(returned.id.clone());
        }
        let id = returned.id;
        self.answer(ServerMessage::Result { id, result });
        self.unblock(Work::Method(call));
    }

    /// A method has begun a write that may end after the method has returned: its `updated`
    /// waits for [`commit_write`](Self::commit_write).
    pub fn begin_write(&mut self, call: CallKey) {
        self.calls.begin_write(call);
    }

    /// A write of a method has ended, and its data was handed to this session.
    pub fn commit_write(&mut self, call: CallKey) {
        if let Some(id) = self.calls.commit_write(call) {
            self.answer_updated(id);
        }
    }

    /// A publication has sent its initial data. Only the first time counts. Clients are not told
    /// of universal ones.
    pub fn ready(&mut self, sub: SubscriptionKey) {
        let Some(subscription) = self.subscriptions.get_mut(sub) else {
            return;
        };
        let first = !std::mem::replace(&mut subscription.ready, true);
        let id = subscription.id().map(str::to_owned);
        if let (true, None, Some(id)) = (first, &self.rerun, id) {
            self.send(&ServerMessage::Ready { subs: vec![id] });
        }
        self.settle(sub);
    }

    /// A publication ends its subscription.
    pub fn stop(&mut self, sub: SubscriptionKey) {
        self.end_subscription(sub, None);
    }

    /// A publication ends its subscription with an error. Clients are not told of universal ones.
    pub fn fail(&mut self, sub: SubscriptionKey, error: Error) {
        self.end_subscription(sub, Some(error));
    }

    /// The handler of a publication has returned; what it started may go on.
    pub fn publication_returned(&mut self, sub: SubscriptionKey) {
        if let Some(subscription) = self.subscriptions.get_mut(sub) {
            subscription.running = false;
        }
        self.unblock(Work::Publication(sub));
    }

    /// Closes the session once what was already said is sent.
    pub fn close(&mut self) {
        self.close_with(CloseReason::Application);
    }

    pub(super) fn end_subscription(&mut self, sub: SubscriptionKey, error: Option<Error>) {
        let Some(subscription) = self.subscriptions.remove(sub) else {
            return;
        };
        let gone = self.merge_box.remove_subscription(sub).into_iter();
        self.send_batch(gone.map(Data::Own));
        self.events.push_back(Event::Stopped { sub });
        if let Some(id) = subscription.id() {
            self.send_nosub(Some(id.into()), error);
        }
        self.settle(sub);
    }

    fn answer_updated(&mut self, id: String) {
        self.answer(ServerMessage::Updated { methods: vec![id] });
    }

    /// Answers must not overtake data that the client has not heard yet.
    fn answer(&mut self, message: ServerMessage) {
        match &mut self.rerun {
            Some(rerun) => rerun.hold_answer(message),
            None => self.send(&message),
        }
    }
}
