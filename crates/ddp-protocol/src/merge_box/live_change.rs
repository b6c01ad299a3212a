use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::changes::{Changes, without_id};
use crate::ejson::Fields;
use crate::message::{DataMessage, ServerMessage};
use crate::mongo_id::DocumentId;

/// A change of a document that many sessions hear of, found and written down once.
///
/// A live collection makes one for each write and hands it to every session that has the
/// document, by [`Session::apply`](crate::Session::apply). A session for which it means just
/// what it says sends the text that all of them share, and keeps the version of the document that
/// all of them share.
///
/// ```
/// use std::sync::Arc;
/// use ddp_protocol::{LiveChange, fields};
///
/// let before = Arc::new(fields! { "text": "Buy milk", "done": false });
/// let after = Arc::new(fields! { "text": "Buy milk", "done": true });
/// let change = LiveChange::changed("tasks", "t1", before, after).expect("something differs");
/// assert_eq!(
///     change.text(),
///     r#"{"msg":"changed","collection":"tasks","id":"t1","fields":{"done":true}}"#
/// );
/// ```
pub struct LiveChange {
    collection: Arc<str>,
    id: DocumentId,
    kind: LiveKind,
    text: OnceLock<String>,
    frames: [OnceLock<Bytes>; Framing::COUNT],
}

/// What has happened to the document.
#[derive(Debug)]
pub(crate) enum LiveKind {
    Added {
        fields: Arc<Fields>,
    },
    Changed {
        before: Arc<Fields>,
        after: Arc<Fields>,
        fields: Fields,
        cleared: Vec<String>,
    },
    Removed,
}

/// How a transport wraps a text; each keeps its form of a [`LiveChange`] beside the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A text frame of RFC 6455 from server to client, unmasked.
    WebSocket,
    /// A text frame of RFC 6455 around SockJS' array frame.
    SockJs,
}

impl Framing {
    const COUNT: usize = 2;
}

impl LiveChange {
    /// A document is there, with these fields. An `_id` among them is left out.
    pub fn added(
        collection: impl Into<Arc<str>>,
        id: impl Into<DocumentId>,
        fields: Arc<Fields>,
    ) -> Self {
        let fields = without_id(fields);
        Self::new(collection.into(), id.into(), LiveKind::Added { fields })
    }

    /// A document has another version. `None` if it says the same as the one before, by
    /// EJSON's equality. Sessions that hold `before` itself, and not only something equal, are
    /// told for next to nothing: give what was given last. Neither may have an `_id`.
    pub fn changed(
        collection: impl Into<Arc<str>>,
        id: impl Into<DocumentId>,
        before: Arc<Fields>,
        after: Arc<Fields>,
    ) -> Option<Self> {
        let changes = Changes::between(&before, &after);
        if changes.is_empty() {
            return None;
        }
        let Changes { fields, cleared } = changes;
        let kind = LiveKind::Changed {
            before,
            after,
            fields,
            cleared,
        };
        Some(Self::new(collection.into(), id.into(), kind))
    }

    /// A document is gone.
    pub fn removed(collection: impl Into<Arc<str>>, id: impl Into<DocumentId>) -> Self {
        Self::new(collection.into(), id.into(), LiveKind::Removed)
    }

    fn new(collection: Arc<str>, id: DocumentId, kind: LiveKind) -> Self {
        Self {
            collection,
            id,
            kind,
            text: OnceLock::new(),
            frames: Default::default(),
        }
    }

    /// The collection.
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The document.
    pub fn id(&self) -> &DocumentId {
        &self.id
    }

    /// The message for a client that had exactly the version before. Written when first asked
    /// for.
    pub fn text(&self) -> &str {
        self.text
            .get_or_init(|| ServerMessage::from(self.message()).to_text())
    }

    /// The text as a transport sends it. Made by `frame` when first asked for, then shared.
    pub fn framed(&self, framing: Framing, frame: impl FnOnce(&str) -> Bytes) -> &Bytes {
        self.frames[framing as usize].get_or_init(|| frame(self.text()))
    }

    /// The message that the text says.
    pub fn message(&self) -> DataMessage {
        let (collection, id) = (Arc::clone(&self.collection), self.id.clone());
        match &self.kind {
            LiveKind::Added { fields } => DataMessage::Added {
                collection,
                id,
                fields: Arc::clone(fields),
            },
            LiveKind::Changed {
                fields, cleared, ..
            } => DataMessage::Changed {
                collection,
                id,
                fields: fields.clone(),
                cleared: cleared.clone(),
            },
            LiveKind::Removed => DataMessage::Removed { collection, id },
        }
    }

    pub(crate) fn kind(&self) -> &LiveKind {
        &self.kind
    }

    pub(crate) fn collection_name(&self) -> &Arc<str> {
        &self.collection
    }
}

impl fmt::Debug for LiveChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveChange")
            .field("collection", &self.collection)
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejson::Value;
    use crate::fields;

    #[test]
    fn a_frame_is_made_once() {
        let change = LiveChange::removed("c", "d");
        let first = change.framed(Framing::SockJs, |text| Bytes::from(format!("a[{text}]")));
        assert_eq!(first, r#"a[{"msg":"removed","collection":"c","id":"d"}]"#);
        change.framed(Framing::SockJs, |_| unreachable!("it is there"));
        let other = change.framed(Framing::WebSocket, |_| Bytes::from_static(b"w"));
        assert_eq!(other, "w");
    }

    #[test]
    fn what_says_the_same_is_no_change() {
        let version = || Arc::new(fields! { "n": f64::NAN, "l": vec![Value::Null] });
        assert!(LiveChange::changed("c", "d", version(), version()).is_none());
    }

    #[test]
    fn fields_that_are_gone_are_cleared() {
        let before = Arc::new(fields! { "a": 1, "b": 2 });
        let after = Arc::new(fields! { "b": 2, "c": 3 });
        let change = LiveChange::changed("c", "d", before, after);
        assert_eq!(
            change.as_ref().map(LiveChange::text),
            Some(r#"{"msg":"changed","collection":"c","id":"d","fields":{"c":3},"cleared":["a"]}"#)
        );
    }
}
