use std::collections::HashMap;
use std::sync::Arc;

use super::data::Data;
use crate::mongo_id::DocumentId;

/// Where the last message about each document waits.
#[derive(Debug, Default)]
pub(super) struct Folds {
    last: HashMap<(Arc<str>, DocumentId), u64>,
    /// How many messages have left since this began.
    popped: u64,
}

impl Folds {
    /// Where a message waits that this one can go with. Otherwise it will wait at `end`.
    pub(super) fn place_for(&mut self, data: &Data, end: usize) -> Option<usize> {
        let document = (Arc::clone(data.collection()), data.id().clone());
        let at = self.last.get(&document).copied();
        if data.is_removal() {
            // what comes next is another document
            self.last.remove(&document);
            return None;
        }
        let place = at.and_then(|at| at.checked_sub(self.popped));
        if let Some(place) = place.filter(|_| data.is_change()) {
            return usize::try_from(place).ok();
        }
        self.last.insert(document, self.popped + end as u64);
        None
    }

    pub(super) fn popped(&mut self) {
        self.popped += 1;
    }
}
