use std::collections::HashMap;
use std::sync::Arc;

use ddp_protocol::client::Change;
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use crate::collection::Collection;
use crate::event::Event;
use crate::status::Status;

/// How many events wait for a user interface that does not ask for them.
const MAX_EVENTS: usize = 256;

/// What handles can read without asking the client's task. Only that task writes it.
pub(crate) struct Shared {
    pub(crate) status: watch::Sender<Status>,
    pub(crate) user: watch::Sender<Option<String>>,
    pub(crate) events: Mutex<Option<broadcast::Sender<Event>>>,
    collections: Mutex<Collections>,
}

#[derive(Default)]
struct Collections {
    by_name: HashMap<Arc<str>, Collection>,
    closed: bool,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            status: watch::Sender::new(Status::Connecting),
            user: watch::Sender::new(None),
            events: Mutex::new(Some(broadcast::Sender::new(MAX_EVENTS))),
            collections: Mutex::default(),
        }
    }

    pub(crate) fn collection(&self, name: &str) -> Collection {
        let mut collections = self.collections.lock();
        if let Some(collection) = collections.by_name.get(name) {
            return collection.clone();
        }
        let name: Arc<str> = name.into();
        let collection = Collection::new(Arc::clone(&name));
        if collections.closed {
            collection.close();
        } else {
            collections.by_name.insert(name, collection.clone());
        }
        collection
    }

    /// Takes over changes; those of one collection all at once.
    pub(crate) fn apply(&self, changes: Vec<Change>) {
        let mut by_collection: HashMap<Arc<str>, Vec<Change>> = HashMap::new();
        for change in changes {
            let changes = by_collection.entry(Arc::clone(&change.collection));
            changes.or_default().push(change);
        }
        for (name, changes) in by_collection {
            self.collection(&name).apply(changes);
        }
    }

    pub(crate) fn set_status(&self, status: Status) {
        let changed = self.status.send_if_modified(|present| {
            let changed = *present != status;
            present.clone_from(&status);
            changed
        });
        if changed {
            self.tell(Event::Status(status));
        }
    }

    pub(crate) fn set_user(&self, user: Option<String>) {
        self.user.send_replace(user.clone());
        self.tell(Event::User(user));
    }

    pub(crate) fn tell(&self, event: Event) {
        if let Some(events) = &*self.events.lock() {
            // an error says only that nobody listens
            let _nobody_listens = events.send(event);
        }
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Event> {
        match &*self.events.lock() {
            Some(events) => events.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    /// There will be no more news.
    pub(crate) fn close(&self) {
        self.set_status(Status::Closed);
        self.events.lock().take();
        let mut collections = self.collections.lock();
        collections.closed = true;
        for collection in collections.by_name.values() {
            collection.close();
        }
    }
}
