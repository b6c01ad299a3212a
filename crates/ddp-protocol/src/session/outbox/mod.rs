use std::collections::VecDeque;

mod data;
mod folds;
mod text;
mod weight;

pub(super) use self::data::Data;
use self::folds::Folds;
pub use self::text::{Text, Transmit};

/// Messages that wait to be sent.
///
/// While much waits, those about documents are kept as they are meant instead of as texts, so that
/// changes of the same document can become one. A change then goes with an earlier message: never
/// later than what must come after it.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// How much of it was said in one moment.
    batch_bytes: usize,
    folds: Option<Box<Folds>>,
    closing: bool,
}

#[derive(Debug)]
enum Waiting {
    Text(Text),
    Data(Box<Data>),
}

impl Waiting {
    /// About how many bytes it has; the same until it is changed.
    fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Data(data) => data.weight(),
        }
    }

    fn into_text(self) -> Text {
        match self {
            Self::Text(text) => text,
            Self::Data(data) => data.into_text(),
        }
    }
}

impl Outbox {
    pub(super) fn push(&mut self, text: String) {
        self.push_waiting(Waiting::Text(Text::Own(text)));
    }

    /// Takes a message about a document. From `fold_from` bytes on it is worth while to make one of
    /// several.
    pub(super) fn push_data(&mut self, data: Data, fold_from: usize) {
        if self.bytes >= fold_from {
            self.folds.get_or_insert_default();
        }
        let Some(folds) = &mut self.folds else {
            return self.push_waiting(Waiting::Text(data.into_text()));
        };
        match folds.place_for(&data, self.waiting.len()) {
            Some(at) => self.fold_into(at, &data),
            None => self.push_waiting(Waiting::Data(Box::new(data))),
        }
    }

    /// Takes messages that are said in one moment.
    pub(super) fn push_batch(&mut self, batch: impl IntoIterator<Item = Data>, fold_from: usize) {
        let before = self.bytes;
        for data in batch {
            self.push_data(data, fold_from);
        }
        self.batch_bytes += self.bytes.saturating_sub(before);
    }

    pub(super) fn pop(&mut self) -> Option<Transmit> {
        let Some(first) = self.waiting.pop_front() else {
            return std::mem::take(&mut self.closing).then_some(Transmit::Close);
        };
        self.bytes -= first.weight();
        self.batch_bytes = self.batch_bytes.min(self.bytes);
        if let Some(folds) = &mut self.folds {
            folds.popped();
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
            self.folds = None;
        }
        Some(Transmit::Text(first.into_text()))
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many of them were said in one moment. What waited before is sent first.
    pub(super) fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.closing
    }

    /// A close comes after what waits.
    pub(super) fn finish(&mut self) {
        self.closing = true;
    }

    /// Nothing that waits is worth sending any more.
    pub(super) fn abandon(&mut self) {
        *self = Self::default();
    }

    fn push_waiting(&mut self, waiting: Waiting) {
        self.bytes += waiting.weight();
        self.waiting.push_back(waiting);
    }

