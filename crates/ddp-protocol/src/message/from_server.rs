use crate::ejson::{Fields, TypeRegistry, Value, decode_in_place};
use crate::error::ErrorCode;
use crate::json;
use crate::{DocumentId, Error};

/// What a client hears from its server, as far as it makes sense.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    Connected {
        session: Option<String>,
    },
    Failed {
        version: String,
    },
    Ping {
        id: Option<Value>,
    },
    Pong,
    /// The server did not understand a message.
    Error {
        reason: String,
    },
    Result {
        id: String,
        result: Result<Option<Value>, ResultError>,
    },
    NoSub {
        id: String,
        error: Option<Error>,
    },
    Updated {
        methods: Vec<String>,
    },
    Ready {
        subs: Vec<String>,
    },
    Data(Data),
}

/// Why a call has no result.
#[derive(Debug, PartialEq)]
pub(crate) enum ResultError {
    /// The server says so.
    Server(Error),
    /// The EJSON of the result is broken, or of a type that is not known.
    Unreadable,
}

/// What a client hears about a document.
#[derive(Debug, PartialEq)]
pub(crate) struct Data {
    pub(crate) collection: String,
    pub(crate) id: DocumentId,
    pub(crate) action: Action,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Added(Fields),
    Changed {
        fields: Fields,
        cleared: Vec<String>,
    },
    Removed,
}

impl Told {
    /// Reads a frame. `None` for what a client passes over: `server_id` of old servers, kinds that
    /// are not known (`addedBefore` and `movedBefore`, which no server sends, among them), and
    /// what is broken.
    pub(crate) fn read(frame: &str, types: &TypeRegistry) -> Option<Self> {
        let mut message = json::parse(frame).ok()?.into_object()?;
        let msg = string(&mut message, "msg")?;
        Some(match msg.as_str() {
            "connected" => Self::Connected {
                session: string(&mut message, "session"),
            },
            "failed" => Self::Failed {
                version: string(&mut message, "version")?,
            },
            "ping" => Self::Ping {
                id: message.swap_remove("id"),
            },
            "pong" => Self::Pong,
            "error" => Self::Error {
                reason: string(&mut message, "reason").unwrap_or_default(),
            },
            "result" => Self::Result {
                id: string(&mut message, "id")?,
                result: result(&mut message, types),
            },
            "nosub" => Self::NoSub {
                id: string(&mut message, "id")?,
                error: message.swap_remove("error").and_then(error),
            },
            "updated" => Self::Updated {
                methods: strings(message.swap_remove("methods")?)?,
            },
            "ready" => Self::Ready {
                subs: strings(message.swap_remove("subs")?)?,
            },
            "added" | "changed" | "removed" => Self::Data(data(&msg, &mut message, types)?),
            _ => return None,
        })
    }
}

fn result(message: &mut Fields, types: &TypeRegistry) -> Result<Option<Value>, ResultError> {
    if let Some(error) = message.swap_remove("error").and_then(error) {
        return Err(ResultError::Server(error));
    }
    let Some(mut result) = message.swap_remove("result") else {
        return Ok(None);
    };
    decode_in_place(&mut result, types).map_err(|_| ResultError::Unreadable)?;
    Ok(Some(result))
}

fn data(msg: &str, message: &mut Fields, types: &TypeRegistry) -> Option<Data> {
    Some(Data {
        collection: string(message, "collection")?,
        id: DocumentId::from_wire(&string(message, "id")?)?,
        action: match msg {
            "added" => Action::Added(fields(message, types)?),
            "changed" => Action::Changed {
                fields: fields(message, types)?,
                cleared: message
                    .swap_remove("cleared")
                    .map_or(Some(Vec::new()), strings)?,
            },
            _ => Action::Removed,
        },
    })
}

fn fields(message: &mut Fields, types: &TypeRegistry) -> Option<Fields> {
    let Some(fields) = message.swap_remove("fields") else {
        return Some(Fields::new());
    };
    // field by field: an object of fields is never itself an EJSON type, whatever its keys
    let mut fields = fields.into_object()?;
    for value in fields.values_mut() {
        decode_in_place(value, types).ok()?;
    }
    Some(fields)
}

