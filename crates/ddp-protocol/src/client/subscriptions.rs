use indexmap::IndexMap;

use crate::ejson::Value;
use crate::message::ClientMessage;

/// The subscriptions that are open, in the order in which they were made.
#[derive(Default)]
pub(super) struct Subscriptions(IndexMap<String, Subscription>);

struct Subscription {
    frame: String,
    ready: bool,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Adds a subscription and gives its message.
    pub(super) fn insert(&mut self, id: String, name: String, params: Vec<Value>) -> String {
        let message = ClientMessage::Sub {
            id: id.clone(),
            name,
            params,
        };
        let frame = message.to_text();
        let subscription = Subscription {
            frame: frame.clone(),
            ready: false,
        };
        self.0.insert(id, subscription);
        frame
    }

    /// Whether there was such a subscription.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        self.0.shift_remove(id).is_some()
    }

    /// Whether the subscription was not ready before.
    pub(super) fn make_ready(&mut self, id: &str) -> bool {
        let subscription = self.0.get_mut(id);
        subscription.is_some_and(|sub| !std::mem::replace(&mut sub.ready, true))
    }

    pub(super) fn is_ready(&self, id: &str) -> bool {
        self.0.get(id).is_some_and(|sub| sub.ready)
    }

    pub(super) fn ready_ids(&self) -> impl Iterator<Item = &String> {
        let ready = self.0.iter().filter(|(_, sub)| sub.ready);
        ready.map(|(id, _)| id)
    }

    /// The messages that make them all again on a new connection.
    pub(super) fn frames(&self) -> impl Iterator<Item = &String> {
        self.0.values().map(|sub| &sub.frame)
    }
}
