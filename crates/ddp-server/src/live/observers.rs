use std::collections::HashMap;
use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::Fields;

use super::documents::Documents;
use super::observer::Observer;
use super::selector::Selector;
use crate::error::Error;
use crate::subscription::Subscription;
use crate::task::Panicked;

/// The distinct queries that somebody listens to. Those for one document are found by its id: it
/// costs nothing that there is one for each user of a large collection.
#[derive(Default)]
pub(super) struct Observers {
    general: HashMap<Selector, Observer>,
    by_id: HashMap<DocumentId, HashMap<Selector, Observer>>,
    next_number: u64,
}

impl Observers {
    /// Lets a subscription listen. Gives the number by which it [leaves](Self::leave).
    pub(super) fn join(
        &mut self,
        collection: &Arc<str>,
        documents: &Documents<Arc<Fields>>,
        selector: &Selector,
        sub: Subscription,
    ) -> Result<u64, Panicked> {
        self.next_number += 1;
        let number = self.next_number;
        if let Some(observer) = self.find(selector) {
            observer.join(number, collection, sub);
            return Ok(number);
        }
        let mut observer = Observer::new(selector, documents)?;
        observer.join(number, collection, sub);
        self.group(selector).insert(selector.clone(), observer);
        Ok(number)
    }

    pub(super) fn leave(&mut self, selector: &Selector, number: u64) {
        let found = self.find(selector);
        if found.is_some_and(|observer| observer.leave(number)) {
            self.group(selector).remove(selector);
            self.tidy(selector);
        }
    }

    /// A document has changed. A query whose filter panics ends, with an error for those who
    /// listen to it; the others and the writer do not notice.
    pub(super) fn document_changed(
        &mut self,
        collection: &Arc<str>,
        id: &DocumentId,
        fields: Option<&Arc<Fields>>,
    ) {
        let mut tell = |_: &Selector, observer: &mut Observer| {
            let told = observer.document_changed(collection, id, fields);
            told.map_err(|Panicked| fail(collection, observer)).is_ok()
        };
        self.general.retain(&mut tell);
        if let Some(group) = self.by_id.get_mut(id) {
            group.retain(&mut tell);
            if group.is_empty() {
                self.by_id.remove(id);
            }
        }
    }

    /// How many subscriptions listen.
    pub(super) fn subscriptions(&self) -> usize {
        self.all()
            .map(|observer| observer.subscriptions().len())
            .sum()
    }

    /// How many distinct queries are listened to.
    pub(super) fn len(&self) -> usize {
        self.all().count()
    }

    fn all(&self) -> impl Iterator<Item = &Observer> {
        let by_id = self.by_id.values().flat_map(HashMap::values);
        self.general.values().chain(by_id)
    }

    fn find(&mut self, selector: &Selector) -> Option<&mut Observer> {
        let group = match &selector.id {
            Some(id) => self.by_id.get_mut(id)?,
            None => &mut self.general,
        };
        group.get_mut(selector)
    }

    fn group(&mut self, selector: &Selector) -> &mut HashMap<Selector, Observer> {
        match &selector.id {
            Some(id) => self.by_id.entry(id.clone()).or_default(),
            None => &mut self.general,
        }
    }

    fn tidy(&mut self, selector: &Selector) {
        let Some(id) = &selector.id else { return };
        if self.by_id.get(id).is_some_and(HashMap::is_empty) {
            self.by_id.remove(id);
        }
    }
}

fn fail(collection: &str, observer: &Observer) {
    tracing::error!(collection, "the filter of a query panicked");
    for sub in observer.subscriptions() {
        sub.error(Error::internal());
    }
}
