use std::collections::{BTreeMap, HashMap};

use ddp_protocol::DocumentId;

/// Documents in the order in which they came. Removing one costs the same however many there are.
#[derive(Debug)]
pub(super) struct Documents<T> {
    ordered: BTreeMap<u64, (DocumentId, T)>,
    places: HashMap<DocumentId, u64>,
    next_place: u64,
}

impl<T> Documents<T> {
    pub(super) fn get(&self, id: &DocumentId) -> Option<&T> {
        let place = self.places.get(id)?;
        self.ordered.get(place).map(|(_, document)| document)
    }

    pub(super) fn get_mut(&mut self, id: &DocumentId) -> Option<&mut T> {
        let place = self.places.get(id)?;
        self.ordered.get_mut(place).map(|(_, document)| document)
    }

    /// Puts a document in the place of the one with this id, or at the end. Gives what was there.
    pub(super) fn insert(&mut self, id: DocumentId, document: T) -> Option<T> {
        let known = self.places.get(&id).copied();
        let place = known.unwrap_or_else(|| self.new_place(&id));
        let was = self.ordered.insert(place, (id, document));
        was.map(|(_, document)| document)
    }

    pub(super) fn remove(&mut self, id: &DocumentId) -> Option<T> {
        let place = self.places.remove(id)?;
        self.ordered.remove(&place).map(|(_, document)| document)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&DocumentId, &T)> {
        self.ordered.values().map(|(id, document)| (id, document))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&DocumentId, &mut T)> {
        let documents = self.ordered.values_mut();
        documents.map(|(id, document)| (&*id, document))
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

impl<T> Default for Documents<T> {
    fn default() -> Self {
        Self {
            ordered: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_order() {
        let mut documents = Documents::default();
        for id in ["a", "b", "c"] {
            assert_eq!(documents.insert(id.into(), 1), None);
        }
        assert_eq!(documents.insert("a".into(), 2), Some(1));
        assert_eq!(documents.remove(&"b".into()), Some(1));
        assert_eq!(documents.remove(&"b".into()), None);
        assert_eq!(documents.insert("b".into(), 3), None);
        let all: Vec<_> = documents.iter().map(|(id, n)| (id.as_wire(), *n)).collect();
        assert_eq!(all, [("a", 2), ("c", 1), ("b", 3)]);
        assert_eq!(documents.get(&"a".into()), Some(&2));
        assert_eq!(documents.len(), 3);
    }
}
