//! What goes to the client, as long as it reads.

use super::{CloseReason, Session};
use crate::Error;
use crate::ejson::Value;
use crate::message::ServerMessage;

impl Session {
    pub(super) fn send_nosub(&mut self, id: Option<Value>, error: Option<Error>) {
        self.send(&ServerMessage::NoSub { id, error });
    }

    pub(super) fn send_error(&mut self, reason: &str, offending: Option<Value>) {
        self.send(&ServerMessage::Error {
            reason: reason.to_owned(),
            offending,
        });
    }

    pub(super) fn send(&mut self, message: &ServerMessage) {
        if self.may_send() {
            self.outbox.push(message.to_text());
        }
    }

    /// Whether the client reads what it is sent; if not, the session is closed. What counts is
    /// what already waits, but for the last batch: a client that reads is not to be dropped for
    /// what is said in one moment, be it a single document that is large.
    pub(super) fn may_send(&mut self) -> bool {
        self.close_if_slow(self.outbox.bytes() - self.outbox.batch_bytes());
        self.close_reason().is_none()
    }

    pub(super) fn may_send_batch(&mut self) -> bool {
        self.close_if_slow(self.outbox.bytes());
        self.close_reason().is_none()
    }

    fn close_if_slow(&mut self, unread_bytes: usize) {
        if self.close_reason().is_none() && unread_bytes > self.config.max_queued_bytes {
            self.outbox.abandon();
            self.close_with(CloseReason::SlowReader);
        }
    }
}
