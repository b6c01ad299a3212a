use std::sync::Arc;

use super::text::Text;
use super::weight::weight;
use crate::merge_box::LiveChange;
use crate::message::{DataMessage, ServerMessage};

/// A message about a document.
#[derive(Debug, Clone)]
pub(in crate::session) enum Data {
    /// For this session only.
    Own(DataMessage),
    /// As all who hear of it are told.
    Live(Arc<LiveChange>),
}

impl Data {
    pub(in crate::session) fn collection(&self) -> &str {
        match self {
            Self::Own(message) => message.collection(),
            Self::Live(change) => change.collection(),
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
            Self::Own(message) => ServerMessage::from(message).to_text().into(),
            Self::Live(change) => Text::Shared(change),
        }
    }
}
