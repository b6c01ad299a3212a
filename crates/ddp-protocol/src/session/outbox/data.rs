use std::sync::Arc;

use super::text::Text;
use super::weight::weight;
use crate::ejson::Fields;
use crate::merge_box::{LiveChange, LiveKind};
use crate::message::{DataMessage, ServerMessage};
use crate::mongo_id::DocumentId;

/// A message about a document.
#[derive(Debug, Clone)]
pub(in crate::session) enum Data {
    /// For this session only.
    Own(DataMessage),
    /// As all who hear of it are told.
    Live(Arc<LiveChange>),
}

impl Data {
    pub(in crate::session) fn collection(&self) -> &Arc<str> {
        match self {
            Self::Own(message) => message.collection(),
            Self::Live(change) => change.collection_name(),
        }
    }

    pub(super) fn id(&self) -> &DocumentId {
        match self {
            Self::Own(message) => message.id(),
            Self::Live(change) => change.id(),
        }
    }

    /// About how many bytes it takes to keep or to send it.
    pub(in crate::session) fn weight(&self) -> usize {
        match self {
            Self::Own(message) => weight(message),
            Self::Live(change) => change.text().len(),
        }
    }

    pub(super) fn into_text(self) -> Text {
        match self {
            Self::Own(message) => Text::Own(ServerMessage::from(message).to_text()),
            Self::Live(change) => Text::Shared(change),
        }
    }

    pub(super) fn is_change(&self) -> bool {
        self.as_change().is_some()
    }

    pub(super) fn is_removal(&self) -> bool {
        match self {
            Self::Own(message) => matches!(message, DataMessage::Removed { .. }),
            Self::Live(change) => matches!(change.kind(), LiveKind::Removed),
        }
    }

    /// Takes a later change of the same document in.
    pub(super) fn fold(&mut self, later: &Self) {
        if let Self::Live(change) = self {
            *self = Self::Own(change.message());
        }
        if let (Self::Own(message), Some((fields, cleared))) = (self, later.as_change()) {
            fold(message, fields, cleared);
        }
    }

    fn as_change(&self) -> Option<(&Fields, &[String])> {
        match self {
            Self::Own(DataMessage::Changed {
                fields, cleared, ..
            }) => Some((fields, cleared)),
            Self::Live(change) => match change.kind() {
                LiveKind::Changed {
                    fields, cleared, ..
                } => Some((fields, cleared)),
                _ => None,
            },
            Self::Own(_) => None,
        }
    }
}

fn fold(message: &mut DataMessage, later: &Fields, gone: &[String]) {
    match message {
        DataMessage::Added { fields, .. } => set(Arc::make_mut(fields), later, gone),
        DataMessage::Changed {
            fields, cleared, ..
        } => {
            set(fields, later, gone);
            cleared.retain(|key| !later.contains_key(key) && !gone.contains(key));
            cleared.extend_from_slice(gone);
        }
        DataMessage::Removed { .. } => {}
    }
}

fn set(fields: &mut Fields, later: &Fields, gone: &[String]) {
    for (key, value) in later {
        fields.insert(key.clone(), value.clone());
    }
    for key in gone {
        fields.shift_remove(key);
    }
}
