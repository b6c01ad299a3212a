//! Publications for load tests.

use std::time::{SystemTime, UNIX_EPOCH};

use ddp_server::ejson::{Date, Value};
use ddp_server::live::{Writer, collection};
use ddp_server::{Builder, fields};

use super::Arguments;

pub(super) fn offer(builder: Builder) -> Builder {
    let (ten, ten_view) = collection("ten");
    for n in 0..10 {
        let id = format!("doc{n}");
        ten.set(id, fields! { "n": n, "text": "one of ten documents" });
    }
    let (ticks, ticks_view) = collection("ticks");
    tick(&ticks, 0.into());
    builder
        .publish("tenDocs", move |_, _: Vec<Value>| {
            let all = ten_view.find();
            async { Ok(all) }
        })
        .publish("ticker", move |_, _: Vec<Value>| {
            let all = ticks_view.find();
            async { Ok(all) }
        })
        .method("tick", move |_, mut arguments: Arguments| {
            tick(&ticks, arguments.next().unwrap_or(Value::Null));
            async { Ok(()) }
        })
}

fn tick(ticks: &Writer, v: Value) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or_default();
    ticks.set("tick", fields! { "v": v, "t": Date::from_millis(now) });
}
