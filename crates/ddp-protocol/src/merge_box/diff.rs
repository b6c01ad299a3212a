//! What leads from the documents of one box to those of another.

use std::sync::Arc;

use super::changes::Changes;
use super::collection::Collection;
use super::view::View;
use super::{MergeBox, Strategy};
use crate::message::DataMessage;
use crate::mongo_id::DocumentId;

impl MergeBox {
    /// What a client that has the documents of this box must be told to have those of another
    /// one: for each collection what is gone or different, in the order in which it was added,
    /// then what is new. Documents that are the same say nothing.
    ///
    /// Of collections that are not merged only what this box has is taken back, as nobody knows
    /// what is different.
    pub fn diff(&self, after: &Self) -> Vec<DataMessage> {
        let mut messages = Vec::new();
        for before in &self.collections {
            let after = after.find(before.name()).map(|at| &after.collections[at]);
            if before.strategy() == Strategy::ServerMerge {
                leave_or_change(before, after, &mut messages);
                if let Some(after) = after {
                    arrive(Some(before), after, &mut messages);
                }
            } else {
                take_back(before, &mut messages);
            }
        }
        let new = after.collections.iter().filter(|collection| {
            collection.strategy() == Strategy::ServerMerge && self.find(collection.name()).is_none()
        });
        new.for_each(|collection| arrive(None, collection, &mut messages));
        messages
    }
}

fn leave_or_change(
    before: &Collection,
    after: Option<&Collection>,
    messages: &mut Vec<DataMessage>,
) {
    for (id, view) in in_order(before) {
        let now = after.and_then(|after| after.documents().get(id));
        messages.extend(match now {
            Some(now) => difference(before, id, view, now),
            None => Some(removed(before, id)),
        });
    }
}

fn difference(
    collection: &Collection,
    id: &DocumentId,
    before: &View,
    after: &View,
) -> Option<DataMessage> {
    let (before, after) = (before.visible(), after.visible());
    if Arc::ptr_eq(&before, &after) {
        return None;
    }
    Changes::between(&before, &after).into_message(Arc::clone(collection.name()), id)
}

fn arrive(before: Option<&Collection>, after: &Collection, messages: &mut Vec<DataMessage>) {
    let was_there = |id| before.is_some_and(|before| before.documents().contains_key(id));
    let new = in_order(after).into_iter().filter(|(id, _)| !was_there(id));
    messages.extend(new.map(|(id, view)| DataMessage::Added {
        collection: Arc::clone(after.name()),
        id: id.clone(),
        fields: view.visible(),
    }));
}

fn take_back(before: &Collection, messages: &mut Vec<DataMessage>) {
    let documents = in_order(before).into_iter();
    messages.extend(documents.map(|(id, _)| removed(before, id)));
}

fn removed(collection: &Collection, id: &DocumentId) -> DataMessage {
    DataMessage::Removed {
        collection: Arc::clone(collection.name()),
        id: id.clone(),
    }
}

fn in_order(collection: &Collection) -> Vec<(&DocumentId, &View)> {
    let mut documents: Vec<_> = collection.documents().iter().collect();
    documents.sort_unstable_by_key(|(_, view)| view.since());
    documents
}
