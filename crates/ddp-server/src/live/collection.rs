use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::{Fields, SerdeError};
use serde::de::DeserializeOwned;

use super::query::Query;
use super::shared::Shared;
use super::typed::from_document;
use super::writer::Writer;

/// Makes an empty live collection. Its name is what clients call it.
///
/// ```
/// let (tasks, tasks_view) = ddp_server::live::collection("tasks");
/// tasks.set("milk", ddp_protocol::fields! { "text": "Buy milk" });
/// assert_eq!(tasks_view.len(), 1);
/// assert!(tasks.remove("milk"));
/// ```
pub fn collection(name: impl Into<Arc<str>>) -> (Writer, Collection) {
    let shared = Arc::new(Shared::new(name.into()));
    (Writer::new(Arc::clone(&shared)), Collection { shared })
}

/// The end of a live collection that reads and publishes.
#[derive(Debug, Clone)]
pub struct Collection {
    shared: Arc<Shared>,
}

impl Collection {
    /// The name that clients know.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// All documents; the query can be narrowed.
    pub fn find(&self) -> Query {
        Query::new(Arc::clone(&self.shared))
    }

    /// The document of this id, when there is one.
    pub fn find_one(&self, id: impl Into<DocumentId>) -> Query {
        self.find().id(id)
    }

    /// A document as it is now.
    pub fn get(&self, id: impl Into<DocumentId>) -> Option<Arc<Fields>> {
        self.shared.get(&id.into())
    }

    /// A document as it is now, read by serde; its id is its field `_id`.
    ///
    /// # Errors
    ///
    /// When the document is not what the type expects.
    pub fn get_as<T: DeserializeOwned>(
        &self,
        id: impl Into<DocumentId>,
    ) -> Result<Option<T>, SerdeError> {
        let id = id.into();
        let found = self.shared.get(&id);
        found.map(|fields| from_document(&id, &fields)).transpose()
    }

    /// All documents as they are now, in the order in which they were inserted.
    pub fn documents(&self) -> Vec<(DocumentId, Arc<Fields>)> {
        let state = self.shared.state.lock();
        let documents = state.documents.iter();
        documents
            .map(|(id, fields)| (id.clone(), Arc::clone(fields)))
            .collect()
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.shared.state.lock().documents.len()
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many subscriptions listen.
    pub fn observers(&self) -> usize {
        self.shared.state.lock().observers.subscriptions()
    }

    /// How many distinct queries they listen to; each is looked at once when a document changes.
    pub fn observed_queries(&self) -> usize {
        self.shared.state.lock().observers.len()
    }
}
