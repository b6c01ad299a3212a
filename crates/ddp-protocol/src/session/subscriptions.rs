use super::event::Origin;
use crate::merge_box::SubscriptionKey;

/// The open subscriptions of a session.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// In the order of their keys, which is that of their beginnings.
    list: Vec<Subscription>,
    named: usize,
    bytes: usize,
}

/// A subscription, with what it takes to begin it again.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) key: SubscriptionKey,
    pub(super) origin: Origin,
    /// The size of the message that it came with.
    pub(super) bytes: usize,
    pub(super) ready: bool,
    /// Its publication's handler has not returned yet.
    pub(super) running: bool,
    /// It has returned, or said that nobody need wait for it.
    pub(super) settled: bool,
}

impl Subscription {
    /// The id that the client gave it; a universal one has none.
    pub(super) fn id(&self) -> Option<&str> {
        match &self.origin {
            Origin::Client { id, .. } => Some(id),
            Origin::Universal(_) => None,
        }
    }
}

impl Subscriptions {
    /// Keys must be given in ascending order.
    pub(super) fn insert(&mut self, key: SubscriptionKey, origin: Origin, bytes: usize) {
        let subscription = Subscription {
            key,
            origin,
            bytes,
            ready: false,
            running: true,
            settled: false,
        };
        self.named += usize::from(subscription.id().is_some());
        self.bytes += bytes;
        if self.list.is_empty() {
            // most clients have one
            self.list.reserve_exact(1);
        }
        self.list.push(subscription);
    }

    pub(super) fn remove(&mut self, key: SubscriptionKey) -> Option<Subscription> {
        let subscription = self.list.remove(self.find(key)?);
        self.named -= usize::from(subscription.id().is_some());
        self.bytes -= subscription.bytes;
        Some(subscription)
    }

    pub(super) fn take_all(&mut self) -> Vec<Subscription> {
        std::mem::take(self).list
    }

    pub(super) fn key_of(&self, id: &str) -> Option<SubscriptionKey> {
        let named = self.list.iter().find(|known| known.id() == Some(id));
        named.map(|subscription| subscription.key)
    }

    pub(super) fn get_mut(&mut self, key: SubscriptionKey) -> Option<&mut Subscription> {
        let at = self.find(key)?;
        Some(&mut self.list[at])
    }

    pub(super) fn contains(&self, key: SubscriptionKey) -> bool {
        self.find(key).is_some()
    }

    /// How many the client has asked for.
    pub(super) fn named(&self) -> usize {
        self.named
    }

    /// The size of the messages that they came with.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The ids of those that are ready.
    pub(super) fn ready_ids(&self) -> Vec<String> {
        let ready = self.list.iter().filter(|subscription| subscription.ready);
        ready
            .filter_map(|subscription| subscription.id().map(str::to_owned))
            .collect()
    }

    /// Whether its publication's handler has not returned yet.
    pub(super) fn is_running(&self, key: SubscriptionKey) -> bool {
        self.find(key).is_some_and(|at| self.list[at].running)
    }

    fn find(&self, key: SubscriptionKey) -> Option<usize> {
        self.list.binary_search_by_key(&key, |known| known.key).ok()
    }
}
