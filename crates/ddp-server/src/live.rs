//! Live collections: documents in memory whose changes reach every subscriber.
//!
//! [`collection`] makes one and gives its two ends: a [`Writer`], of which there is only one, and
//! a [`Collection`] that can be read and published from anywhere.
//!
//! What a change changes is found once, whoever listens. A write hands it to the sessions before
//! it returns, so what a method wrote reaches its caller before the method's `updated`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::Fields;
use indexmap::IndexMap;
use parking_lot::Mutex;

use crate::command::Change;
use crate::publication::Subscription;

/// Makes an empty live collection. Its name is what clients call it.
///
/// ```
/// let (tasks, tasks_view) = ddp_server::live::collection("tasks");
/// tasks.set("milk", ddp_protocol::fields! { "text": "Buy milk" });
/// assert_eq!(tasks_view.len(), 1);
/// assert!(tasks.remove("milk"));
/// ```
pub fn collection(name: impl Into<Arc<str>>) -> (Writer, Collection) {
    let shared = Arc::new(Shared {
        name: name.into(),
        state: Mutex::default(),
    });
    (
        Writer {
            shared: Arc::clone(&shared),
        },
        Collection { shared },
    )
}

/// The end of a live collection that writes. There is one for each collection.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
}

impl Writer {
    /// Inserts a document, or replaces all its fields. Subscribers hear what is different.
    pub fn set(&self, id: impl Into<DocumentId>, fields: Fields) {
        let (id, mut fields) = (id.into(), fields);
        // the id travels beside the fields, never among them
        fields.shift_remove("_id");
        let mut state = self.shared.state.lock();
        let fields = Arc::new(fields);
        let change = match state.documents.insert(id.clone(), Arc::clone(&fields)) {
            None => Some(Change::Added { id, fields }),
            Some(old) => difference(id, &old, &fields),
        };
        if let Some(change) = change {
            state.announce(&self.shared.name, change);
        }
    }

    /// Changes a document in place. `false` if there is none of this id. The closure must not
    /// touch the collection, which is locked meanwhile.
    pub fn update(&self, id: impl Into<DocumentId>, edit: impl FnOnce(&mut Fields)) -> bool {
        let id = id.into();
        let mut state = self.shared.state.lock();
        let Some(document) = state.documents.get_mut(&id) else {
            return false;
        };
        let mut fields = Fields::clone(document);
        edit(&mut fields);
        fields.shift_remove("_id");
        let old = std::mem::replace(document, Arc::new(fields));
        if let Some(change) = difference(id, &old, document) {
            state.announce(&self.shared.name, change);
        }
        true
    }

    /// Removes a document. `false` if there was none of this id.
    pub fn remove(&self, id: impl Into<DocumentId>) -> bool {
        let id = id.into();
        let mut state = self.shared.state.lock();
        let removed = state.documents.shift_remove(&id).is_some();
        if removed {
            state.announce(&self.shared.name, Change::Removed { id });
        }
        removed
    }

    /// A document as it is now.
    pub fn get(&self, id: impl Into<DocumentId>) -> Option<Arc<Fields>> {
        self.shared.get(&id.into())
    }
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

    /// All documents.
    pub fn find(&self) -> Query {
        Query {
            shared: Arc::clone(&self.shared),
            only: None,
        }
    }

    /// The document of this id, when there is one.
    pub fn find_one(&self, id: impl Into<DocumentId>) -> Query {
        Query {
            shared: Arc::clone(&self.shared),
            only: Some(id.into()),
        }
    }

    /// A document as it is now.
    pub fn get(&self, id: impl Into<DocumentId>) -> Option<Arc<Fields>> {
        self.shared.get(&id.into())
    }

    /// All documents as they are now, in the order in which they were inserted.
    pub fn documents(&self) -> Vec<(DocumentId, Arc<Fields>)> {
        let state = self.shared.state.lock();
        state
            .documents
            .iter()
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
        self.shared.state.lock().observers.len()
    }
}

/// Documents of a live collection that a publication publishes: return it from the handler.
#[derive(Debug, Clone)]
pub struct Query {
    shared: Arc<Shared>,
    only: Option<DocumentId>,
}

impl Query {
    pub(crate) fn collection(&self) -> &str {
        &self.shared.name
    }

    /// Gives a subscription the present documents and every change from now on. Both under one
    /// lock, so that no change is missed or seen twice.
    pub(crate) fn publish(self, sub: &Subscription) {
        let key = {
            let mut state = self.shared.state.lock();
            for (id, fields) in state.documents.iter().filter(|(id, _)| self.matches(id)) {
                let change = Change::Added {
                    id: id.clone(),
                    fields: Arc::clone(fields),
                };
                sub.change_shared(Arc::clone(&self.shared.name), Arc::new(change));
            }
            let observer = Observer {
                only: self.only.clone(),
                sub: sub.clone(),
            };
            state.observe(observer)
        };
        let shared = Arc::clone(&self.shared);
        sub.on_stop(move || {
            shared.state.lock().observers.remove(&key);
        });
    }

    fn matches(&self, id: &DocumentId) -> bool {
        self.only.as_ref().is_none_or(|only| only == id)
    }
}

struct Shared {
    name: Arc<str>,
    state: Mutex<State>,
}

impl Shared {
    fn get(&self, id: &DocumentId) -> Option<Arc<Fields>> {
        self.state.lock().documents.get(id).map(Arc::clone)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveCollection")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    documents: IndexMap<DocumentId, Arc<Fields>>,
    observers: BTreeMap<u64, Observer>,
    next_observer: u64,
}

struct Observer {
    only: Option<DocumentId>,
    sub: Subscription,
}

impl State {
    fn observe(&mut self, observer: Observer) -> u64 {
        self.next_observer += 1;
        self.observers.insert(self.next_observer, observer);
        self.next_observer
    }

    fn announce(&self, collection: &Arc<str>, change: Change) {
        let change = Arc::new(change);
        for observer in self.observers.values() {
            if observer
                .only
                .as_ref()
                .is_none_or(|only| only == change.id())
            {
                observer
                    .sub
                    .change_shared(Arc::clone(collection), Arc::clone(&change));
            }
        }
    }
}

/// What is different, or `None` if nothing is.
fn difference(id: DocumentId, old: &Fields, new: &Fields) -> Option<Change> {
    let changed = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(*value));
    let fields: Fields = changed
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let cleared = old.keys().filter(|key| !new.contains_key(*key));
    let cleared: Vec<String> = cleared.cloned().collect();
    let same = fields.is_empty() && cleared.is_empty();
    (!same).then_some(Change::Changed {
        id,
        fields,
        cleared,
    })
}
