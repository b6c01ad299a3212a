use std::collections::VecDeque;

mod data;
mod text;
mod weight;

pub(super) use self::data::Data;
pub use self::text::{Text, Transmit};

/// Frames that wait to be sent, limited in bytes.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Text>,
    bytes: usize,
    closing: bool,
}

impl Outbox {
    pub(super) fn push(&mut self, text: Text) {
        self.bytes += text.len();
        self.frames.push_back(text);
    }

    pub(super) fn push_data(&mut self, data: Data) {
        self.push(data.into_text());
    }

    pub(super) fn pop(&mut self) -> Option<Transmit> {
        let Some(text) = self.frames.pop_front() else {
            return std::mem::take(&mut self.closing).then_some(Transmit::Close);
        };
        self.bytes -= text.len();
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
        Some(Transmit::Text(text))
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
        *self = Self::default();
    }
}
