//! The merge box: what one client has of every document, merged from its subscriptions.
//!
//! Subscriptions overlap. For each field of each document the box keeps the values that the
//! subscriptions gave it, the first one first; that one is visible to the client. It tells which
//! message, if any, takes the client from what it had to what it should have now
//! (`SessionCollectionView` in Meteor's `packages/ddp-server/livedata_server.js`). Collections with
//! another [`Strategy`] than [`Strategy::ServerMerge`] are remembered in less detail.

mod changes;
mod collection;
mod diff;
mod live_change;
mod shared_view;
mod strategy;
mod view;

use std::sync::Arc;

use self::changes::without_id;
use self::collection::Collection;
pub(crate) use self::live_change::LiveKind;
pub use self::live_change::{Framing, LiveChange};
pub use self::strategy::{Strategies, Strategy};
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

/// What a client is to be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// Nothing: for the client nothing has changed.
    Nothing,
    /// What the [`LiveChange`] says.
    Shared,
    /// Something of its own.
    Own(DataMessage),
}

/// The documents of one session.
#[derive(Debug, Default)]
pub struct MergeBox {
    strategies: Arc<Strategies>,
    /// In the order in which the client came to have them. There are few.
    collections: Vec<Collection>,
    next_sequence: u64,
}

impl MergeBox {
    /// An empty box, with the strategies of all collections.
    pub fn new(strategies: Arc<Strategies>) -> Self {
        Self {
            strategies,
            collections: Vec::new(),
            next_sequence: 0,
        }
    }

    /// A subscription has a document. What it added before is not added again: `changed` changes
    /// it.
    pub fn added(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
        fields: impl Into<Arc<Fields>>,
    ) -> Option<DataMessage> {
        let fields = without_id(fields.into());
        if !self.remembers(collection) {
            return Some(DataMessage::Added {
                collection: collection.into(),
                id: id.clone(),
                fields,
            });
        }
        let sequence = self.sequence();
        let collection = self.collection_mut(collection, || collection.into());
        collection.add(sub, sequence, id, fields)
    }

    /// A subscription has other values for some fields, and no longer has others.
    ///
    /// # Errors
    ///
    /// [`UnknownDocument`] when it has not added the document, unless the strategy does not
    /// remember.
    pub fn changed(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
        fields: &Fields,
        cleared: &[String],
    ) -> Result<Option<DataMessage>, UnknownDocument> {
        match self.find(collection) {
            Some(at) => self.collections[at].change(sub, id, fields, cleared),
            None if self.strategy(collection).checks_changes() => Err(UnknownDocument),
            None => Ok(collection::as_said(collection.into(), id, fields, cleared)),
        }
    }

    /// A subscription no longer has a document.
    ///
    /// # Errors
    ///
    /// [`UnknownDocument`] when it has not added the document, unless the strategy does not
    /// remember.
    pub fn removed(
        &mut self,
        sub: SubscriptionKey,
        collection: &str,
        id: &DocumentId,
    ) -> Result<Option<DataMessage>, UnknownDocument> {
        if !self.remembers(collection) {
            return Ok(Some(DataMessage::Removed {
                collection: collection.into(),
                id: id.clone(),
            }));
        }
        let at = self.find(collection).ok_or(UnknownDocument)?;
        let message = self.collections[at].remove(sub, id)?;
        if self.collections[at].is_empty() {
            self.collections.remove(at);
        }
        Ok(message)
    }