/// The error in a message. `null` is none: some servers send it beside a result.
fn error(value: Value) -> Option<Error> {
    let mut fields = match value {
        Value::Null => return None,
        Value::Object(fields) => fields,
        other => return Some(Error::code_only(code(Some(other)))),
    };
    let code = code(fields.swap_remove("error"));
    let error = match string(&mut fields, "reason") {
        Some(reason) => Error::new(code, reason),
        None => Error::code_only(code),
    };
    Some(match fields.swap_remove("details") {
        Some(details) => error.details(details),
        None => error,
    })
}

fn code(value: Option<Value>) -> ErrorCode {
    match value {
        Some(Value::Number(number)) if number.fract() == 0.0 => ErrorCode::Number(number as i64),
        Some(Value::String(text)) => ErrorCode::String(text),
        Some(other) => {
            let mut text = String::new();
            json::write_json(&mut text, &other);
            ErrorCode::String(text)
        }
        None => ErrorCode::Number(500),
    }
}

fn string(message: &mut Fields, key: &str) -> Option<String> {
    match message.swap_remove(key)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn strings(value: Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else {
        return None;
    };
    let texts = items.into_iter().map(|item| match item {
        Value::String(text) => Some(text),
        _ => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ejson::Date;
    use crate::message::{DataMessage, ServerMessage};
    use crate::{fields, object};

    fn read(frame: &str) -> Option<Told> {
        Told::read(frame, &TypeRegistry::new())
    }

    #[test]
    fn what_a_server_writes_is_read_as_it_was_meant() {
        let added = DataMessage::Added {
            collection: "c".into(),
            id: "-d".into(),
            fields: fields! { "at": Date::from_millis(5), "$date": 1 }.into(),
        };
        let told = read(&ServerMessage::from(added).to_text());
        let expected = Data {
            collection: "c".into(),
            id: "-d".into(),
            action: Action::Added(fields! { "at": Date::from_millis(5), "$date": 1 }),
        };
        assert_eq!(told, Some(Told::Data(expected)));

        let error = Error::new("my-code", "My reason").details(object! { "a": 1 });
        let result = ServerMessage::Result {
            id: "1".into(),
            result: Err(error.clone()),
        };
        let expected = Told::Result {
            id: "1".into(),
            result: Err(ResultError::Server(error)),
        };
        assert_eq!(read(&result.to_text()), Some(expected));
    }

    #[test]
    fn results_that_are_absent_null_or_beside_a_null_error_differ() {
        let result = |rest: &str| read(&format!(r#"{{"msg":"result","id":"1"{rest}}}"#));
        let ok = |result| {
            Some(Told::Result {
                id: "1".into(),
                result: Ok(result),
            })
        };
        assert_eq!(result(""), ok(None));
        assert_eq!(result(r#","result":null"#), ok(Some(Value::Null)));
        assert_eq!(result(r#","result":5,"error":null"#), ok(Some(5.into())));
        let Some(Told::Result { result, .. }) = result(r#","result":{"$binary":5}"#) else {
            panic!("a result");
        };
        assert_eq!(result, Err(ResultError::Unreadable));
    }

    #[test]
    fn errors_are_read_whatever_shape_they_have() {
        let read = |json: &str| error(json::parse(json).ok()?);
        assert_eq!(
            read(r#"{"error":404,"reason":"r"}"#),
            Some(Error::new(404, "r"))
        );
        assert_eq!(read(r#"{"error":"x"}"#), Some(Error::code_only("x")));
        assert_eq!(read(r#"{}"#), Some(Error::code_only(500)));
        assert_eq!(read(r#""boom""#), Some(Error::code_only("boom")));
        assert_eq!(read(r#"{"error":1.5}"#), Some(Error::code_only("1.5")));
        assert_eq!(read("null"), None);
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        for frame in [
            r#"{"server_id":"0"}"#,
            r#"{"msg":"addedBefore","collection":"c","id":"d","fields":{},"before":null}"#,
            r#"{"msg":5}"#,
            r#"{"msg":"added","collection":"c"}"#,
            r#"{"msg":"added","collection":"c","id":"d","fields":{"a":{"$binary":5}}}"#,
            r#"{"msg":"nosub"}"#,
            "[]",
            "{",
            "",
        ] {
            assert_eq!(read(frame), None, "{frame}");
        }
    }
}
