use std::collections::HashMap;

use crate::merge_box::SubscriptionKey;

/// The open subscriptions of a session.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_key: HashMap<SubscriptionKey, Subscription>,
    by_id: HashMap<String, SubscriptionKey>,
}

#[derive(Debug)]
struct Subscription {
    id: String,
    ready: bool,
    running: bool,
}

impl Subscriptions {
    pub(super) fn insert(&mut self, key: SubscriptionKey, id: String) {
        self.by_id.insert(id.clone(), key);
        self.by_key.insert(
            key,
            Subscription {
                id,
                ready: false,
                running: true,
            },
        );
    }

    /// Removes a subscription and gives the id that the client knows.
    pub(super) fn remove(&mut self, key: SubscriptionKey) -> Option<String> {
        let subscription = self.by_key.remove(&key)?;
        self.by_id.remove(&subscription.id);
        Some(subscription.id)
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = SubscriptionKey> {
        self.by_id.clear();
        let mut keys: Vec<_> = std::mem::take(&mut self.by_key).into_keys().collect();
        keys.sort_unstable();
        keys.into_iter()
    }

    pub(super) fn key_of(&self, id: &str) -> Option<SubscriptionKey> {
        self.by_id.get(id).copied()
    }

    pub(super) fn contains(&self, key: SubscriptionKey) -> bool {
        self.by_key.contains_key(&key)
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The id to announce, if the subscription was not ready before.
    pub(super) fn make_ready(&mut self, key: SubscriptionKey) -> Option<String> {
        let subscription = self.by_key.get_mut(&key)?;
        let first = !std::mem::replace(&mut subscription.ready, true);
        first.then(|| subscription.id.clone())
    }

    /// Whether its publication's handler has not returned yet.
    pub(super) fn is_running(&self, key: SubscriptionKey) -> bool {
        self.by_key
            .get(&key)
            .is_some_and(|subscription| subscription.running)
    }

    pub(super) fn returned(&mut self, key: SubscriptionKey) {
        if let Some(subscription) = self.by_key.get_mut(&key) {
            subscription.running = false;
        }
    }
}
