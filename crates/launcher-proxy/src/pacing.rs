//! Lets the upgraded connections of an upstream that leaves, and its SockJS sessions over HTTP, go one by one, so that
//! their clients come back a few at a time.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use crate::upstream::Upstream;

/// Ends them evenly within `period`, those first through which nothing has come for the longest time. Stops when
/// nothing is open any more, or when the upstream serves again.
pub(crate) fn begin(upstream: Upstream, period: Duration) {
    // Without a runtime nothing is open.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(end_all(upstream, period));
    }
}

async fn end_all(upstream: Upstream, period: Duration) {
    let end = Instant::now() + period.mul_f64(SHARE);
    let mut last = Instant::now();
    while !upstream.is_serving() && upstream.is_in_use() {
        upstream.sockets().ask_silent();
        let (now, staying) = (Instant::now(), upstream.sockets().staying());
        let due = last + gap(staying, end.saturating_duration_since(now));
        if staying > 0 && due <= now {
            upstream.sockets().ask_idlest();
            last = now;
        } else {
            sleep_until(due.clamp(now + SHORTEST, now + LONGEST)).await;
        }
    }
}

/// The time between two of so many that are left.
fn gap(staying: usize, left: Duration) -> Duration {
    left / u32::try_from(staying.max(1)).unwrap_or(u32::MAX)
}

/// The last ones need time to take leave.
const SHARE: f64 = 0.95;

/// As often as that is looked whether it still has to go, and how many are left.
const LONGEST: Duration = Duration::from_millis(200);

/// What timers can tell apart.
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(30);

    /// How many of so many are asked in each second of the period.
    fn asked_in_each_second(number: usize) -> Vec<usize> {
        let (mut passed, mut seconds) = (Duration::ZERO, vec![0; 31]);
        for staying in (1..=number).rev() {
            passed += gap(staying, PERIOD.saturating_sub(passed));
            seconds[passed.as_secs().min(30) as usize] += 1;
        }
        seconds
    }

    #[test]
    fn many_go_evenly() {
        for number in [60, 500, 5_000] {
            let seconds = asked_in_each_second(number);
            let most = seconds.iter().max().copied().unwrap();
            assert!(most <= 2 * number / 30, "{most} of {number} in one second");
            assert_eq!(seconds.iter().sum::<usize>(), number);
        }
    }

    #[test]
    fn few_take_their_time() {
        assert_eq!(gap(1, PERIOD), PERIOD);
        assert_eq!(gap(3, PERIOD), PERIOD / 3);
        assert_eq!(gap(0, Duration::ZERO), Duration::ZERO);
    }
}
