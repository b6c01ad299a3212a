use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// One timer for all that is waited for on a connection, one after the other. It may go off too early, never too
/// late: then it is set anew, which happens once in a while, instead of with each request.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    pub(crate) fn poll(&mut self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        let alarm = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if alarm.deadline() > until {
            alarm.as_mut().reset(until);
        }
        ready!(alarm.as_mut().poll(context));
        if alarm.deadline() >= until {
            return Poll::Ready(());
        }
        alarm.as_mut().reset(until);
        alarm.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn it_goes_off_when_it_is_time_whatever_it_was_set_to_before() {
        let (mut alarm, begin) = (Alarm::default(), Instant::now());
        let far = begin + Duration::from_secs(3600);
        let now = poll_fn(|context| Poll::Ready(alarm.poll(far, context)));
        assert!(now.await.is_pending());
        for until in [begin + TICK, begin + TICK * 4, begin + TICK * 2] {
            poll_fn(|context| alarm.poll(until, context)).await;
            assert!(Instant::now() >= until);
        }
        assert!(Instant::now() < far);
    }
}
