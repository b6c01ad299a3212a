//! Routes from a launcher's own publication.

use std::{convert::Infallible, sync::Arc, time::Duration};

use ddp_client::{BackoffPolicy, Client, Collection, Status, Subscription};
use futures_util::FutureExt;
use launcher_core::routing::{Reachable, RouteDocument};
use tokio::{sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use super::Following;

/// Wait before the publication is asked for again that was refused.
const REFUSED: Duration = Duration::from_secs(5);
/// A connection that says nothing is looked after so often.
const HEARTBEAT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(5));
/// How long what was there before is kept while a launcher that has come back does not know yet what runs.
const HELD: Duration = Duration::from_secs(365 * 24 * 3_600);
/// How much it may send meanwhile, in bytes.
const MOST_HELD: usize = 256 << 20;
const BACKOFF: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(200),
    exponent: 2.0,
    max: Duration::from_secs(5),
    min: Duration::from_millis(10),
    min_count: 2,
    fuzz: 0.5,
};

type Tables = watch::Sender<Option<Arc<Vec<RouteDocument>>>>;

struct Follower {
    address: String,
    tables: Tables,
    state: watch::Sender<Reachable>,
}

pub(super) fn follow(address: String) -> Following {
    let follower = Follower {
        address,
        tables: watch::Sender::new(None),
        state: watch::Sender::new(Err("it has not answered yet".to_owned())),
    };
    let (tables, state) = (follower.tables.subscribe(), follower.state.subscribe());
    let task = tokio::spawn(async move { match follower.run().await {} });
    Following {
        tables,
        state,
        task: AbortOnDropHandle::new(task),
    }
}

impl Follower {
    async fn run(self) -> Infallible {
        loop {
            let why = match self.follow().await {
                Ok(()) => "it has ended the subscription".to_owned(),
                Err(error) => error.to_string(),
            };
            self.tell(Err(why));
            sleep(REFUSED).await;
        }
    }

    /// Until the launcher ends the subscription. The table stays what it was.
    async fn follow(&self) -> Result<(), ddp_client::Error> {
        let client = Client::builder(&self.address)?
            .backoff(BACKOFF)
            .heartbeat(HEARTBEAT.0, HEARTBEAT.1)
            .max_held(HELD, MOST_HELD)
            .start();
        let mut status = client.status();
        let subscription = client.subscribe("routes", ()).await?;
        let routes = client.collection("Routes");
        let mut changes = None;
        loop {
            let is_ready = subscription.is_ready();
            self.look_at(&status.borrow_and_update().clone(), is_ready);
            if is_ready {
                let changes = changes.get_or_insert_with(|| routes.observe());
                while let Some(Some(_)) = changes.next().now_or_never() {}
                if has_ended(&subscription) {
                    return Ok(());
                }
                self.tables
                    .send_if_modified(|table| replace(table, &routes));
            }
            let next_change = async {
                match changes.as_mut() {
                    Some(changes) => drop(changes.next().await),
                    None => subscription.ready().await?,
                }
                Ok::<_, ddp_client::Error>(())
            };
            tokio::select! {
                biased;
                _ = subscription.stopped() => return Ok(()),
                changed = next_change => changed?,
                changed = status.changed() => changed.map_err(|_| ddp_client::Error::Closed)?,
            }
        }
    }

    fn look_at(&self, status: &Status, is_ready: bool) {
        self.tell(match status {
            Status::Connected if is_ready => Ok(()),
            Status::Connected => Err("it does not know yet what runs".to_owned()),
            Status::Waiting { reason, .. } | Status::Failed { reason } => Err(reason.to_string()),
            // What was true before still is.
            _ => return,
        });
    }

    fn tell(&self, state: Reachable) {
        let before = self.state.send_replace(state.clone());
        match state {
            Ok(()) if before.is_err() => {
                tracing::info!(launcher = self.address, "routes are up to date");
            }
            Err(error) if before.is_ok() => {
                tracing::warn!(
                    launcher = self.address,
                    error,
                    "the launcher cannot be followed; the last routes stay in force"
                );
            }
            _ => {}
        }
    }
}

fn has_ended(subscription: &Subscription) -> bool {
    subscription.stopped().now_or_never().is_some()
}

/// Whether the table is another one now.
fn replace(table: &mut Option<Arc<Vec<RouteDocument>>>, routes: &Collection) -> bool {
    let read = routes.documents();
    let read = read.iter().filter_map(|document| match document.parse() {
        Ok(route) => Some(route),
        Err(error) => {
            tracing::warn!(%error, "a route of the launcher cannot be read");
            None
        }
    });
    let new = Some(Arc::new(read.collect()));
    let has_changed = *table != new;
    *table = new;
    has_changed
}
