use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::{Fields, SerdeError, Value};
use serde::de::DeserializeOwned;

use super::selector::{Filter, Projection, Selector};
use super::shared::Shared;
use super::typed::from_document;
use crate::error::Error;
use crate::subscription::Subscription;
use crate::task::Panicked;

/// Documents of a live collection that a publication publishes: return it from the handler.
///
/// Subscriptions to the same query share its work and its documents. Queries are the same when
/// they ask the same: for the same id, equal fields, the same [filters](Self::filter) and the same
/// fields to show.
#[derive(Debug, Clone)]
pub struct Query {
    shared: Arc<Shared>,
    selector: Selector,
}

impl Query {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let selector = Selector::default();
        Self { shared, selector }
    }

    /// Only the document of this id.
    #[must_use]
    pub fn id(mut self, id: impl Into<DocumentId>) -> Self {
        self.selector.id = Some(id.into());
        self
    }

    /// Only documents in which a top-level field has this value, as by `EJSON.equals`. As in
    /// MongoDB, a document without the field has the value `null`.
    #[must_use]
    pub fn equals(mut self, field: impl Into<String>, value: impl Into<Value>) -> Self {
        self.selector.equals(field.into(), value.into());
        self
    }

    /// Only documents for which the closure says yes. It must depend on nothing but the fields, is
    /// run while the collection is locked and must not touch it.
    ///
    /// Two closures are different, even if they are written alike. To share the work, build a query
    /// once and clone it, or [name the filter](Self::filter_named).
    #[must_use]
    pub fn filter(mut self, filter: impl Fn(&Fields) -> bool + Send + Sync + 'static) -> Self {
        self.selector.filter(Filter::new(None, filter));
        self
    }

    /// Like [`filter`](Self::filter), but filters of one collection with the same name are taken
    /// for the same: the name must tell what the closure captures, as in `older-than-7`.
    #[must_use]
    pub fn filter_named(
        mut self,
        name: impl Into<String>,
        filter: impl Fn(&Fields) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.selector.filter(Filter::new(Some(name.into()), filter));
        self
    }

    /// Shows only these top-level fields. Replaces an earlier choice of fields.
    #[must_use]
    pub fn include<S: Into<String>>(mut self, fields: impl IntoIterator<Item = S>) -> Self {
        let names = fields.into_iter().map(Into::into).collect();
        self.selector.project(Projection::only(names));
        self
    }

    /// Shows all but these top-level fields. Replaces an earlier choice of fields.
    #[must_use]
    pub fn exclude<S: Into<String>>(mut self, fields: impl IntoIterator<Item = S>) -> Self {
        let names = fields.into_iter().map(Into::into).collect();
        self.selector.project(Projection::without(names));
        self
    }

    /// What the query shows now.
    ///
    /// # Panics
    ///
    /// If a filter does.
    pub fn documents(&self) -> Vec<(DocumentId, Arc<Fields>)> {
        let state = self.shared.state.lock();
        let documents = state.documents.iter();
        documents
            .filter_map(|(id, fields)| Some((id.clone(), self.selector.view(id, fields)?)))
            .collect()
    }

    /// What the query shows now, read by serde; each document's id is its field `_id`.
    ///
    /// # Errors
    ///
    /// When a document is not what the type expects.
    ///
    /// # Panics
    ///
    /// If a filter does.
    pub fn fetch<T: DeserializeOwned>(&self) -> Result<Vec<T>, SerdeError> {
        let documents = self.documents();
        let typed = documents
            .iter()
            .map(|(id, fields)| from_document(id, fields));
        typed.collect()
    }

    pub(crate) fn collection(&self) -> &str {
        &self.shared.name
    }

    /// Gives a subscription the present documents and every change from now on. Both under one
    /// lock, so that no change is missed or seen twice.
    pub(crate) fn publish(self, sub: &Subscription) -> Result<(), Error> {
        let Self { shared, selector } = self;
        let number = {
            let state = &mut *shared.state.lock();
            let (name, documents) = (&shared.name, &state.documents);
            state
                .observers
                .join(name, documents, &selector, sub.clone())
        };
        let number = number.map_err(|Panicked| {
            tracing::error!(collection = &*shared.name, "the filter of a query panicked");
            Error::internal()
        })?;
        sub.on_stop(move || shared.state.lock().observers.leave(&selector, number));
        Ok(())
    }
}
