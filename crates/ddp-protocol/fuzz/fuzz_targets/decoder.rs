//! Any text as JSON, as EJSON, and as a frame from a client or a server. What can be read is
//! written and read again, and must be the same.

#![no_main]

use std::sync::Arc;
use std::time::Instant;

use ddp_protocol::client::{Connection, ConnectionConfig};
use ddp_protocol::ejson::{self, CustomType, TypeRegistry, Value};
use ddp_protocol::json;
use ddp_protocol::session::{Names, Session, SessionConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    read_as_json(text);
    read_as_ejson(text);
    hear_as_server(text);
    hear_as_client(text);
});

/// Objects that look like EJSON are escaped, so plain JSON survives a journey as EJSON.
fn read_as_json(text: &str) {
    if let Ok(value) = json::parse(text) {
        let written = ejson::stringify(&value);
        assert_eq!(ejson::parse(&written).as_ref(), Ok(&value), "{written}");
        assert_eq!(ejson::to_value(&value).as_ref(), Ok(&value));
        assert_eq!(
            ejson::from_json_value(ejson::to_json_value(&value)),
            Ok(value)
        );
    }
}

fn read_as_ejson(text: &str) {
    let types = types();
    let Ok(value) = types.parse(text) else {
        return;
    };
    let written = ejson::stringify(&value);
    let again = types.parse(&written);
    assert!(again.is_ok(), "{written}");
    if let Some(again) = again.ok().filter(|_| !has_invalid_date(&value)) {
        assert_eq!(again, value, "{written}");
        assert_eq!(ejson::stringify(&again), written);
    }
    for text in strings(&value) {
        assert_eq!(ejson::from_utf16(&ejson::utf16(text)), *text);
    }
    assert_eq!(ejson::from_value(value.clone()), Ok(value));
}

/// `new Date(null)` is 1970, so this one does not come back.
fn has_invalid_date(value: &Value) -> bool {
    match value {
        Value::Date(date) => date.millis().is_none(),
        Value::Array(items) => items.iter().any(has_invalid_date),
        Value::Object(fields) => fields.values().any(has_invalid_date),
        _ => false,
    }
}

fn strings(value: &Value) -> Vec<&String> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields
            .keys()
            .chain(fields.values().flat_map(strings))
            .collect(),
        _ => Vec::new(),
    }
}

fn hear_as_server(text: &str) {
    let now = Instant::now();
    let config = SessionConfig {
        types: types(),
        ..SessionConfig::default()
    };
    let mut session = Session::new(Arc::new(config), Arc::new(Nothing), "S", now);
    session.handle_text(text, now);
    session.handle_text(r#"{"msg":"connect","version":"1","support":["1"]}"#, now);
    session.handle_text(text, now);
    while session.poll_transmit().is_some() {}
}

fn hear_as_client(text: &str) {
    let now = Instant::now();
    let mut connection = Connection::new(ConnectionConfig::default());
    connection.handle_open(now);
    connection.handle_text(r#"{"msg":"connected","session":"S"}"#, now);
    connection.handle_text(text, now);
    while connection.poll_event().is_some() {}
    while connection.poll_transmit().is_some() {}
}

struct Nothing;

impl Names for Nothing {
    fn has_method(&self, _name: &str) -> bool {
        false
    }

    fn has_publication(&self, _name: &str) -> bool {
        false
    }
}

#[derive(Debug)]
struct Text(String);

impl CustomType for Text {
    fn type_name(&self) -> &str {
        "text"
    }

    fn to_json_value(&self) -> Value {
        self.0.as_str().into()
    }
}

fn types() -> TypeRegistry {
    let mut types = TypeRegistry::new();
    let added = types.add("text", |json| match json {
        Value::String(text) => Ok(Text(text)),
        _ => Err("no text"),
    });
    assert!(added.is_ok());
    types
}
