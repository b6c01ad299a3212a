//! The merge box: what one client has of every document, merged from its subscriptions.
//!
//! Subscriptions overlap. For each field of each document the box keeps the values that the
//! subscriptions gave it, the first one first; that one is visible to the client. It tells which
//! message, if any, takes the client from what it had to what it should have now
//! (`SessionCollectionView` in Meteor's `packages/ddp-server/livedata_server.js`, strategy
//! `SERVER_MERGE`).

mod document_view;

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use self::document_view::DocumentView;
use crate::ejson::Fields;
use crate::message::DataMessage;
use crate::mongo_id::DocumentId;

/// Names one subscription of a session. The client's own id does not: it can be used again after
/// the subscription is over, while its publication is still writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionKey(pub u64);

/// A publication spoke of a document that it never added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the subscription has not added this document")]
pub struct UnknownDocument;

/// The documents of one session.
#[derive(Debug, Default)]
pub struct MergeBox {
    collections: HashMap<Arc<str>, HashMap<DocumentId, DocumentView>>,
    holdings: HashMap<SubscriptionKey, Holdings>,
    next_sequence: u64,
}

/// What one subscription has added, and when: it is taken back in the same order.
type Holdings = IndexMap<Arc<str>, HashMap<DocumentId, u64>>;

impl MergeBox {
    /// A subscription has a document. What it added before is not added again: `changed` changes
    /// it.
    pub fn added(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
        fields: &Fields,
    ) -> Option<DataMessage> {
        let collection = self.hold(sub, collection, id);
        let documents = self.collections.entry(Arc::clone(&collection)).or_default();
        if let Some(view) = documents.get_mut(id) {
            let changes = view.add(sub, fields);
            return changes.into_message(collection, id);
        }
        let view = documents.entry(id.clone()).or_default();
        let fields = view.add(sub, fields).fields;
        Some(DataMessage::Added {
            collection,
            id: id.clone(),
            fields,
        })
    }

    /// A subscription has other values for some fields, and no longer has others.
    ///
    /// # Errors
    ///
    /// [`UnknownDocument`] when it has not added the document.
    pub fn changed(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
        fields: &Fields,
        cleared: &[String],
    ) -> Result<Option<DataMessage>, UnknownDocument> {
        let (name, view) = self.view_of(sub, collection, id).ok_or(UnknownDocument)?;
        Ok(view.change(sub, fields, cleared).into_message(name, id))
    }

    /// A subscription no longer has a document.
    ///
    /// # Errors
    ///
    /// [`UnknownDocument`] when it has not added the document.
    pub fn removed(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
    ) -> Result<Option<DataMessage>, UnknownDocument> {
        let held = self
            .holdings
            .get_mut(&sub)
            .and_then(|held| held.get_mut(collection));
        held.and_then(|ids| ids.remove(id)).ok_or(UnknownDocument)?;
        Ok(self.release(sub, collection, id))
    }

    /// A subscription is over: what only it had is removed, in the order in which it was added.
    pub fn remove_subscription(&mut self, sub: SubscriptionKey) -> Vec<DataMessage> {
        let mut messages = Vec::new();
        for (collection, ids) in self.holdings.remove(&sub).unwrap_or_default() {
            let mut ids: Vec<_> = ids.into_iter().collect();
            ids.sort_unstable_by_key(|(_, sequence)| *sequence);
            let released = ids
                .iter()
                .filter_map(|(id, _)| self.release(sub, &collection, id));
            messages.extend(released);
        }
        messages
    }

    /// How many documents the client has.
    pub fn len(&self) -> usize {
        self.collections.values().map(HashMap::len).sum()
    }

    /// Whether the client has no document.
    pub fn is_empty(&self) -> bool {
        self.collections.is_empty()
    }

    /// Notes that the subscription has the document, and gives the collection's shared name.
    fn hold(&mut self, sub: SubscriptionKey, collection: &str, id: &DocumentId) -> Arc<str> {
        let known = self.collections.get_key_value(collection);
        let name = known.map_or_else(|| collection.into(), |(name, _)| Arc::clone(name));
        let ids = self
            .holdings
            .entry(sub)
            .or_default()
            .entry(Arc::clone(&name))
            .or_default();
        if !ids.contains_key(id) {
            self.next_sequence += 1;
            ids.insert(id.clone(), self.next_sequence);
        }
        name
    }

    fn view_of(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
    ) -> Option<(Arc<str>, &mut DocumentView)> {
        let (name, ids) = self.holdings.get(&sub)?.get_key_value(collection)?;
        ids.get(id)?;
        let view = self.collections.get_mut(collection)?.get_mut(id)?;
        Some((Arc::clone(name), view))
    }

    /// Takes a subscription's values out of a document; the last one takes the document along.
    fn release(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
    ) -> Option<DataMessage> {
        let name = Arc::clone(self.collections.get_key_value(collection)?.0);
        let documents = self.collections.get_mut(collection)?;
        let view = documents.get_mut(id)?;
        let changes = view.remove(sub);
        if !view.is_orphan() {
            return changes.into_message(name, id);
        }
        documents.remove(id);
        if documents.is_empty() {
            self.collections.remove(collection);
        }
        Some(DataMessage::Removed {
            collection: name,
            id: id.clone(),
        })
    }
}
