use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// The tasks of one [`Proxy::run`](crate::Proxy::run), and how they end: first asked, then cut.
#[derive(Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    draining: CancellationToken,
    closing: CancellationToken,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        let (draining, closing) = (CancellationToken::new(), CancellationToken::new());
        Self {
            tracker: TaskTracker::new(),
            draining,
            closing,
        }
    }

    /// Cuts all tasks when dropped, so that they do not outlive a `run` that is itself dropped.
    pub(crate) fn cut_on_drop(&self) -> DropGuard {
        self.closing.clone().drop_guard()
    }

    /// Runs `task` until it ends or is cut.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let closed = Cancelled::new(&self.closing);
        self.tracker.spawn(UntilClosed { task, closed });
    }

    /// Ends when the tasks are asked to end. To be polled by one task.
    pub(crate) fn draining(&self) -> impl Future<Output = ()> + use<> {
        Cancelled::new(&self.draining)
    }

    /// Asks all tasks to end, cuts those that have not after `drain`, and waits for the last.
    pub(crate) async fn finish(&self, drain: Duration) {
        self.draining.cancel();
        self.tracker.close();
        if tokio::time::timeout(drain, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::info!(
                tasks = self.tracker.len(),
                "cutting what has not ended in time"
            );
            self.closing.cancel();
            self.tracker.wait().await;
        }
    }
}

pin_project! {
    /// Ends when a token is cancelled. Whoever polls it is always the same task, so that its waker need not be looked
    /// at again, which costs more than to ask the token.
    struct Cancelled {
        token: CancellationToken,
        #[pin]
        wait: WaitForCancellationFutureOwned,
        waits: bool,
    }
}

impl Cancelled {
    fn new(token: &CancellationToken) -> Self {
        Self {
            token: token.clone(),
            wait: token.clone().cancelled_owned(),
            waits: false,
        }
    }
}

impl Future for Cancelled {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if !std::mem::replace(this.waits, true) {
            return this.wait.poll(context);
        }
        match this.token.is_cancelled() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

pin_project! {
    /// A task that can be cut. An `async` block would have room for the task thrice, and there is one of
    /// these for each connection.
    struct UntilClosed<T> {
        #[pin]
        task: T,
        #[pin]
        closed: Cancelled,
    }
}

impl<T: Future<Output = ()>> Future for UntilClosed<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.closed.poll(context).is_ready() {
            return Poll::Ready(());
        }
        this.task.poll(context)
    }
}
