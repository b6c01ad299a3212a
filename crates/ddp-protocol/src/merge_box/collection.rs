use std::collections::BTreeMap;
use std::sync::Arc;

use super::changes::Changes;
use super::view::View;
use super::{Strategy, SubscriptionKey, UnknownDocument};
use crate::ejson::Fields;
use crate::message::DataMessage;
use crate::mongo_id::DocumentId;

/// What a client has of one collection.
#[derive(Debug)]
pub(super) struct Collection {
    name: Arc<str>,
    strategy: Strategy,
    /// A tree, since it takes little memory where there is little in it.
    documents: BTreeMap<DocumentId, View>,
}

impl Collection {
    pub(super) fn new(name: Arc<str>, strategy: Strategy) -> Self {
        Self {
            name,
            strategy,
            documents: BTreeMap::new(),
        }
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        *self.name == *name
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn strategy(&self) -> Strategy {
        self.strategy
    }

    pub(super) fn documents(&self) -> &BTreeMap<DocumentId, View> {
        &self.documents
    }

    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    pub(super) fn add(
        &mut self,
        sub: SubscriptionKey,
        sequence: u64,
        id: &DocumentId,
        fields: Arc<Fields>,
    ) -> Option<DataMessage> {
        let merged = self.strategy == Strategy::ServerMerge;
        if let Some(view) = self.documents.get_mut(id) {
            if merged {
                let changes = view.add(sub, sequence, &fields);
                return changes.into_message(Arc::clone(&self.name), id);
            }
            view.hold(sub, sequence);
            if self.strategy == Strategy::NoMergeMulti {
                return as_said(Arc::clone(&self.name), id, &fields, &[]);
            }
        } else {
            let view = match merged {
                true => View::One {
                    sub,
                    sequence,
                    fields: Arc::clone(&fields),
                },
                false => View::without_fields(sub, sequence),
            };
            self.documents.insert(id.clone(), view);
        }
        Some(DataMessage::Added {
            collection: Arc::clone(&self.name),
            id: id.clone(),
            fields,
        })
    }

    pub(super) fn change(
        &mut self,
        sub: SubscriptionKey,
        id: &DocumentId,
        fields: &Fields,
        cleared: &[String],
    ) -> Result<Option<DataMessage>, UnknownDocument> {
        let name = Arc::clone(&self.name);
        if !self.strategy.checks_changes() {
            return Ok(as_said(name, id, fields, cleared));
        }
        let view = self.documents.get_mut(id).ok_or(UnknownDocument)?;
        view.held_since(sub).ok_or(UnknownDocument)?;
        if self.strategy != Strategy::ServerMerge {
            return Ok(as_said(name, id, fields, cleared));
        }
        Ok(view.change(sub, fields, cleared).into_message(name, id))
    }

    pub(super) fn remove(
        &mut self,
        sub: SubscriptionKey,
        id: &DocumentId,
    ) -> Result<Option<DataMessage>, UnknownDocument> {
        let view = self.documents.get(id).ok_or(UnknownDocument)?;
        view.held_since(sub).ok_or(UnknownDocument)?;
        Ok(self.release(sub, id))
    }

    /// Takes a subscription out of a document; the last one takes the document along.
    pub(super) fn release(&mut self, sub: SubscriptionKey, id: &DocumentId) -> Option<DataMessage> {
        let removed = || DataMessage::Removed {
            collection: Arc::clone(&self.name),
            id: id.clone(),
        };
        match self.documents.get_mut(id)?.release(sub) {
            None => {
                let removed = removed();
                self.documents.remove(id);
                Some(removed)
            }
            Some(_) if self.strategy == Strategy::NoMerge => Some(removed()),
            Some(changes) => changes.into_message(Arc::clone(&self.name), id),
        }
    }

    /// See [`View::replace`]. Where no versions are kept, whoever has the document has this one.
    pub(super) fn replace(
        &mut self,
        sub: SubscriptionKey,
        id: &DocumentId,
        before: &Arc<Fields>,
        after: &Arc<Fields>,
    ) -> bool {
        if !self.strategy.checks_changes() {
            return true;
        }
        let Some(view) = self.documents.get_mut(id) else {
            return false;
        };
        match self.strategy {
            Strategy::ServerMerge => view.replace(sub, before, after),
            _ => view.held_since(sub).is_some(),
        }
    }

    /// See [`View::adopt`].
    pub(super) fn adopt(&mut self, sub: SubscriptionKey, id: &DocumentId, version: &Arc<Fields>) {
        if self.strategy == Strategy::ServerMerge
            && let Some(view) = self.documents.get_mut(id)
        {
            view.adopt(sub, version);
        }
    }

    /// What a subscription has, in the order in which it was added.
    pub(super) fn held_by(&self, sub: SubscriptionKey) -> Vec<(u64, DocumentId)> {
        let mut held: Vec<_> = self
            .documents
            .iter()
            .filter_map(|(id, view)| Some((view.held_since(sub)?, id.clone())))
            .collect();
        held.sort_unstable_by_key(|(since, _)| *since);
        held
    }
}

/// A change that nobody compares with anything.
pub(super) fn as_said(
    collection: Arc<str>,
    id: &DocumentId,
    fields: &Fields,
    cleared: &[String],
) -> Option<DataMessage> {
    let mut fields = fields.clone();
    fields.shift_remove("_id");
    fields.retain(|key, _| !cleared.contains(key));
    let cleared = cleared.to_vec();
    Changes { fields, cleared }.into_message(collection, id)
}
