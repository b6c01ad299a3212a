//! Tasks that must not end because something in them panicked.

use std::{future::Future, time::Duration};

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// Wait before a task that panicked is replaced.
const REPLACE: Duration = Duration::from_secs(1);

/// Runs what `make` makes in a task of its own, and another one should it panic, until one ends or
/// nothing is made. Dropping this ends the task.
pub(crate) async fn supervise<F>(what: String, make: impl Fn() -> Option<F>)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Some(task) = make() {
        let Err(error) = AbortOnDropHandle::new(tokio::spawn(task)).await else {
            return;
        };
        tracing::error!(%error, "{what} failed and is replaced");
        sleep(REPLACE).await;
    }
}
