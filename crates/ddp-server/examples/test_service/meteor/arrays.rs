use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ddp_server::Builder;
use ddp_server::ejson::Value;

use super::super::lock;

/// Arrays that grow on the server, by the test that uses them.
pub(super) fn offer(builder: Builder) -> Builder {
    let arrays: Arc<Mutex<HashMap<String, Vec<Value>>>> = Arc::default();
    let pushed = Arc::clone(&arrays);
    builder
        .method("getArray", move |_, (test,): (Option<String>,)| {
            let array = lock(&arrays)
                .entry(test.unwrap_or_default())
                .or_default()
                .clone();
            async { Ok(array) }
        })
        .method("pushToArray", move |_, mut params: Vec<Value>| {
            let value = params.pop().unwrap_or(Value::Null);
            let test = params.first().and_then(Value::as_str).unwrap_or_default();
            lock(&pushed)
                .entry(test.to_owned())
                .or_default()
                .push(value);
            async { Ok(()) }
        })
}
