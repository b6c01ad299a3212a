use crate::ejson::{Fields, Value};
use crate::message::DataMessage;

/// About how long the text of a message will be, without writing it.
pub(super) fn weight(message: &DataMessage) -> usize {
    /// `{"msg":"changed","collection":"","id":""}`
    const FRAME: usize = 42;
    let (collection, id, content) = match message {
        DataMessage::Added {
            collection,
            id,
            fields,
        } => (collection, id, of_fields(fields)),
        DataMessage::Changed {
            collection,
            id,
            fields,
            cleared,
        } => {
            let cleared: usize = cleared.iter().map(|key| key.len() + 3).sum();
            (collection, id, of_fields(fields) + cleared)
        }
        DataMessage::Removed { collection, id } => (collection, id, 0),
    };
    FRAME + collection.len() + id.as_wire().len() + content
}

fn of_fields(fields: &Fields) -> usize {
    let each = fields.iter();
    each.map(|(key, value)| key.len() + 4 + of_value(value))
        .sum()
}

fn of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Binary(bytes) => bytes.len() / 3 * 4 + 16,
        Value::Array(items) => 2 + items.iter().map(|item| 1 + of_value(item)).sum::<usize>(),
        Value::Object(fields) => 2 + of_fields(fields),
        Value::Null | Value::Bool(_) => 5,
        _ => 16,
    }
}
