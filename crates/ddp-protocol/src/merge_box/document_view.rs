use std::sync::Arc;

use indexmap::IndexMap;

use super::SubscriptionKey;
use crate::ejson::{Fields, Value};
use crate::message::DataMessage;
use crate::mongo_id::DocumentId;

/// One document as one client sees it.
#[derive(Debug, Default)]
pub(super) struct DocumentView {
    exists_in: Vec<SubscriptionKey>,
    fields: IndexMap<String, Vec<Entry>>,
}

/// The value that one subscription gives a field. The first of a field's entries is visible.
#[derive(Debug)]
struct Entry {
    sub: SubscriptionKey,
    value: Value,
}

/// How what is visible has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) fields: Fields,
    cleared: Vec<String>,
}

impl Changes {
    /// Nothing is said when nothing visible has changed.
    pub(super) fn into_message(self, collection: Arc<str>, id: &DocumentId) -> Option<DataMessage> {
        if self.fields.is_empty() && self.cleared.is_empty() {
            return None;
        }
        let Self { fields, cleared } = self;
        Some(DataMessage::Changed {
            collection,
            id: id.clone(),
            fields,
            cleared,
        })
    }
}

impl DocumentView {
    pub(super) fn add(&mut self, sub: SubscriptionKey, fields: &Fields) -> Changes {
        if !self.exists_in.contains(&sub) {
            self.exists_in.push(sub);
        }
        let mut changes = Changes::default();
        for (key, value) in visible(fields) {
            let entries = self.fields.entry(key.clone()).or_default();
            if entries.is_empty() {
                changes.fields.insert(key.clone(), value.clone());
            }
            if !entries.iter().any(|entry| entry.sub == sub) {
                entries.push(Entry {
                    sub,
                    value: value.clone(),
                });
            }
        }
        changes
    }

    pub(super) fn change(
        &mut self,
        sub: SubscriptionKey,
        fields: &Fields,
        cleared: &[String],
    ) -> Changes {
        let mut changes = Changes::default();
        // a change that sets and clears the same field clears it
        for (key, value) in visible(fields).filter(|(key, _)| !cleared.contains(key)) {
            self.set(sub, key, value, &mut changes);
        }
        for key in cleared {
            self.clear(sub, key, &mut changes);
        }
        changes
    }

    pub(super) fn remove(&mut self, sub: SubscriptionKey) -> Changes {
        self.exists_in.retain(|other| *other != sub);
        let mut changes = Changes::default();
        let keys: Vec<String> = self.fields.keys().cloned().collect();
        for key in keys {
            self.clear(sub, &key, &mut changes);
        }
        changes
    }

    /// Whether no subscription has the document.
    pub(super) fn is_orphan(&self) -> bool {
        self.exists_in.is_empty()
    }

    fn set(&mut self, sub: SubscriptionKey, key: &str, value: &Value, changes: &mut Changes) {
        let entries = self.fields.entry(key.to_owned()).or_default();
        let own = entries.iter().position(|entry| entry.sub == sub);
        let seen = match own {
            Some(0) => entries[0].value != *value,
            Some(_) => false,
            None => entries.is_empty(),
        };
        if seen {
            changes.fields.insert(key.to_owned(), value.clone());
        }
        match own {
            Some(at) => entries[at].value = value.clone(),
            None => entries.push(Entry {
                sub,
                value: value.clone(),
            }),
        }
    }

    fn clear(&mut self, sub: SubscriptionKey, key: &str, changes: &mut Changes) {
        let Some(entries) = self.fields.get_mut(key) else {
            return;
        };
        let Some(at) = entries.iter().position(|entry| entry.sub == sub) else {
            return;
        };
        let was = entries.remove(at);
        let Some(now) = entries.first() else {
            self.fields.shift_remove(key);
            changes.cleared.push(key.to_owned());
            return;
        };
        if at == 0 && now.value != was.value {
            changes.fields.insert(key.to_owned(), now.value.clone());
        }
    }
}

/// The id travels beside the fields, never among them.
fn visible(fields: &Fields) -> impl Iterator<Item = (&String, &Value)> {
    fields.iter().filter(|(key, _)| key.as_str() != "_id")
}
