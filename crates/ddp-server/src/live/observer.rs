use std::collections::BTreeMap;
use std::sync::Arc;

use ddp_protocol::ejson::Fields;
use ddp_protocol::{DocumentId, LiveChange};

use super::documents::Documents;
use super::selector::Selector;
use crate::subscription::Subscription;
use crate::task::{self, Panicked};

/// One distinct query: what it shows now, and who listens. Only the selector decides what it
/// shows, so all listeners have been told the same.
pub(super) struct Observer {
    selector: Selector,
    shown: Documents<Shown>,
    subscriptions: BTreeMap<u64, Subscription>,
}

/// A document as the query shows it, and how those who begin to listen are told of it.
struct Shown {
    fields: Arc<Fields>,
    added: Option<Arc<LiveChange>>,
}

impl Observer {
    /// Looks at all documents. Fails if a filter panics.
    pub(super) fn new(
        selector: &Selector,
        documents: &Documents<Arc<Fields>>,
    ) -> Result<Self, Panicked> {
        let selector = selector.clone();
        let shown = task::caught(|| look(&selector, documents))?;
        Ok(Self {
            selector,
            shown,
            subscriptions: BTreeMap::new(),
        })
    }

    /// Gives a subscription what is shown now, and every change from now on.
    pub(super) fn join(&mut self, number: u64, collection: &Arc<str>, sub: Subscription) {
        for (id, shown) in self.shown.iter_mut() {
            sub.apply(shown.added(collection, id));
        }
        self.subscriptions.insert(number, sub);
    }

    /// Whether nobody listens any more.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        self.subscriptions.remove(&number);
        self.subscriptions.is_empty()
    }

    pub(super) fn subscriptions(&self) -> impl ExactSizeIterator<Item = &Subscription> {
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
        if let Some(change) = self.show(collection, id, new) {
            for sub in self.subscriptions.values() {
                sub.apply(Arc::clone(&change));
            }
        }
        Ok(())
    }

    /// Shows a document's new version, or no longer shows it. Gives what listeners are to be told,
    /// unless it is the same for them.
    fn show(
        &mut self,
        collection: &Arc<str>,
        id: &DocumentId,
        new: Option<Arc<Fields>>,
    ) -> Option<Arc<LiveChange>> {
        let name = Arc::clone(collection);
        let Some(new) = new else {
            self.shown.remove(id)?;
            return Some(Arc::new(LiveChange::removed(name, id)));
        };
        let Some(shown) = self.shown.get_mut(id) else {
            let mut shown = Shown::from(new);
            let added = shown.added(collection, id);
            self.shown.insert(id.clone(), shown);
            return Some(added);
        };
        let change = LiveChange::changed(name, id, Arc::clone(&shown.fields), Arc::clone(&new))?;
        *shown = Shown::from(new);
        Some(Arc::new(change))
    }
}

impl Shown {
    fn added(&mut self, collection: &Arc<str>, id: &DocumentId) -> Arc<LiveChange> {
        let make = || LiveChange::added(Arc::clone(collection), id, Arc::clone(&self.fields));
        Arc::clone(self.added.get_or_insert_with(|| Arc::new(make())))
    }
}

impl From<Arc<Fields>> for Shown {
    fn from(fields: Arc<Fields>) -> Self {
        Self {
            fields,
            added: None,
        }
    }
}

/// What the selector shows of the documents.
fn look(selector: &Selector, documents: &Documents<Arc<Fields>>) -> Documents<Shown> {
    let mut shown = Documents::default();
    let mut show = |id: &DocumentId, fields| {
        if let Some(view) = selector.view(id, fields) {
            shown.insert(id.clone(), Shown::from(view));
        }
    };
    match &selector.id {
        Some(only) => {
            let document = documents.get(only);
            document.into_iter().for_each(|fields| show(only, fields));
        }
        None => documents.iter().for_each(|(id, fields)| show(id, fields)),
    }
    shown
}
