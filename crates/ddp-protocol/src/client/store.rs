use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::DocumentId;
use crate::ejson::Fields;
use crate::message::{Action, Data};

/// The documents of one collection that the server has sent, ordered by their ids.
pub type Documents = BTreeMap<DocumentId, Arc<Fields>>;

/// A document of the client has come, changed or gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its collection.
    pub collection: Arc<str>,
    /// The document.
    pub id: DocumentId,
    /// What it was; `None` when it is new.
    pub before: Option<Arc<Fields>>,
    /// What it is now; `None` when it is gone.
    pub after: Option<Arc<Fields>>,
}

/// What the client has of the server's data.
#[derive(Debug, Default)]
pub(super) struct Store {
    collections: HashMap<Arc<str>, Documents>,
}

impl Store {
    pub(super) fn collection(&self, name: &str) -> Option<&Documents> {
        self.collections.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.collections.keys().map(|name| &**name)
    }

    /// Applies messages as if they were one: what changes and changes back was never there.
    pub(super) fn apply(&mut self, messages: Vec<Data>) -> Vec<Change> {
        let mut touched = IndexMap::new();
        for message in messages {
            let key = (self.name(&message.collection), message.id.clone());
            let before = self.apply_one(&key.0, message);
            touched.entry(key).or_insert(before);
        }
        let changes = touched.into_iter().map(|((collection, id), before)| {
            let after = self.collections.get(&collection);
            let after = after.and_then(|documents| documents.get(&id)).cloned();
            Change {
                collection,
                id,
                before,
                after,
            }
        });
        changes
            .filter(|change| change.before != change.after)
            .collect()
    }

    /// Forgets everything and applies messages to the void, as if that were one. What is the
    /// same before and after does not change.
    pub(super) fn replace(&mut self, messages: Vec<Data>) -> Vec<Change> {
        let old = std::mem::take(&mut self.collections);
        let mut added = self.apply(messages);
        added.retain(|change| {
            let before = old.get(&change.collection);
            before.is_none_or(|documents| !documents.contains_key(&change.id))
        });
        let mut changes = Vec::new();
        for (collection, documents) in old {
            let new = self.collections.entry(Arc::clone(&collection)).or_default();
            for (id, before) in documents {
                let after = keep(new, &id, &before);
                if after.as_ref() != Some(&before) {
                    changes.push(Change {
                        collection: Arc::clone(&collection),
                        id,
                        before: Some(before),
                        after,
                    });
                }
            }
        }
        // nobody may see more documents than there are, so what goes goes first
        changes.sort_by_key(|change| change.after.is_some());
        changes.append(&mut added);
        changes
    }

    /// What the document was before. Messages that do not fit are taken as Meteor's client in the
    /// browser takes them (`packages/mongo/collection.js`): servers that do not merge send them.
    fn apply_one(&mut self, collection: &Arc<str>, message: Data) -> Option<Arc<Fields>> {
        let documents = self.collections.entry(Arc::clone(collection)).or_default();
        let before = documents.get(&message.id).cloned();
        let (fields, cleared) = match message.action {
            Action::Removed => return documents.remove(&message.id),
            Action::Added(fields) => (fields, Vec::new()),
            Action::Changed { fields, cleared } => (fields, cleared),
        };
        let document = documents.entry(message.id).or_default();
        let document = Arc::make_mut(document);
        document.extend(fields);
        for field in cleared {
            document.shift_remove(&field);
        }
        before
    }

    fn name(&self, collection: &str) -> Arc<str> {
        match self.collections.get_key_value(collection) {
            Some((name, _)) => Arc::clone(name),
            None => collection.into(),
        }
    }
}

/// The new state of a document; where it equals the old one, the old one goes on being shared.
fn keep(new: &mut Documents, id: &DocumentId, before: &Arc<Fields>) -> Option<Arc<Fields>> {
    let after = new.get_mut(id)?;
    if after == before {
        *after = Arc::clone(before);
    }
    Some(Arc::clone(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields;

    fn data(id: &str, action: Action) -> Data {
        Data {
            collection: "c".into(),
            id: id.into(),
            action,
        }
    }

    fn added(id: &str, n: i32) -> Data {
        data(id, Action::Added(fields! { "n": n }))
    }

    fn changed(id: &str, fields: Fields, cleared: &[&str]) -> Data {
        let cleared = cleared.iter().map(|field| (*field).to_owned()).collect();
        data(id, Action::Changed { fields, cleared })
    }

    fn store(messages: Vec<Data>) -> Store {
        let mut store = Store::default();
        store.apply(messages);
        store
    }

    fn ids(changes: &[Change]) -> Vec<(&str, bool, bool)> {
        let shape = |change: &Change| (change.before.is_some(), change.after.is_some());
        let changes = changes.iter();
        changes
            .map(|change| (change.id.as_wire(), shape(change).0, shape(change).1))
            .collect()
    }

    fn document(store: &Store, id: &str) -> Option<Fields> {
        let documents = store.collection("c")?;
        documents.get(&id.into()).map(|fields| (**fields).clone())
    }

    #[test]
    fn messages_that_do_not_fit_are_taken_as_the_browser_takes_them() {
        let mut store = store(vec![added("a", 1)]);
        assert_eq!(
            store.apply(vec![data("a", Action::Added(fields! { "m": 2 }))])[0].before,
            Some(Arc::new(fields! { "n": 1 }))
        );
        assert_eq!(document(&store, "a"), Some(fields! { "n": 1, "m": 2 }));
        let new = store.apply(vec![changed("b", fields! { "n": 1 }, &["x"])]);
        assert_eq!(ids(&new), [("b", false, true)]);
        assert!(store.apply(vec![data("x", Action::Removed)]).is_empty());
        assert!(
            store
                .apply(vec![data("a", Action::Added(fields! {}))])
                .is_empty()
        );
    }

    #[test]
    fn what_comes_and_goes_within_one_batch_was_never_there() {
        let mut store = store(vec![added("a", 1)]);
        let batch = vec![
            changed("a", fields! { "n": 2 }, &[]),
            added("b", 1),
            data("b", Action::Removed),
            changed("a", fields! { "n": 1 }, &[]),
            changed("a", fields! {}, &["y"]),
        ];
        assert!(store.apply(batch).is_empty());
    }

    #[test]
    fn a_replacement_tells_only_what_differs() {
        let mut store = store(vec![
            added("same", 1),
            added("differs", 1),
            added("gone", 1),
        ]);
        let same = store.collection("c").unwrap()[&"same".into()].clone();
        let changes = store.replace(vec![added("new", 1), added("same", 1), added("differs", 2)]);
        assert_eq!(
            ids(&changes),
            [
                ("gone", true, false),
                ("differs", true, true),
                ("new", false, true)
            ]
        );
        let documents = store.collection("c").unwrap();
        assert_eq!(documents.len(), 3);
        assert!(Arc::ptr_eq(&same, &documents[&"same".into()]));
    }

    #[test]
    fn fields_that_the_lost_session_had_do_not_survive_a_replacement() {
        let mut store = store(vec![changed("a", fields! { "n": 1, "old": 1 }, &[])]);
        store.replace(vec![added("a", 1)]);
        assert_eq!(document(&store, "a"), Some(fields! { "n": 1 }));
    }
}
