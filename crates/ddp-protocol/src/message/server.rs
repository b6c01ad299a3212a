use std::sync::Arc;

use crate::Error;
use crate::ejson::{Fields, Value, write_ejson};
use crate::json::{write_array, write_json, write_object, write_string};
use crate::mongo_id::DocumentId;

/// A message from server to client.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage {
    /// The session is open.
    Connected {
        /// Its id.
        session: String,
    },
    /// No common version; the connection is closed after this.
    Failed {
        /// The version that the client should try.
        version: String,
    },
    /// Is anybody there?
    Ping,
    /// The answer to a ping.
    Pong {
        /// The `id` of the ping, if it had one.
        id: Option<Value>,
    },
    /// A message was not understood.
    Error {
        /// Why.
        reason: String,
        /// The message, unless it could not be read at all.
        offending: Option<Value>,
    },
    /// A method has returned.
    Result {
        /// The call.
        id: String,
        /// What it returned; `Ok(None)` is JavaScript's `undefined`.
        result: Result<Option<Value>, Error>,
    },
    /// All data that these calls have written was sent.
    Updated {
        /// The calls.
        methods: Vec<String>,
    },
    /// The initial data of these subscriptions was sent.
    Ready {
        /// The subscriptions.
        subs: Vec<String>,
    },
    /// A subscription is over.
    NoSub {
        /// The subscription; whatever the client called it.
        id: Option<Value>,
        /// Why, unless it was asked for.
        error: Option<Error>,
    },
    /// A document has come, changed or gone.
    Data(DataMessage),
}

/// A message about one document.
#[derive(Debug, Clone, PartialEq)]
pub enum DataMessage {
    /// The document is new to this session.
    Added {
        /// Its collection.
        collection: Arc<str>,
        /// The document.
        id: DocumentId,
        /// All its fields, shared with whoever has the same version.
        fields: Arc<Fields>,
    },
    /// Some of its fields have other values.
    Changed {
        /// Its collection.
        collection: Arc<str>,
        /// The document.
        id: DocumentId,
        /// The new values.
        fields: Fields,
        /// The fields that it no longer has.
        cleared: Vec<String>,
    },
    /// The session has it no more.
    Removed {
        /// Its collection.
        collection: Arc<str>,
        /// The document.
        id: DocumentId,
    },
}

impl ServerMessage {
    /// The text of the frame: compact JSON, `msg` first.
    pub fn to_text(&self) -> String {
        match self {
            Self::Connected { session } => Frame::new("connected").string("session", session),
            Self::Failed { version } => Frame::new("failed").string("version", version),
            Self::Ping => Frame::new("ping"),
            Self::Pong { id } => Frame::new("pong").json("id", id.as_ref()),
            Self::Error { reason, offending } => Frame::new("error")
                .string("reason", reason)
                .offending(offending.as_ref()),
            Self::Result { id, result } => {
                let frame = Frame::new("result").string("id", id);
                match result {
                    Ok(value) => frame.ejson("result", value.as_ref()),
                    Err(error) => frame.error(Some(error)),
                }
            }
            Self::Updated { methods } => Frame::new("updated").strings("methods", methods),
            Self::Ready { subs } => Frame::new("ready").strings("subs", subs),
            Self::NoSub { id, error } => Frame::new("nosub")
                .json("id", id.as_ref())
                .error(error.as_ref()),
            Self::Data(data) => data.frame(),
        }
        .finish()
    }
}

impl DataMessage {
    /// The collection.
    pub fn collection(&self) -> &Arc<str> {
        match self {
            Self::Added { collection, .. }
            | Self::Changed { collection, .. }
            | Self::Removed { collection, .. } => collection,
        }
    }

    /// The document.
    pub fn id(&self) -> &DocumentId {
        match self {
            Self::Added { id, .. } | Self::Changed { id, .. } | Self::Removed { id, .. } => id,
        }
    }

    fn frame(&self) -> Frame {
        match self {
            Self::Added {
                collection,
                id,
                fields,
            } => Frame::new("added").document(collection, id).fields(fields),
            Self::Changed {
                collection,
                id,
                fields,
                cleared,
            } => {
                let frame = Frame::new("changed")
                    .document(collection, id)
                    .fields(fields);
                if cleared.is_empty() {
                    frame
                } else {
                    frame.strings("cleared", cleared)
                }
            }
            Self::Removed { collection, id } => Frame::new("removed").document(collection, id),
        }
    }
}

