use indexmap::IndexMap;

use crate::ejson::Value;
use crate::message::ClientMessage;

/// The subscriptions that are open, in the order in which they were made.
#[derive(Default)]
pub(super) struct Subscriptions(IndexMap<String, Subscription>);

struct Subscription {
    frame: String,
    ready: bool,
    /// It was handed to the wire of the present connection.
    sent: bool,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    pub(super) fn insert(&mut self, id: String, name: String, params: Vec<Value>) {
        let message = ClientMessage::Sub {
            id: id.clone(),
            name,
            params,
        };
        let subscription = Subscription {
            frame: message.to_text(),
            ready: false,
            sent: false,
        };
        self.0.insert(id, subscription);
    }

    /// Whether the server knows of the subscription; `None` if there is none.
    pub(super) fn remove(&mut self, id: &str) -> Option<bool> {
        self.0.shift_remove(id).map(|sub| sub.sent)
    }

    /// The message of a subscription that is to be sent now, unless it has ended.
    pub(super) fn send(&mut self, id: &str) -> Option<String> {
        let subscription = self.0.get_mut(id)?;
        subscription.sent = true;
        Some(subscription.frame.clone())
    }

    pub(super) fn lose_connection(&mut self) {
        self.0.values_mut().for_each(|sub| sub.sent = false);
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

    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }
}
