use std::collections::BTreeMap;
use std::sync::Arc;

use ddp_protocol::ejson::Fields;
use ddp_protocol::{DocumentId, LiveChange};

use super::difference::difference;
use super::documents::Documents;
use super::selector::Selector;
use crate::publication::Subscription;
use crate::task::{self, Panicked};

/// One distinct query: what it shows now, and who listens. Only the selector decides what it
/// shows, so all listeners have been told the same.
pub(super) struct Observer {
    selector: Selector,
    shown: Documents,
    subscriptions: BTreeMap<u64, Subscription>,
}

impl Observer {
    /// Looks at all documents. Fails if a filter panics.
    pub(super) fn new(selector: &Selector, documents: &Documents) -> Result<Self, Panicked> {
        let selector = selector.clone();
        let shown = task::caught(|| look(&selector, documents))?;
        Ok(Self {
            selector,
            shown,
            subscriptions: BTreeMap::new(),
        })
    }

    pub(super) fn shown(&self) -> &Documents {
        &self.shown
    }

    /// Gives a subscription what is shown now, and every change from now on.
    pub(super) fn join(&mut self, number: u64, collection: &Arc<str>, sub: Subscription) {
        for (id, fields) in self.shown.iter() {
            let change = LiveChange::added(Arc::clone(collection), id, Arc::clone(fields));
            sub.apply(Arc::new(change));
        }
        self.subscriptions.insert(number, sub);
    }

    /// Whether nobody listens any more.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        self.subscriptions.remove(&number);
        self.subscriptions.is_empty()
    }

    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.values()
    }

    /// A document has changed. Fails if a filter panics.
    pub(super) fn document_changed(
        &mut self,
        collection: &Arc<str>,
        id: &DocumentId,
        fields: Option<&Arc<Fields>>,
    ) -> Result<(), Panicked> {
        let view = || fields.and_then(|fields| self.selector.view(id, fields));
        let new = task::caught(view)?;
        let Some(change) = difference(collection, id, self.shown.get(id), new.as_ref()) else {
            return Ok(());
        };
        match new {
            Some(new) => drop(self.shown.insert(id.clone(), new)),
            None => drop(self.shown.remove(id)),
        }
        self.tell(change);
        Ok(())
    }

    fn tell(&self, change: LiveChange) {
        let change = Arc::new(change);
        for sub in self.subscriptions.values() {
            sub.apply(Arc::clone(&change));
        }
    }
}

/// What the selector shows of the documents.
fn look(selector: &Selector, documents: &Documents) -> Documents {
    let mut shown = Documents::default();
    let mut show = |id: &DocumentId, fields| {
        if let Some(view) = selector.view(id, fields) {
            shown.insert(id.clone(), view);
        }
    };
    match &selector.id {
        Some(only) => documents
            .get(only)
            .into_iter()
            .for_each(|fields| show(only, fields)),
        None => documents.iter().for_each(|(id, fields)| show(id, fields)),
    }
    shown
}
