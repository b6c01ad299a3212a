use std::sync::Arc;

use crate::ejson::{Fields, Value};
use crate::message::DataMessage;
use crate::mongo_id::DocumentId;

/// How what is visible of a document has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) fields: Fields,
    pub(super) cleared: Vec<String>,
}

impl Changes {
    /// What leads from one version of a document to another. Equality is EJSON's.
    pub(super) fn between(before: &Fields, after: &Fields) -> Self {
        let fields = after
            .iter()
            .filter(|(key, value)| before.get(*key) != Some(*value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let cleared = before.keys().filter(|key| !after.contains_key(*key));
        Self {
            fields,
            cleared: cleared.cloned().collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.cleared.is_empty()
    }

    /// Nothing is said when nothing visible has changed.
    pub(super) fn into_message(self, collection: Arc<str>, id: &DocumentId) -> Option<DataMessage> {
        if self.is_empty() {
            return None;
        }
        let Self { fields, cleared } = self;
        Some(DataMessage::Changed {
            collection,
            id: id.clone(),
            fields,
            cleared,
        })
    }
}

/// The id travels beside the fields, never among them.
pub(super) fn visible(fields: &Fields) -> impl Iterator<Item = (&String, &Value)> {
    fields.iter().filter(|(key, _)| key.as_str() != "_id")
}

pub(super) fn without_id(mut fields: Arc<Fields>) -> Arc<Fields> {
    if fields.contains_key("_id") {
        Arc::make_mut(&mut fields).shift_remove("_id");
    }
    fields
}
