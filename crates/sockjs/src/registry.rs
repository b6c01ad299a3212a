use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::shared::Shared;

/// The sessions that requests find by their id. Those of WebSockets have none.
#[derive(Default)]
pub(crate) struct Registry(Mutex<HashMap<Box<str>, Arc<Shared>>>);

impl Registry {
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Shared>> {
        self.0.lock().get(id).cloned()
    }

    /// Lets `change` look at the place of an id and fill it, while nobody else does.
    pub(crate) fn update<R>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Option<Arc<Shared>>) -> R,
    ) -> R {
        let mut sessions = self.0.lock();
        let mut place = sessions.get(id).cloned();
        let result = change(&mut place);
        if let Some(session) = place {
            sessions.insert(id.into(), session);
        }
        result
    }

    /// Removes this session, and no other that has the same id by now.
    pub(crate) fn remove(&self, id: &str, session: &Arc<Shared>) {
        let mut sessions = self.0.lock();
        if sessions
            .get(id)
            .is_some_and(|found| Arc::ptr_eq(found, session))
        {
            sessions.remove(id);
        }
    }
}
