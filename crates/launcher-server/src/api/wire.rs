//! Between the engine's plain JSON and the values that travel in DDP messages.

use ddp_server::ejson::Value;

/// A JSON document as it is: keys that look like EJSON's own are taken literally.
pub(super) fn from_json(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => value.into(),
        serde_json::Value::Number(number) => number.as_f64().unwrap_or(f64::NAN).into(),
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => Value::Array(items.into_iter().map(from_json).collect()),
        serde_json::Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (key, from_json(value)))
                .collect(),
        ),
    }
}

/// A value as JSON; dates and binary data in EJSON's form.
pub(super) fn to_json(value: &Value) -> serde_json::Value {
    ddp_server::ejson::to_json_value(value)
}
