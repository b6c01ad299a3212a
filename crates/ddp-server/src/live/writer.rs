use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::{Fields, SerdeError};
use serde::Serialize;

use super::shared::{Shared, State};
use super::typed::to_fields;
use crate::id::random_id;

/// The end of a live collection that writes. There is one for each collection.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Inserts a document, or replaces all its fields. Subscribers hear what is different.
    pub fn set(&self, id: impl Into<DocumentId>, fields: Fields) {
        self.put(&mut self.shared.state.lock(), &id.into(), fields);
    }

    /// Inserts anything that serde can serialize to an object, and gives the document's id: its
    /// `_id`, or a new random one. What had this id before is replaced.
    ///
    /// ```
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Task {
    ///     text: String,
    ///     done: bool,
    /// }
    ///
    /// let (tasks, view) = ddp_server::live::collection("tasks");
    /// let id = tasks.insert(&Task { text: "Buy milk".into(), done: false })?;
    /// let task: Option<Task> = view.get_as(&id)?;
    /// assert_eq!(task.map(|task| task.text).as_deref(), Some("Buy milk"));
    /// # Ok::<(), ddp_server::ejson::SerdeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When it is no object, or EJSON cannot say it.
    pub fn insert<T: Serialize + ?Sized>(&self, document: &T) -> Result<DocumentId, SerdeError> {
        let (id, fields) = to_fields(document)?;
        let id = id.unwrap_or_else(|| random_id().into());
        self.put(&mut self.shared.state.lock(), &id, fields);
        Ok(id)
    }

    /// Changes a document in place. `false` if there is none of this id. The closure must not
    /// touch the collection, which is locked meanwhile; if it panics, nothing has changed.
    pub fn update(&self, id: impl Into<DocumentId>, edit: impl FnOnce(&mut Fields)) -> bool {
        let id = id.into();
        let mut state = self.shared.state.lock();
        let Some(document) = state.documents.get(&id) else {
            return false;
        };
        let mut fields = Fields::clone(document);
        edit(&mut fields);
        self.put(&mut state, &id, fields);
        true
    }

    /// Removes a document. `false` if there was none of this id.
    pub fn remove(&self, id: impl Into<DocumentId>) -> bool {
        let (id, mut state) = (id.into(), self.shared.state.lock());
        let removed = state.documents.remove(&id).is_some();
        if removed {
            state
                .observers
                .document_changed(&self.shared.name, &id, None);
        }
        removed
    }

    /// A document as it is now.
    pub fn get(&self, id: impl Into<DocumentId>) -> Option<Arc<Fields>> {
        self.shared.get(&id.into())
    }

    fn put(&self, state: &mut State, id: &DocumentId, mut fields: Fields) {
        // the id travels beside the fields, never among them
        fields.shift_remove("_id");
        let fields = Arc::new(fields);
        state.documents.insert(id.clone(), Arc::clone(&fields));
        state
            .observers
            .document_changed(&self.shared.name, id, Some(&fields));
    }
}
