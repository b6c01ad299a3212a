use std::sync::{Arc, Mutex};

use ddp_server::Builder;
use ddp_server::ejson::Value;
use serde::Deserialize;

use super::super::{lock, wait};

#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<&'static str>>>);

impl Events {
    fn note(&self, event: &'static str) {
        lock(&self.0).push(event);
    }
}

#[derive(Deserialize)]
struct Delay {
    delay: f64,
}

/// Methods that tell in which order they were run.
pub(super) fn offer(builder: Builder) -> Builder {
    let events = Events::default();
    let builder = [
        ("server-only-sync", Some("sync-result")),
        ("server-only-async", Some("server-only-async-result")),
        ("sync-stub", Some("sync-server-result")),
        ("async-stub", Some("async-server-result")),
        ("callAsyncFromSyncStub", None),
        ("callSyncStubFromAsyncStub", Some("server result")),
        ("callSyncStubFromSyncStub", Some("server result")),
        ("callAsyncStubFromAsyncStub", Some("server result")),
        ("blockingMethod", None),
    ]
    .into_iter()
    .fold(builder, |builder, (name, result)| {
        noted(builder, &events, name, result)
    });
    offer_order(builder, events)
}

fn noted(
    builder: Builder,
    events: &Events,
    name: &'static str,
    result: Option<&'static str>,
) -> Builder {
    let events = events.clone();
    builder.method(name, move |_, _: Vec<Value>| {
        events.note(name);
        async move { Ok(result) }
    })
}

fn offer_order(builder: Builder, events: Events) -> Builder {
    let [unblocked, published] = std::array::from_fn(|_| events.clone());
    builder
        .method("getAndResetEvents", move |_, ()| {
            let noted = std::mem::take(&mut *lock(&events.0));
            async { Ok(noted) }
        })
        .method("unblockedMethod", move |ctx, (options,): (Delay,)| {
            let events = unblocked.clone();
            async move {
                events.note("unblock start");
                ctx.unblock();
                wait(options.delay).await;
                events.note("unblock end");
                Ok(())
            }
        })
        .publish("simple-publication", move |sub, _: Vec<Value>| {
            published.note("publication");
            sub.ready();
            async { Ok(()) }
        })
}
