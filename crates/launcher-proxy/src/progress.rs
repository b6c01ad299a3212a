use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::alarm::Alarm;

/// Counts the steps of something long, so that slowness can be told from silence.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<AtomicUsize>);

impl Progress {
    pub(crate) fn step(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Waits for `event` as long as there are steps, and then until a whole period of `limit` has
    /// passed without one. `None` if that was not long enough.
    pub(crate) async fn in_time<T>(
        &self,
        limit: Duration,
        event: impl Future<Output = T>,
    ) -> Option<T> {
        let mut alarm = Alarm::default();
        self.in_time_by(limit, &mut alarm, event).await
    }

    /// The same with a timer that is there already.
    pub(crate) async fn in_time_by<T>(
        &self,
        limit: Duration,
        alarm: &mut Alarm,
        event: impl Future<Output = T>,
    ) -> Option<T> {
        let mut event = pin!(event);
        let (mut steps, mut until) = (self.steps(), Instant::now() + limit);
        poll_fn(|context| {
            if let Poll::Ready(event) = event.as_mut().poll(context) {
                return Poll::Ready(Some(event));
            }
            loop {
                ready!(alarm.poll(until, context));
                let steps_before = std::mem::replace(&mut steps, self.steps());
                if steps == steps_before {
                    return Poll::Ready(None);
                }
                until = Instant::now() + limit;
            }
        })
        .await
    }

    fn steps(&self) -> usize {
        self.0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn silence_is_cut() {
        let progress = Progress::default();
        assert_eq!(
            progress.in_time(LIMIT, std::future::pending::<()>()).await,
            None
        );
    }

    #[tokio::test]
    async fn slowness_is_not() {
        let progress = Progress::default();
        let slow = async {
            for _ in 0..10 {
                tokio::time::sleep(LIMIT / 2).await;
                progress.step();
            }
        };
        assert_eq!(progress.in_time(LIMIT, slow).await, Some(()));
    }
}
