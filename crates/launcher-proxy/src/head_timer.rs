use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use parking_lot::Mutex;

use crate::alarm::Alarm;
use crate::config::Config;

/// The timer of one client connection. hyper starts it when it begins to wait for a request head and
/// drops it when it has one, so on its own it cannot tell an idle client from one that sends its head
/// slowly. This one can: it sleeps for the idle time, and from the first byte on for the header time.
pub(crate) struct HeadTimer {
    idle_keep_alive: Duration,
    header_read: Duration,
    /// Until when the first head must be there: on a new connection there is no idle time.
    first: Instant,
    /// Until the timer is first started.
    new: AtomicBool,
    phase: Arc<Phase>,
}

/// What hyper is about on one connection.
#[derive(Default)]
pub(crate) struct Phase {
    /// Set on every read, cleared when the timer is started.
    head_begun: AtomicBool,
    /// Set when a head has come whole, cleared when the next is awaited.
    answering: AtomicBool,
    alarm: Mutex<Alarm>,
}

impl Phase {
    pub(crate) fn bytes_came(&self) {
        self.head_begun.store(true, Relaxed);
    }

    fn poll_alarm(&self, until: tokio::time::Instant, context: &mut Context<'_>) -> Poll<()> {
        self.alarm.lock().poll(until, context)
    }

    /// Whether a request has come whose answer has not been written to its end.
    pub(crate) fn is_answering(&self) -> bool {
        self.answering.load(Relaxed)
    }
}

impl HeadTimer {
    /// The timer of a connection that was accepted at `since`.
    pub(crate) fn new(since: Instant, config: &Config) -> Self {
        Self {
            idle_keep_alive: config.idle_keep_alive,
            header_read: config.header_read,
            first: since + config.header_read,
            new: AtomicBool::new(true),
            phase: Arc::default(),
        }
    }

    pub(crate) fn phase(&self) -> Arc<Phase> {
        Arc::clone(&self.phase)
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        self.phase.head_begun.store(false, Relaxed);
        self.phase.answering.store(false, Relaxed);
        let new = self.new.swap(false, Relaxed);
        let until = if new {
            self.first
        } else {
            Instant::now() + self.idle_keep_alive
        };
        Box::pin(HeadSleep {
            until: until.into(),
            header_read: (!new).then_some(self.header_read),
            phase: self.phase(),
        })
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(Duration::ZERO)
    }
}

struct HeadSleep {
    until: tokio::time::Instant,
    /// What the first byte leaves for the rest; taken when it has come.
    header_read: Option<Duration>,
    phase: Arc<Phase>,
}

impl Sleep for HeadSleep {}

impl Drop for HeadSleep {
    fn drop(&mut self) {
        self.phase.answering.store(true, Relaxed);
    }
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.phase.head_begun.load(Relaxed)
            && let Some(time) = self.header_read.take()
        {
            self.until = tokio::time::Instant::now() + time;
        }
        self.phase.poll_alarm(self.until, context)
    }
}
