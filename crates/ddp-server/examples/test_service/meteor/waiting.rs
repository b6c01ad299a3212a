use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ddp_server::{Builder, Error};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::super::lock;

#[derive(Default, Deserialize)]
struct Intended {
    intended: Option<bool>,
}

/// A method that waits, one that ends the waiting, and one that fails.
pub(super) fn offer(builder: Builder) -> Builder {
    let waiters: Arc<Mutex<HashMap<String, oneshot::Sender<()>>>> = Arc::default();
    let ended = Arc::clone(&waiters);
    builder
        .method("delayedTrue", move |ctx, (token,): (String,)| {
            let (end, ends) = oneshot::channel();
            lock(&waiters).insert(token.clone(), end);
            ctx.unblock();
            let waiters = Arc::clone(&waiters);
            async move {
                let in_time = tokio::time::timeout(std::time::Duration::from_secs(1), ends).await;
                lock(&waiters).remove(&token);
                Ok(in_time.is_err())
            }
        })
        .method(
            "makeDelayedTrueImmediatelyReturnFalse",
            move |_, (token,): (String,)| {
                let waiter = lock(&ended).remove(&token);
                let _it_has_ended = waiter.map(|waiter| waiter.send(()));
                async { Ok(()) }
            },
        )
        .method(
            "exception",
            |_, (place, options): (String, Option<Intended>)| async move {
                exception(&place, &options.unwrap_or_default())
            },
        )
}

fn exception(place: &str, options: &Intended) -> Result<(), Error> {
    if place != "server" && place != "both" {
        return Ok(());
    }
    match options.intended {
        Some(true) => Err(Error::new(999, "Client-visible test exception")),
        _ => Err(std::io::Error::other("Test method throwing an exception").into()),
    }
}
