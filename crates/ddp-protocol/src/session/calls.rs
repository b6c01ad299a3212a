use std::collections::BTreeMap;

use super::queue::CallKey;

/// The methods that run, and those that have returned while their writes have not.
#[derive(Debug, Default)]
pub(super) struct Calls(BTreeMap<CallKey, Call>);

#[derive(Debug)]
struct Call {
    id: String,
    pending_writes: usize,
    returned: bool,
}

/// What a call's end leaves to be said.
#[derive(Debug)]
pub(super) struct Returned {
    pub(super) id: String,
    /// Whether all its writes have ended.
    pub(super) written: bool,
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn insert(&mut self, call: CallKey, id: String) {
        self.0.insert(
            call,
            Call {
                id,
                pending_writes: 0,
                returned: false,
            },
        );
    }

    pub(super) fn returned(&mut self, call: CallKey) -> Option<Returned> {
        let state = self.0.get_mut(&call).filter(|state| !state.returned)?;
        state.returned = true;
        let (id, written) = (state.id.clone(), state.pending_writes == 0);
        if written {
            self.remove(call);
        }
        Some(Returned { id, written })
    }

    pub(super) fn begin_write(&mut self, call: CallKey) {
        if let Some(state) = self.0.get_mut(&call) {
            state.pending_writes += 1;
        }
    }

    /// The id of the call, if this was the last thing that it waited for.
    pub(super) fn commit_write(&mut self, call: CallKey) -> Option<String> {
        let state = self.0.get_mut(&call)?;
        state.pending_writes = state.pending_writes.saturating_sub(1);
        let over = state.returned && state.pending_writes == 0;
        over.then(|| self.remove(call))?
    }

    fn remove(&mut self, call: CallKey) -> Option<String> {
        let state = self.0.remove(&call);
        if self.0.is_empty() {
            // an empty tree still holds a node
            self.0 = BTreeMap::new();
        }
        state.map(|state| state.id)
    }
}
