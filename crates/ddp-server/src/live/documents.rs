use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::Fields;

/// Documents in the order in which they came. Removing one costs the same however many there are.
#[derive(Debug, Default)]
pub(super) struct Documents {
    ordered: BTreeMap<u64, (DocumentId, Arc<Fields>)>,
    places: HashMap<DocumentId, u64>,
    next_place: u64,
}

impl Documents {
    pub(super) fn get(&self, id: &DocumentId) -> Option<&Arc<Fields>> {
        let place = self.places.get(id)?;
        self.ordered.get(place).map(|(_, fields)| fields)
    }

    /// Puts a document in the place of the one with this id, or at the end. Gives what was there.
    pub(super) fn insert(&mut self, id: DocumentId, fields: Arc<Fields>) -> Option<Arc<Fields>> {
        let known = self.places.get(&id).copied();
        let place = known.unwrap_or_else(|| self.new_place(&id));
        let was = self.ordered.insert(place, (id, fields));
        was.map(|(_, fields)| fields)
    }

    pub(super) fn remove(&mut self, id: &DocumentId) -> Option<Arc<Fields>> {
        let place = self.places.remove(id)?;
        self.ordered.remove(&place).map(|(_, fields)| fields)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&DocumentId, &Arc<Fields>)> {
        self.ordered.values().map(|(id, fields)| (id, fields))
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    fn new_place(&mut self, id: &DocumentId) -> u64 {
        self.next_place += 1;
        self.places.insert(id.clone(), self.next_place);
        self.next_place
    }
}

#[cfg(test)]
mod tests {
    use ddp_protocol::fields;

    use super::*;

    #[test]
    fn documents_keep_their_order() {
        let mut documents = Documents::default();
        for id in ["a", "b", "c"] {
            assert_eq!(documents.insert(id.into(), Arc::default()), None);
        }
        let newer = Arc::new(fields! { "n": 2 });
        assert!(documents.insert("a".into(), Arc::clone(&newer)).is_some());
        assert!(documents.remove(&"b".into()).is_some());
        assert!(documents.remove(&"b".into()).is_none());
        assert_eq!(documents.insert("b".into(), Arc::default()), None);
        let ids: Vec<_> = documents.iter().map(|(id, _)| id.as_wire()).collect();
        assert_eq!(ids, ["a", "c", "b"]);
        assert_eq!(documents.get(&"a".into()), Some(&newer));
        assert_eq!(documents.len(), 3);
    }
}
