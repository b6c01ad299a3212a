//! What a client's values, names and ids are after their way through a session.

mod support;

use ddp_protocol::ejson::{Custom, CustomType, TypeRegistry, Value};
use ddp_protocol::session::{Event, SessionConfig};
use support::Talk;

#[test]
fn lone_surrogates_come_back_everywhere() {
    let mut talk = Talk::connected(SessionConfig::default());
    talk.says(r#"{"msg":"ping","id":"\ud800"}"#);
    talk.says(
        r#"{"msg":"method","id":"\udc00i","method":"\ud83dm","params":["\uDFFF",{"\ud800":1}]}"#,
    );
    let Some(Event::Method {
        call, name, params, ..
    }) = talk.session.poll_event()
    else {
        panic!("the method does not run");
    };
    assert_eq!(ddp_protocol::ejson::utf16(&name), [0xd83d, 0x6d]);
    talk.session
        .method_returned(call, Ok(Some(Value::Array(params))));
    talk.says(r#"{"msg":"sub","id":"\udc01","name":"no\udc02"}"#);
    talk.says(r#"{"msg":"x\udc03","\udc04":5}"#);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"pong","id":"\ud800"}"#,
            r#"{"msg":"updated","methods":["\udc00i"]}"#,
            r#"{"msg":"result","id":"\udc00i","result":["\udfff",{"\ud800":1}]}"#,
            r#"{"msg":"nosub","id":"\udc01","error":{"isClientSafe":true,"error":404,"reason":"Subscription 'no\udc02' not found","message":"Subscription 'no\udc02' not found [404]","errorType":"Meteor.Error"}}"#,
            r#"{"msg":"error","reason":"Bad request","offendingMessage":{"msg":"x\udc03","\udc04":5}}"#,
        ]
    );
}

#[test]
fn what_is_nested_too_deeply_is_a_parse_error() {
    let mut talk = Talk::connected(SessionConfig::default());
    talk.says(&"[".repeat(1_000_000));
    assert_eq!(talk.hears(), [r#"{"msg":"error","reason":"Parse error"}"#]);
}

#[derive(Debug)]
struct Even(f64);

impl CustomType for Even {
    fn type_name(&self) -> &str {
        "Even"
    }

    fn to_json_value(&self) -> Value {
        self.0.into()
    }
}

fn types() -> TypeRegistry {
    let mut types = TypeRegistry::new();
    let added = types.add("Even", |json| match json {
        Value::Number(number) if number % 2.0 == 0.0 => Ok(Even(number)),
        _ => Err("odd"),
    });
    assert!(added.is_ok());
    types
}

#[test]
fn registered_types_are_arguments_and_results() {
    let mut talk = Talk::connected(SessionConfig {
        types: types(),
        ..SessionConfig::default()
    });
    talk.says(r#"{"msg":"method","id":"1","method":"m","params":[{"$type":"Even","$value":4}]}"#);
    let Some(Event::Method { call, params, .. }) = talk.session.poll_event() else {
        panic!("the method does not run");
    };
    let even = params[0].as_custom().and_then(Custom::downcast_ref::<Even>);
    assert_eq!(even.map(|even| even.0), Some(4.0));
    let half = Custom::new(Even(2.0));
    talk.session.method_returned(call, Ok(Some(half.into())));
    talk.says(r#"{"msg":"method","id":"2","method":"m","params":[{"$type":"Even","$value":3}]}"#);
    talk.says(r#"{"msg":"method","id":"3","method":"m","params":[{"$type":"Odd","$value":3}]}"#);
    assert_eq!(
        talk.hears(),
        [
            r#"{"msg":"updated","methods":["1"]}"#,
            r#"{"msg":"result","id":"1","result":{"$type":"Even","$value":2}}"#,
            r#"{"msg":"error","reason":"Parse error"}"#,
            r#"{"msg":"error","reason":"Parse error"}"#,
        ]
    );
    assert_eq!(talk.session.poll_event(), None);
}
