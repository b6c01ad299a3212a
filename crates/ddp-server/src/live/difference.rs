use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::Fields;

use crate::command::Change;

/// What takes a query's subscribers from what they had of a document to what they should have, or
/// `None` if that is the same.
pub(super) fn difference(
    id: &DocumentId,
    old: Option<&Arc<Fields>>,
    new: Option<&Arc<Fields>>,
) -> Option<Change> {
    let id = id.clone();
    match (old, new) {
        (None, None) => None,
        (None, Some(fields)) => Some(Change::Added {
            id,
            fields: Arc::clone(fields),
        }),
        (Some(_), None) => Some(Change::Removed { id }),
        (Some(old), Some(new)) => changed(id, old, new),
    }
}

fn changed(id: DocumentId, old: &Fields, new: &Fields) -> Option<Change> {
    let changed = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(*value));
    let fields: Fields = changed
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let cleared = old.keys().filter(|key| !new.contains_key(*key));
    let cleared: Vec<String> = cleared.cloned().collect();
    let same = fields.is_empty() && cleared.is_empty();
    (!same).then_some(Change::Changed {
        id,
        fields,
        cleared,
    })
}
