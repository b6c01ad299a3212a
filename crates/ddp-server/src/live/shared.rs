use std::fmt;
use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::Fields;
use parking_lot::Mutex;

use super::documents::Documents;
use super::observers::Observers;

/// What the two ends of a live collection share.
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) state: Mutex<State>,
}

/// Documents and those who listen, under one lock, so that nobody misses a change or sees it twice.
#[derive(Default)]
pub(super) struct State {
    pub(super) documents: Documents<Arc<Fields>>,
    pub(super) observers: Observers,
}

impl Shared {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            state: Mutex::default(),
        }
    }

    pub(super) fn get(&self, id: &DocumentId) -> Option<Arc<Fields>> {
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
