//! How far the layers of a pull or a push are, as one count.

use std::sync::Arc;

use indexmap::IndexMap;
use parking_lot::Mutex;

use crate::{
    LayerCount,
    builds::Progress,
    engine::{LayerState, TransferNews, TransferOutput},
};

/// Layers of one image that are told apart; engines take no image with more than 127.
const MAX_LAYERS: usize = 1_000;

/// Takes what the engine tells of a transfer, and tells it through the transfer's document.
pub(super) fn telling(progress: &Arc<Progress>) -> TransferOutput {
    let (progress, layers) = (Arc::clone(progress), Mutex::new(Layers::default()));
    Arc::new(move |news| match news {
        TransferNews::Text(text) => progress.say_line(text),
        TransferNews::Layer { id, state, text } => {
            let mut layers = layers.lock();
            if layers.enter(id, state, text) {
                progress.say_line(&format!("{id}: {text}"));
            }
            progress.layers(layers.count());
            let (received, expected) = layers.bytes();
            progress.received(received, expected);
        }
    })
}

#[derive(Default)]
struct Layers(IndexMap<String, Layer>);

#[derive(Default)]
struct Layer {
    /// What was said of it last, without numbers.
    said: String,
    is_done: bool,
    received: u64,
    expected: Option<u64>,
}

impl Layers {
    /// Enters news of a layer, and whether they are worth a line.
    fn enter(&mut self, id: &str, state: LayerState, text: &str) -> bool {
        if self.0.len() >= MAX_LAYERS && !self.0.contains_key(id) {
            return false;
        }
        let layer = self.0.entry(id.to_owned()).or_default();
        layer.become_(state);
        // `Retrying in 5 seconds` counts down.
        let saying = text.split(|c: char| c.is_ascii_digit()).next();
        let saying = saying.unwrap_or_default();
        let is_new = layer.said != saying;
        saying.clone_into(&mut layer.said);
        is_new
    }

    fn count(&self) -> LayerCount {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        LayerCount {
            done: number(self.0.values().filter(|layer| layer.is_done).count()),
            of: number(self.0.len()),
        }
    }

    /// Bytes that have moved, of all that are known to have to.
    fn bytes(&self) -> (u64, Option<u64>) {
        let received = self.0.values().map(|layer| layer.received).sum();
        let expected = self.0.values().filter_map(|layer| layer.expected);
        (received, expected.reduce(|sum, bytes| sum + bytes))
    }
}

impl Layer {
    /// A transfer that is tried again begins anew: what was told of it stays.
    fn become_(&mut self, state: LayerState) {
        match state {
            LayerState::Waiting => {}
            LayerState::Moving { done, of } => {
                self.received = self.received.max(done);
                // What is pushed may turn out larger than it was taken to be.
                let of = of.map(|of| of.max(self.received));
                self.expected = self.expected.max(of);
            }
            LayerState::Unpacking | LayerState::Done => {
                self.received = self.expected.unwrap_or(self.received);
                self.is_done = state == LayerState::Done;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moving(done: u64, of: u64) -> LayerState {
        LayerState::Moving { done, of: Some(of) }
    }

    #[test]
    fn layers_that_are_there_count_as_done_and_bytes_never_go_back() {
        let mut layers = Layers::default();
        layers.enter("a", LayerState::Done, "Already exists");
        layers.enter("b", LayerState::Waiting, "Pulling fs layer");
        assert_eq!(
            (layers.count(), layers.bytes()),
            (LayerCount { done: 1, of: 2 }, (0, None))
        );
        layers.enter("b", moving(60, 100), "Downloading");
        layers.enter("b", LayerState::Waiting, "Retrying in 5 seconds");
        layers.enter("b", moving(10, 100), "Downloading");
        assert_eq!(layers.bytes(), (60, Some(100)));
        layers.enter("c", moving(120, 100), "Pushing");
        assert_eq!(layers.bytes(), (180, Some(220)));
        layers.enter("b", LayerState::Done, "Pull complete");
        assert_eq!(
            (layers.count(), layers.bytes()),
            (LayerCount { done: 2, of: 3 }, (220, Some(220)))
        );
    }

    #[test]
    fn a_line_is_said_of_each_change_and_not_of_each_byte() {
        let mut layers = Layers::default();
        assert!(layers.enter("a", moving(1, 9), "Downloading"));
        assert!(!layers.enter("a", moving(2, 9), "Downloading"));
        assert!(layers.enter("a", LayerState::Waiting, "Retrying in 5 seconds"));
        assert!(!layers.enter("a", LayerState::Waiting, "Retrying in 4 seconds"));
        assert!(layers.enter("a", LayerState::Done, "Pull complete"));
    }
}
