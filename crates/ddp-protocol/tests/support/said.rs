//! Random things that subscriptions say of documents.

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::{Fields, Value};
use ddp_protocol::merge_box::{MergeBox, SubscriptionKey, UnknownDocument};
use ddp_protocol::message::DataMessage;
use proptest::prelude::*;

/// The one collection.
pub(crate) const COLLECTION: &str = "c";
/// How many subscriptions there are.
pub(crate) const SUBS: u64 = 3;
const DOCS: [&str; 3] = ["b", "a", "c"];
const KEYS: [&str; 4] = ["v", "w", "x", "_id"];

#[derive(Debug, Clone)]
pub(crate) enum Said {
    Added(SubscriptionKey, DocumentId, Fields),
    Changed(SubscriptionKey, DocumentId, Fields, Vec<String>),
    Removed(SubscriptionKey, DocumentId),
    Stopped(SubscriptionKey),
}

impl Said {
    /// Says it, and gives what the client hears.
    pub(crate) fn to(&self, merge_box: &mut MergeBox) -> Result<Vec<DataMessage>, UnknownDocument> {
        let message = match self {
            Self::Added(sub, id, fields) => merge_box.added(*sub, COLLECTION, id, fields.clone()),
            Self::Changed(sub, id, fields, cleared) => {
                merge_box.changed(*sub, COLLECTION, id, fields, cleared)?
            }
            Self::Removed(sub, id) => merge_box.removed(*sub, COLLECTION, id)?,
            Self::Stopped(sub) => return Ok(merge_box.remove_subscription(*sub)),
        };
        Ok(message.into_iter().collect())
    }
}

pub(crate) fn said() -> impl Strategy<Value = Said> {
    let cleared = prop::collection::vec(prop::sample::select(&KEYS[..]), 0..3);
    let cleared = cleared.prop_map(|keys| keys.into_iter().map(str::to_owned).collect());
    prop_oneof![
        3 => (sub(), document(), fields())
            .prop_map(|(sub, id, fields)| Said::Added(sub, id, fields)),
        4 => (sub(), document(), fields(), cleared)
            .prop_map(|(sub, id, fields, cleared)| Said::Changed(sub, id, fields, cleared)),
        1 => (sub(), document()).prop_map(|(sub, id)| Said::Removed(sub, id)),
        1 => sub().prop_map(Said::Stopped),
    ]
}

pub(crate) fn sub() -> impl Strategy<Value = SubscriptionKey> {
    (0..SUBS).prop_map(SubscriptionKey)
}

pub(crate) fn document() -> impl Strategy<Value = DocumentId> {
    prop::sample::select(&DOCS[..]).prop_map(DocumentId::from)
}

/// Few fields with few values, so that they often are equal.
pub(crate) fn fields() -> impl Strategy<Value = Fields> {
    let field = (prop::sample::select(&KEYS[..]), 0..3);
    prop::collection::vec(field, 0..4).prop_map(|fields| {
        let fields = fields.into_iter();
        fields
            .map(|(key, value)| (key.to_owned(), Value::from(value)))
            .collect()
    })
}
