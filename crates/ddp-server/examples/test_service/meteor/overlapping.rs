use std::sync::Arc;

use ddp_server::{Builder, Error, Server, Subscription, fields};
use tokio::sync::{Mutex, watch};

use super::Running;

/// Two universal publications that have the same document. They come with their first test, so
/// that nobody pays for them before.
pub(super) fn offer(builder: Builder, running: &Running) -> Builder {
    let (running, both) = (Arc::clone(running), Arc::new(Mutex::new(None)));
    builder.method("testOverlappingSubs", move |ctx, (token,): (String,)| {
        let (running, both) = (Arc::clone(&running), Arc::clone(&both));
        async move {
            let server = running.get().ok_or_else(Error::internal)?;
            let mut both = both.lock().await;
            let [first, second] = both.get_or_insert_with(|| [publish(server), publish(server)]);
            let connection = ctx.connection().id();
            for subs in [&mut *first, &mut *second] {
                let has_own = |subs: &Vec<Subscription>| {
                    subs.iter().any(|sub| sub.connection().id() == connection)
                };
                subs.wait_for(has_own).await?;
            }
            tell(first, |sub| sub.added(COLLECTION, &token, fields! {}));
            tell(second, |sub| sub.added(COLLECTION, &token, fields! {}));
            tell(first, |sub| sub.removed(COLLECTION, &token));
            Ok(())
        }
    })
}

const COLLECTION: &str = "overlappingUniversalSubs";

/// A universal publication, and its subscriptions.
fn publish(server: &Server) -> watch::Receiver<Vec<Subscription>> {
    let (subs, all) = watch::channel(Vec::new());
    server.publish_universal(move |sub| {
        subs.send_modify(|subs: &mut Vec<Subscription>| {
            subs.retain(|sub| !sub.is_stopped());
            subs.push(sub);
        });
        async { Ok(()) }
    });
    all
}

fn tell(subs: &watch::Receiver<Vec<Subscription>>, what: impl Fn(&Subscription)) {
    subs.borrow().iter().for_each(what);
}
