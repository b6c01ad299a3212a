use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// A handler panicked. The panic hook has already said where.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Runs a handler as far as it comes without waiting, and the rest in a task of its own: most
/// handlers never wait, and a task costs more than they do.
pub(crate) fn start(handler: impl Future<Output = ()> + Send + 'static) {
    let mut handler = Box::pin(handler);
    if handler.as_mut().now_or_never().is_none() {
        tokio::spawn(handler);
    }
}

/// Runs a handler so that its panic ends nothing but itself.
pub(crate) async fn guarded<F: Future>(handler: F) -> Result<F::Output, Panicked> {
    // what a handler left half done is behind the locks of the application, as with any panic
    AssertUnwindSafe(handler)
        .catch_unwind()
        .await
        .map_err(|_payload| Panicked)
}

/// Calls back into the application in the same way.
pub(crate) fn caught<R>(callback: impl FnOnce() -> R) -> Result<R, Panicked> {
    std::panic::catch_unwind(AssertUnwindSafe(callback)).map_err(|_payload| Panicked)
}
