use std::sync::Arc;

use ddp_protocol::Session;

use super::recorder::Recorder;

/// Adds up for the server what one session counts and has.
#[derive(Debug)]
pub(crate) struct Meter {
    recorder: Arc<Recorder>,
    messages_in: u64,
    messages_out: u64,
    queued_messages: i64,
    queued_bytes: i64,
    /// Not yet told.
    bytes_in: u64,
    bytes_out: u64,
}

impl Meter {
    pub(crate) fn new(recorder: Arc<Recorder>) -> Self {
        recorder.sessions_opened.add(1);
        Self {
            recorder,
            messages_in: 0,
            messages_out: 0,
            queued_messages: 0,
            queued_bytes: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Looks at the session; `waiting_bytes` are those that it has to send or that the socket did
    /// not take yet.
    pub(crate) fn look(&mut self, session: &Session, waiting_bytes: usize) {
        let (messages_in, messages_out) = (session.messages_in(), session.messages_out());
        self.recorder
            .messages_in
            .add(messages_in - self.messages_in);
        self.recorder
            .messages_out
            .add(messages_out - self.messages_out);
        (self.messages_in, self.messages_out) = (messages_in, messages_out);
        self.recorder
            .bytes_in
            .add(std::mem::take(&mut self.bytes_in));
        self.recorder
            .bytes_out
            .add(std::mem::take(&mut self.bytes_out));
        self.level(session.queued_messages() as i64, waiting_bytes as i64);
    }

    pub(crate) fn bytes_in(&mut self, bytes: usize) {
        self.bytes_in += bytes as u64;
    }

    pub(crate) fn bytes_out(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// The session has ended.
    pub(crate) fn closed(&self, session: &Session) {
        if let Some(reason) = session.close_reason() {
            self.recorder.closed(reason);
        }
    }

    fn level(&mut self, queued_messages: i64, queued_bytes: i64) {
        let recorder = &self.recorder;
        recorder
            .queued_messages
            .add(queued_messages - self.queued_messages);
        recorder.queued_bytes.add(queued_bytes - self.queued_bytes);
        (self.queued_messages, self.queued_bytes) = (queued_messages, queued_bytes);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.level(0, 0);
    }
}
