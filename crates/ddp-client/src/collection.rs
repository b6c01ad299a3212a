use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use ddp_protocol::DocumentId;
use ddp_protocol::client::Change;
use ddp_protocol::ejson::{self, Fields, Value};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::observer::{Dirty, Observer};

/// The documents of one collection that the server has sent. Clones are the same collection.
///
/// They are what the client's subscriptions give together; while there is no connection they
/// stay what they were. Documents come in the order of their ids.
#[derive(Clone)]
pub struct Collection(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    documents: BTreeMap<DocumentId, Arc<Fields>>,
    observers: Vec<Weak<Dirty>>,
    closed: bool,
}

/// A document of a collection, as it was when it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// Its fields, without the id.
    pub fields: Arc<Fields>,
}

impl Document {
    /// Reads the document as a Rust type. The id is its field `_id`.
    ///
    /// # Errors
    ///
    /// [`Error::Document`] when the document is not what the type expects.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let mut fields = Fields::with_capacity(self.fields.len() + 1);
        if let Some(id) = self.id.to_value() {
            fields.insert("_id".to_owned(), id);
        }
        fields.extend(
            self.fields
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        ejson::from_value(Value::Object(fields)).map_err(Error::Document)
    }
}

impl Collection {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self(Arc::new(Inner {
            name,
            state: Mutex::default(),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// A document by its id.
    pub fn get(&self, id: impl Into<DocumentId>) -> Option<Document> {
        let id = id.into();
        let fields = self.fields(&id)?;
        Some(Document { id, fields })
    }

    /// The documents that a condition is true for. The condition must not touch the collection,
    /// which is locked meanwhile.
    pub fn find(&self, mut condition: impl FnMut(&Fields) -> bool) -> Vec<Document> {
        let state = self.0.state.lock();
        let found = state
            .documents
            .iter()
            .filter(|(_, fields)| condition(fields));
        found
            .map(|(id, fields)| Document {
                id: id.clone(),
                fields: Arc::clone(fields),
            })
            .collect()
    }

    /// All documents.
    pub fn documents(&self) -> Vec<Document> {
        self.find(|_| true)
    }

    /// All documents as a Rust type; the id is its field `_id`.
    ///
    /// # Errors
    ///
    /// [`Error::Document`] when a document is not what the type expects.
    pub fn docs<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.documents().iter().map(Document::parse).collect()
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.0.state.lock().documents.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells what changes, beginning with the documents that are there, each of which is
    /// [`Added`](crate::DocumentChange::Added).
    ///
    /// An observer that is slow is told less: what happened to a document since it last looked
    /// is told as one change. So it never holds more than one entry for each document.
    pub fn observe(&self) -> Observer {
        let mut state = self.0.state.lock();
        let dirty = Arc::new(Dirty::new(state.documents.keys(), state.closed));
        state
            .observers
            .retain(|observer| observer.strong_count() > 0);
        state.observers.push(Arc::downgrade(&dirty));
        Observer::new(self.clone(), dirty)
    }

    pub(crate) fn fields(&self, id: &DocumentId) -> Option<Arc<Fields>> {
        self.0.state.lock().documents.get(id).map(Arc::clone)
    }

    /// Takes over changes, all at once.
    pub(crate) fn apply(&self, changes: Vec<Change>) {
        let mut state = self.0.state.lock();
        let ids: Vec<_> = changes.iter().map(|change| change.id.clone()).collect();
        for change in changes {
            match change.after {
                Some(fields) => state.documents.insert(change.id, fields),
                None => state.documents.remove(&change.id),
            };
        }
        state.observers.retain(|observer| {
            let observer = observer.upgrade();
            observer.is_some_and(|observer| {
                observer.mark(&ids);
                true
            })
        });
    }

    /// There will be no more changes: observers end.
    pub(crate) fn close(&self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        for observer in state.observers.drain(..).filter_map(|weak| weak.upgrade()) {
            observer.close();
        }
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection")
            .field("name", &self.0.name)
            .field("len", &self.len())
            .finish()
    }
}
