use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Goes off when something has stood still for a whole period. Costs nothing until it has to be waited for.
pub(crate) struct IdleAlarm {
    limit: Duration,
    moved: bool,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl IdleAlarm {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            moved: false,
            alarm: None,
        }
    }

    /// It has moved.
    pub(crate) fn step(&mut self) {
        self.moved = true;
    }

    /// To be asked whenever it does not move. Ends between one and two periods after the last step.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let alarm = self.alarm.get_or_insert_with(|| {
            self.moved = false;
            Box::pin(sleep(limit))
        });
        loop {
            ready!(alarm.as_mut().poll(context));
            if !std::mem::take(&mut self.moved) {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(Instant::now() + limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const LIMIT: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn it_goes_off_when_nothing_moves() {
        let mut alarm = IdleAlarm::new(LIMIT);
        let begun = Instant::now();
        poll_fn(|context| alarm.poll(context)).await;
        assert!(begun.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn a_step_puts_it_off() {
        let mut alarm = IdleAlarm::new(LIMIT);
        let begun = Instant::now();
        let mut first = true;
        poll_fn(|context| {
            let rings = alarm.poll(context);
            if std::mem::take(&mut first) {
                alarm.step();
            }
            rings
        })
        .await;
        assert!(begun.elapsed() >= LIMIT * 2);
    }
}