    fn fold_into(&mut self, at: usize, later: &Data) {
        if let Waiting::Data(earlier) = &mut self.waiting[at] {
            self.bytes -= earlier.weight();
            earlier.fold(later);
            self.bytes += earlier.weight();
            self.batch_bytes = self.batch_bytes.min(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ejson::Fields;
    use crate::fields;
    use crate::merge_box::LiveChange;
    use crate::message::DataMessage;

    fn added(id: &str, fields: Fields) -> Data {
        Data::Own(DataMessage::Added {
            collection: "c".into(),
            id: id.into(),
            fields: Arc::new(fields),
        })
    }

    fn changed(id: &str, fields: Fields, cleared: &[&str]) -> Data {
        Data::Own(DataMessage::Changed {
            collection: "c".into(),
            id: id.into(),
            fields,
            cleared: cleared.iter().map(|key| (*key).to_owned()).collect(),
        })
    }

    fn removed(id: &str) -> Data {
        Data::Own(DataMessage::Removed {
            collection: "c".into(),
            id: id.into(),
        })
    }

    fn drain(outbox: &mut Outbox) -> Vec<String> {
        let all = std::iter::from_fn(|| outbox.pop());
        let texts = all.filter_map(|transmit| match transmit {
            Transmit::Text(text) => Some(text.into_string()),
            Transmit::Close => None,
        });
        texts
            .map(|text| text.replace(r#""collection":"c","#, ""))
            .collect()
    }

    #[test]
    fn changes_of_a_document_become_one_where_the_first_was() {
        let mut outbox = Outbox::default();
        outbox.push_data(changed("a", fields! { "x": 1, "y": 1 }, &["z"]), 0);
        outbox.push_data(changed("b", fields! { "x": 1 }, &[]), 0);
        outbox.push("updated".to_owned());
        outbox.push_data(changed("a", fields! { "x": 2, "z": 2 }, &["y"]), 0);
        assert_eq!(
            drain(&mut outbox),
            [
                r#"{"msg":"changed","id":"a","fields":{"x":2,"z":2},"cleared":["y"]}"#,
                r#"{"msg":"changed","id":"b","fields":{"x":1}}"#,
                "updated",
            ]
        );
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn a_change_goes_with_the_document_that_is_still_to_come() {
        let mut outbox = Outbox::default();
        outbox.push_data(added("a", fields! { "x": 1, "y": 1 }), 0);
        outbox.push_data(changed("a", fields! { "x": 2 }, &["y"]), 0);
        assert_eq!(
            drain(&mut outbox),
            [r#"{"msg":"added","id":"a","fields":{"x":2}}"#]
        );
    }

    #[test]
    fn nothing_passes_a_removal() {
        let mut outbox = Outbox::default();
        outbox.push_data(changed("a", fields! { "x": 1 }, &[]), 0);
        outbox.push_data(removed("a"), 0);
        // another subscription has it still, where nothing is merged
        outbox.push_data(changed("a", fields! { "x": 1 }, &[]), 0);
        outbox.push_data(added("a", fields! { "x": 2 }), 0);
        outbox.push_data(changed("a", fields! { "x": 3 }, &[]), 0);
        assert_eq!(
            drain(&mut outbox),
            [
                r#"{"msg":"changed","id":"a","fields":{"x":1}}"#,
                r#"{"msg":"removed","id":"a"}"#,
                r#"{"msg":"changed","id":"a","fields":{"x":1}}"#,
                r#"{"msg":"added","id":"a","fields":{"x":3}}"#,
            ]
        );
    }

    #[test]
    fn what_was_sent_is_not_changed_any_more() {
        let mut outbox = Outbox::default();
        outbox.push_data(changed("a", fields! { "x": 1 }, &[]), 0);
        outbox.push("between".to_owned());
        outbox.pop();
        outbox.push_data(changed("a", fields! { "x": 2 }, &[]), 0);
        outbox.push_data(changed("a", fields! { "x": 3 }, &[]), 0);
        assert_eq!(
            drain(&mut outbox),
            ["between", r#"{"msg":"changed","id":"a","fields":{"x":3}}"#]
        );
    }

    #[test]
    fn what_is_shared_is_not_changed_for_others() {
        let version = |n: i32| Arc::new(fields! { "x": n });
        let change = |n| LiveChange::changed("c", "a", version(n), version(n + 1)).map(Arc::new);
        let changes: Vec<_> = (0..3).filter_map(change).collect();
        let mut outbox = Outbox::default();
        for change in &changes {
            outbox.push_data(Data::Live(Arc::clone(change)), 0);
        }
        assert_eq!(
            drain(&mut outbox),
            [r#"{"msg":"changed","id":"a","fields":{"x":3}}"#]
        );
        assert!(changes[0].text().contains(r#"{"x":1}"#));
        assert_eq!(outbox.bytes(), 0);
    }
}
