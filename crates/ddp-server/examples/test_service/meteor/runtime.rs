use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ddp_server::ejson::Value;
use ddp_server::{Builder, Error, Subscription, fields};
use tokio::sync::watch;

use super::super::lock;
use super::Running;

/// Publications that come while the server runs.
pub(super) fn offer(builder: Builder, running: &Running) -> Builder {
    offer_universal(offer_named(builder, running), running)
}

type Handles = Arc<Mutex<HashMap<String, Subscription>>>;

fn offer_named(builder: Builder, running: &Running) -> Builder {
    let (running, handles) = (Arc::clone(running), Handles::default());
    let [first, second] = std::array::from_fn(|_| Arc::clone(&handles));
    builder
        .method("livedata/setup", move |_, (id,): (String,)| {
            for kind in ["pub1", "pub2"] {
                publish(&running, &handles, format!("{kind}{id}"));
            }
            async { Ok(()) }
        })
        .method("livedata/pub1go", move |_, (id,): (String,)| {
            let done = go(&first, "pub1", &id, |sub, all| {
                sub.added(all, "foo", fields! { "a": "aa" });
            });
            async { done.map(|()| 1) }
        })
        .method("livedata/pub2go", move |_, (id,): (String,)| {
            let done = go(&second, "pub2", &id, |sub, all| {
                sub.added(all, "foo", fields! { "b": "bb" });
            });
            async { done.map(|()| 2) }
        })
}

fn publish(running: &Running, handles: &Handles, name: String) {
    let (Some(server), handles) = (running.get(), Arc::clone(handles)) else {
        return;
    };
    server.publish(name, move |sub, _: Vec<Value>| {
        lock(&handles).insert(sub.name().to_owned(), sub.clone());
        sub.ready();
        async { Ok(()) }
    });
}

fn go(
    handles: &Handles,
    kind: &str,
    id: &str,
    tell: impl FnOnce(&Subscription, &str),
) -> Result<(), Error> {
    let handles = lock(handles);
    let sub = handles
        .get(&format!("{kind}{id}"))
        .ok_or_else(Error::internal)?;
    tell(sub, &format!("MultiPubCollection{id}"));
    Ok(())
}

fn offer_universal(builder: Builder, running: &Running) -> Builder {
    let running = Arc::clone(running);
    builder.method(
        "runtimeUniversalSubCreation",
        move |ctx, (token,): (String,)| {
            let running = Arc::clone(&running);
            async move {
                let (told, mut seen) = watch::channel(String::new());
                let server = running.get().ok_or_else(Error::internal)?;
                server.publish_universal(move |sub| {
                    sub.added("runtimeSubCreation", &token, fields! {});
                    let _nobody_waits = told.send(sub.connection().id().to_owned());
                    async { Ok(()) }
                });
                // the caller has the document before the method returns
                let own = ctx.connection().id();
                seen.wait_for(|connection| connection == own).await?;
                Ok(())
            }
        },
    )
}