    /// What happened to a document of a live collection, for a subscription that has its
    /// documents from there.
    ///
    /// # Errors
    ///
    /// [`UnknownDocument`] as for [`changed`](Self::changed) and [`removed`](Self::removed).
    pub fn apply(
        &mut self,
        sub: SubscriptionKey,
        change: &LiveChange,
    ) -> Result<Delivery, UnknownDocument> {
        let (name, id) = (change.collection(), change.id());
        let own = match change.kind() {
            LiveKind::Added { fields } => return Ok(self.apply_added(sub, change, fields)),
            LiveKind::Changed {
                before,
                after,
                fields,
                cleared,
            } => {
                if self.takes_shared(sub, change, before, after) {
                    return Ok(Delivery::Shared);
                }
                let message = self.changed(sub, name, id, fields, cleared)?;
                self.adopt(sub, change, after);
                message
            }
            LiveKind::Removed => self.removed(sub, name, id)?,
        };
        Ok(match own {
            Some(DataMessage::Removed { .. }) => Delivery::Shared,
            Some(own) => Delivery::Own(own),
            None => Delivery::Nothing,
        })
    }

    /// A subscription is over: what only it had is removed, in the order in which it was added.
    pub fn remove_subscription(&mut self, sub: SubscriptionKey) -> Vec<DataMessage> {
        let mut held: Vec<_> = self
            .collections
            .iter_mut()
            .map(|collection| (collection.held_by(sub), collection))
            .filter(|(ids, _)| !ids.is_empty())
            .collect();
        held.sort_unstable_by_key(|(ids, _)| ids[0].0);
        let mut messages = Vec::new();
        for (ids, collection) in held {
            let released = ids.iter().filter_map(|(_, id)| collection.release(sub, id));
            messages.extend(released);
        }
        self.collections.retain(|collection| !collection.is_empty());
        messages
    }

    /// How many documents the client has, as far as the strategies remember.
    pub fn len(&self) -> usize {
        self.collections.iter().map(Collection::len).sum()
    }

    /// Whether the client has no document, as far as the strategies remember.
    pub fn is_empty(&self) -> bool {
        self.collections.is_empty()
    }

    fn apply_added(
        &mut self,
        sub: SubscriptionKey,
        change: &LiveChange,
        fields: &Arc<Fields>,
    ) -> Delivery {
        let (name, id) = (change.collection(), change.id());
        if !self.remembers(name) {
            return Delivery::Shared;
        }
        let sequence = self.sequence();
        let name = change.collection_name();
        let collection = self.collection_mut(name, || Arc::clone(name));
        match collection.add(sub, sequence, id, Arc::clone(fields)) {
            Some(DataMessage::Added { .. }) => Delivery::Shared,
            Some(own) => Delivery::Own(own),
            None => Delivery::Nothing,
        }
    }

    /// Whether the change means for this client just what it says.
    fn takes_shared(
        &mut self,
        sub: SubscriptionKey,
        change: &LiveChange,
        before: &Arc<Fields>,
        after: &Arc<Fields>,
    ) -> bool {
        match self.find(change.collection()) {
            Some(at) => self.collections[at].replace(sub, change.id(), before, after),
            None => !self.strategy(change.collection()).checks_changes(),
        }
    }

    /// Shares the version again, where what the client sees is equal to it.
    fn adopt(&mut self, sub: SubscriptionKey, change: &LiveChange, version: &Arc<Fields>) {
        if let Some(at) = self.find(change.collection()) {
            self.collections[at].adopt(sub, change.id(), version);
        }
    }

    fn strategy(&self, collection: &str) -> Strategy {
        self.strategies.of(collection)
    }

    /// Collections that were met keep their strategy, so most need not be looked up.
    fn remembers(&self, collection: &str) -> bool {
        self.find(collection).is_some() || self.strategy(collection) != Strategy::NoMergeNoHistory
    }

    fn sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence
    }

    fn find(&self, collection: &str) -> Option<usize> {
        self.collections
            .iter()
            .position(|known| known.is_named(collection))
    }

    fn collection_mut(
        &mut self,
        collection: &str,
        name: impl FnOnce() -> Arc<str>,
    ) -> &mut Collection {
        let at = self.find(collection).unwrap_or_else(|| {
            self.collections.reserve_exact(1);
            let strategy = self.strategies.of(collection);
            self.collections.push(Collection::new(name(), strategy));
            self.collections.len() - 1
        });
        &mut self.collections[at]
    }
}