impl From<DataMessage> for ServerMessage {
    fn from(data: DataMessage) -> Self {
        Self::Data(data)
    }
}

/// A frame in the making.
struct Frame(String);

impl Frame {
    fn new(msg: &str) -> Self {
        Self("{\"msg\":".to_owned()).then(|out| write_string(out, msg))
    }

    fn string(self, key: &str, value: &str) -> Self {
        self.key(key).then(|out| write_string(out, value))
    }

    fn strings(self, key: &str, values: &[String]) -> Self {
        self.key(key)
            .then(|out| write_array(out, values, |out, value| write_string(out, value)))
    }

    fn json(self, key: &str, value: Option<&Value>) -> Self {
        let Some(value) = value else { return self };
        self.key(key).then(|out| write_json(out, value))
    }

    fn ejson(self, key: &str, value: Option<&Value>) -> Self {
        let Some(value) = value else { return self };
        self.key(key).then(|out| write_ejson(out, value))
    }

    fn error(self, error: Option<&Error>) -> Self {
        let Some(error) = error else { return self };
        self.key("error").then(|out| error.write(out))
    }

    fn document(self, collection: &str, id: &DocumentId) -> Self {
        self.string("collection", collection)
            .string("id", id.as_wire())
    }

    fn fields(self, fields: &Fields) -> Self {
        if fields.is_empty() {
            return self;
        }
        self.key("fields")
            .then(|out| write_object(out, fields, |out, _, value| write_ejson(out, value)))
    }

    /// A refused message as it came: EJSON where it was read as EJSON, plain JSON elsewhere.
    fn offending(self, message: Option<&Value>) -> Self {
        let Some(message) = message else { return self };
        let frame = self.key("offendingMessage");
        let Some(fields) = message.as_object() else {
            return frame.then(|out| write_json(out, message));
        };
        frame.then(|out| {
            write_object(out, fields, |out, key, value| match key {
                "params" | "fields" | "result" => write_ejson(out, value),
                _ => write_json(out, value),
            });
        })
    }

    fn key(self, key: &str) -> Self {
        self.then(|out| {
            out.push(',');
            write_string(out, key);
            out.push(':');
        })
    }

    fn then(mut self, write: impl FnOnce(&mut String)) -> Self {
        write(&mut self.0);
        self
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fields, object};

    #[test]
    fn what_is_not_there_is_left_out() {
        assert_eq!(
            ServerMessage::Pong { id: None }.to_text(),
            r#"{"msg":"pong"}"#
        );
        let null = ServerMessage::Pong {
            id: Some(Value::Null),
        };
        assert_eq!(null.to_text(), r#"{"msg":"pong","id":null}"#);
        let undefined = ServerMessage::Result {
            id: "1".into(),
            result: Ok(None),
        };
        assert_eq!(undefined.to_text(), r#"{"msg":"result","id":"1"}"#);
        let null = ServerMessage::Result {
            id: "1".into(),
            result: Ok(Some(Value::Null)),
        };
        assert_eq!(null.to_text(), r#"{"msg":"result","id":"1","result":null}"#);
        let added = DataMessage::Added {
            collection: "c".into(),
            id: "d".into(),
            fields: Arc::default(),
        };
        let text = ServerMessage::from(added).to_text();
        assert_eq!(text, r#"{"msg":"added","collection":"c","id":"d"}"#);
    }

    #[test]
    fn fields_are_ejson_and_cleared_comes_last() {
        let changed = DataMessage::Changed {
            collection: "c".into(),
            id: "d".into(),
            fields: fields! { "inf": f64::INFINITY, "$date": 1 },
            cleared: vec!["x".into()],
        };
        let text = ServerMessage::from(changed).to_text();
        assert_eq!(
            text,
            r#"{"msg":"changed","collection":"c","id":"d","fields":{"inf":{"$InfNaN":1},"$date":1},"cleared":["x"]}"#
        );
    }

    #[test]
    fn an_offending_message_comes_back_as_it_was() {
        let offending =
            object! { "msg": 5, "x": object! { "$date": 1 }, "params": object! { "$escape": 1 } };
        let text = ServerMessage::Error {
            reason: "r".into(),
            offending: Some(offending),
        }
        .to_text();
        assert_eq!(
            text,
            r#"{"msg":"error","reason":"r","offendingMessage":{"msg":5,"x":{"$date":1},"params":{"$escape":{"$escape":1}}}}"#
        );
    }
}
