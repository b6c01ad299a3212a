use std::sync::Arc;

use ddp_protocol::ejson::Fields;
use ddp_protocol::{DocumentId, LiveChange};

/// What takes a query's subscribers from what they had of a document to what they should have, or
/// `None` if that is the same.
pub(super) fn difference(
    collection: &Arc<str>,
    id: &DocumentId,
    old: Option<&Arc<Fields>>,
    new: Option<&Arc<Fields>>,
) -> Option<LiveChange> {
    let collection = Arc::clone(collection);
    match (old, new) {
        (None, None) => None,
        (None, Some(new)) => Some(LiveChange::added(collection, id, Arc::clone(new))),
        (Some(_), None) => Some(LiveChange::removed(collection, id)),
        (Some(old), Some(new)) => {
            LiveChange::changed(collection, id, Arc::clone(old), Arc::clone(new))
        }
    }
}
