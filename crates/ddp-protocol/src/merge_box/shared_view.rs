use std::sync::Arc;

use indexmap::IndexMap;

use super::SubscriptionKey;
use super::changes::{Changes, visible};
use crate::ejson::{Fields, Value};

/// A document that several subscriptions have.
#[derive(Debug)]
pub(super) struct SharedView {
    /// Who has it, and since when.
    holders: Vec<(SubscriptionKey, u64)>,
    fields: IndexMap<String, Vec<Entry>>,
}

/// The value that one subscription gives a field. The first of a field's entries is visible.
#[derive(Debug)]
struct Entry {
    sub: SubscriptionKey,
    value: Value,
}

impl SharedView {
    pub(super) fn new(sub: SubscriptionKey, sequence: u64, fields: Arc<Fields>) -> Self {
        let fields = Arc::unwrap_or_clone(fields).into_iter();
        Self {
            holders: vec![(sub, sequence)],
            fields: fields
                .map(|(key, value)| (key, vec![Entry { sub, value }]))
                .collect(),
        }
    }

    pub(super) fn holders(&self) -> &[(SubscriptionKey, u64)] {
        &self.holders
    }

    pub(super) fn held_since(&self, sub: SubscriptionKey) -> Option<u64> {
        let holder = self.holders.iter().find(|(holder, _)| *holder == sub);
        holder.map(|(_, since)| *since)
    }

    pub(super) fn hold(&mut self, sub: SubscriptionKey, sequence: u64) {
        if self.held_since(sub).is_none() {
            self.holders.push((sub, sequence));
        }
    }

    pub(super) fn add(&mut self, sub: SubscriptionKey, fields: &Fields) -> Changes {
        let mut changes = Changes::default();
        for (key, value) in visible(fields) {
            let entries = self.fields.entry(key.clone()).or_default();
            if entries.is_empty() {
                changes.fields.insert(key.clone(), value.clone());
            }
            if !entries.iter().any(|entry| entry.sub == sub) {
                let value = value.clone();
                entries.push(Entry { sub, value });
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

    pub(super) fn release(&mut self, sub: SubscriptionKey) -> Changes {
        self.holders.retain(|(other, _)| *other != sub);
        let mut changes = Changes::default();
        let keys: Vec<String> = self.fields.keys().cloned().collect();
        for key in keys {
            self.clear(sub, &key, &mut changes);
        }
        changes
    }

    /// What the client sees.
    pub(super) fn visible(&self) -> Fields {
        let first = self
            .fields
            .iter()
            .filter_map(|(key, entries)| Some((key.clone(), entries.first()?.value.clone())));
        first.collect()
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
        let value = value.clone();
        match own {
            Some(at) => entries[at].value = value,
            None => entries.push(Entry { sub, value }),
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
