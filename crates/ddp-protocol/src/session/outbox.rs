use std::collections::VecDeque;

/// Something to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// A text frame.
    Text(String),
    /// A normal close (code 1000). Nothing comes after it.
    Close,
}

/// Frames that wait to be sent, limited in bytes.
#[derive(Debug)]
pub(super) struct Outbox {
    frames: VecDeque<String>,
    bytes: usize,
    limit: usize,
    closing: bool,
}

impl Outbox {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            limit,
            closing: false,
        }
    }

    /// Whether the frame was taken. What counts is what already waits: a client that reads is not
    /// to be dropped for a single document that is large.
    pub(super) fn push(&mut self, frame: String) -> bool {
        if self.bytes > self.limit {
            return false;
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        true
    }

    pub(super) fn pop(&mut self) -> Option<Transmit> {
        let Some(frame) = self.frames.pop_front() else {
            return std::mem::take(&mut self.closing).then_some(Transmit::Close);
        };
        self.bytes -= frame.len();
        if self.frames.is_empty() {
            self.frames.shrink_to(8);
        }
        Some(Transmit::Text(frame))
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.closing
    }

    /// A close comes after what waits.
    pub(super) fn finish(&mut self) {
        self.closing = true;
    }

    /// Nothing that waits is worth sending any more.
    pub(super) fn abandon(&mut self) {
        self.frames = VecDeque::new();
        self.bytes = 0;
        self.closing = false;
    }
}
