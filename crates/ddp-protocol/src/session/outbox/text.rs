use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::merge_box::LiveChange;

/// Something to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// A text frame.
    Text(Text),
    /// A normal close (code 1000). Nothing comes after it.
    Close,
}

/// The text of a frame. Two are equal when they say the same.
#[derive(Clone)]
pub enum Text {
    /// For this session only.
    Own(String),
    /// For many sessions: [`LiveChange::text`], and [`LiveChange::framed`] where a transport has
    /// made its own form of it.
    Shared(Arc<LiveChange>),
}

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Own(text) => text,
            Self::Shared(change) => change.text(),
        }
    }

    /// The text by value; copied if it is shared.
    pub fn into_string(self) -> String {
        match self {
            Self::Own(text) => text,
            Self::Shared(change) => change.text().to_owned(),
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Own(text)
    }
}
