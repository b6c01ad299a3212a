use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::upstream::Upstream;

/// How an upstream that begins to serve takes those who come to stay: who asks for `/sockjs/info`, or for an
/// upgrade as WebSockets do. All other requests, and those of SockJS sessions that it has, pass at any time.
///
/// It is held back only while it answers them slowly: when an answer took, or takes, longer than [`slow`](Self::slow),
/// for a second after that; or when more of them wait for their answer than it can be expected to answer in that time.
/// Then they pass at a rate, which doubles with each second of quick answers, up to twice their number, and falls in each
/// slow one to their number, by half at least. The rest are told 503, and when to come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// So many per second pass at first, and at least. Default: 50.
    pub first_rate: u32,
    /// For how long after it began to serve an upstream can be held back. Default: 60 s.
    pub lasts: Duration,
    /// The head of an answer that takes longer is slow. Default: 1 s.
    pub slow: Duration,
    /// So many can wait for their answer at the same time, and as many more as it answered in the last second. Those
    /// that find no place wait half a second for one. Default: 50.
    pub waiting: u32,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self {
            first_rate: 50,
            lasts: Duration::from_secs(60),
            slow: Duration::from_secs(1),
            waiting: 50,
        }
    }
}

/// How one upstream takes those who come to stay.
#[derive(Default)]
pub(crate) struct Admission {
    /// Whether there is something to ask: settled upstreams cost no lock.
    is_on: AtomicBool,
    state: Mutex<Option<State>>,
    /// Somebody was answered, or has given up.
    freed: Notify,
    /// Counts all who were admitted, so that those of an earlier time are not taken for others.
    admitted: AtomicU64,
}

/// What becomes of somebody who comes to stay.
pub(crate) enum Admitted {
    /// Absent where nothing is held back.
    Yes(Option<Newcomer>),
    /// There may be a place soon.
    Full,
    No,
}

/// Somebody who was admitted and has no answer yet.
pub(crate) struct Newcomer {
    upstream: Upstream,
    number: u64,
}

impl Admission {
    /// From now on the upstream is looked at.
    pub(crate) fn begin(&self, settings: &AdmissionSettings, now: Instant) {
        *self.state.lock() = Some(State::new(settings.clone(), now));
        self.is_on.store(true, Relaxed);
    }

    /// Whether one more may ask `upstream`, whose admission this is.
    pub(crate) fn admit(&self, upstream: &Upstream) -> Admitted {
        if !self.is_on.load(Relaxed) {
            return Admitted::Yes(None);
        }
        let (mut held, now) = (self.state.lock(), Instant::now());
        let Some(state) = held.as_mut().filter(|state| !state.is_over(now)) else {
            self.is_on.store(false, Relaxed);
            *held = None;
            return Admitted::Yes(None);
        };
        let number = self.admitted.fetch_add(1, Relaxed);
        match state.admit(number, now) {
            Verdict::Admitted => Admitted::Yes(Some(Newcomer {
                upstream: upstream.clone(),
                number,
            })),
            Verdict::Full => Admitted::Full,
            Verdict::Slow => Admitted::No,
        }
    }

    /// Ends when there may be a place.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn end(&self, number: u64, is_answered: bool) {
        if let Some(state) = &mut *self.state.lock() {
            state.end(number, is_answered, Instant::now());
        }
        self.freed.notify_one();
    }
}

impl Newcomer {
    /// The head of the answer is there.
    pub(crate) fn answered(self) {
        self.upstream.admission().end(self.number, true);
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        // Does nothing for one who was answered.
        self.upstream.admission().end(self.number, false);
    }
}

struct State {
    settings: AdmissionSettings,
    began: Instant,
    /// Those without an answer, and since when: the oldest first.
    waiting: BTreeMap<u64, Instant>,
    rate: f64,
    tokens: f64,
    filled: Instant,
    /// When `this` second began.
    second: Instant,
    this: Second,
    last: Second,
}

/// What a second was like.
#[derive(Default, Clone, Copy)]
struct Second {
    answered: usize,
    is_slow: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Admitted,
    Full,
    Slow,
}

impl State {
    fn new(settings: AdmissionSettings, now: Instant) -> Self {
        let rate = f64::from(settings.first_rate);
        Self {
            settings,
            began: now,
            waiting: BTreeMap::new(),
            rate,
            tokens: rate,
            filled: now,
            second: now,
            this: Second::default(),
            last: Second::default(),
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= self.settings.lasts
    }

    fn admit(&mut self, number: u64, now: Instant) -> Verdict {
        self.pass_to(now);
        let (is_slow, is_full) = (self.is_slow(), self.is_full());
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
        } else if is_slow {
            return Verdict::Slow;
        } else if is_full {
            return Verdict::Full;
        }
        self.waiting.insert(number, now);
        Verdict::Admitted
    }

    fn end(&mut self, number: u64, is_answered: bool, now: Instant) {
        self.pass_to(now);
        let Some(since) = self.waiting.remove(&number) else {
            return;
        };
        let is_slow = now.duration_since(since) > self.settings.slow;
        self.this.is_slow |= is_slow;
        self.this.answered += usize::from(is_answered && !is_slow);
    }

    fn is_slow(&self) -> bool {
        self.this.is_slow || self.last.is_slow
    }

    fn is_full(&self) -> bool {
        let answered = self.this.answered.max(self.last.answered);
        self.waiting.len() >= self.settings.waiting as usize + answered
    }

    /// Time has passed.
    fn pass_to(&mut self, now: Instant) {
        let passed = now.duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + self.rate * passed).min(self.rate);
        self.filled = now;
        let oldest = self.waiting.values().next();
        let is_late = oldest.is_some_and(|since| now.duration_since(*since) > self.settings.slow);
        while now.duration_since(self.second) >= SECOND {
            self.second += SECOND;
            self.rate = self.next_rate();
            self.last = std::mem::take(&mut self.this);
        }
        self.this.is_slow |= is_late;
        if self.is_slow() {
            // What was saved up was for better times.
            self.tokens = self.tokens.min(self.first_rate());
        }
    }

    fn next_rate(&self) -> f64 {
        let answered = self.this.answered as f64;
        if self.this.is_slow {
            return answered.min(self.rate / 2.0).max(self.first_rate());
        }
        // What was not asked for shows nothing.
        self.rate.max((2.0 * answered).min(2.0 * self.rate))
    }

    fn first_rate(&self) -> f64 {
        f64::from(self.settings.first_rate)
    }
}

/// After how many seconds somebody who was not admitted is to come back: not all in the same.
pub(crate) fn come_back_after() -> u64 {
    static TURN: AtomicU64 = AtomicU64::new(0);
    1 + TURN.fetch_add(1, Relaxed) % LATEST_SECOND
}

/// How long somebody waits for a place.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

const LATEST_SECOND: u64 = 3;

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(5);

    /// A state, and a clock that only this moves.
    struct Case {
        state: State,
        begun: Instant,
        now: Instant,
        next: u64,
    }

    impl Case {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                state: State::new(AdmissionSettings::default(), now),
                begun: now,
                now,
                next: 0,
            }
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
        }

        fn come(&mut self) -> Verdict {
            self.next += 1;
            self.state.admit(self.next, self.now)
        }

        /// How many of so many who come at once are admitted, and what the others are told.
        fn storm(&mut self, number: usize) -> (usize, Option<Verdict>) {
            let verdicts: Vec<_> = (0..number).map(|_| self.come()).collect();
            let admitted = verdicts.iter().filter(|v| **v == Verdict::Admitted);
            let admitted = admitted.count();
            let other = verdicts.into_iter().find(|v| *v != Verdict::Admitted);
            (admitted, other)
        }

        fn answer_all(&mut self) {
            for number in 1..=self.next {
                self.state.end(number, true, self.now);
            }
        }

        /// A second in which so many come, each of whom is answered at once.
        fn quick_second(&mut self, number: usize) {
            for _ in 0..number {
                assert_eq!(self.come(), Verdict::Admitted);
                self.answer_all();
            }
            self.pass(SECOND);
        }
    }

    #[test]
    fn nobody_is_held_back_who_is_answered_quickly() {
        let mut case = Case::new();
        for _ in 0..100 {
            assert_eq!(case.storm(50), (50, None));
            case.pass(MOMENT);
            case.answer_all();
        }
        // What was answered in a second says how many will be answered in the next.
        assert_eq!(case.storm(5_000), (5_000, None));
    }

    #[test]
    fn an_upstream_that_answers_nothing_gets_its_first_rate() {
        let mut case = Case::new();
        assert_eq!(case.storm(5_000), (50, Some(Verdict::Full)));
        let mut admitted = 0;
        for _ in 0..10 {
            case.pass(SECOND);
            admitted += case.storm(5_000).0;
        }
        assert_eq!(admitted, 500);
        assert_eq!(case.come(), Verdict::Slow);
    }

    #[test]
    fn a_slow_answer_counts_for_a_second_or_two() {
        let mut case = Case::new();
        assert_eq!(case.come(), Verdict::Admitted);
        case.pass(SECOND + MOMENT);
        case.answer_all();
        assert_eq!(case.storm(100), (50, Some(Verdict::Slow)));
        case.answer_all();
        case.pass(SECOND);
        assert_eq!(case.storm(100), (50, Some(Verdict::Slow)));
        case.answer_all();
        case.pass(SECOND);
        assert_eq!(case.storm(100), (100, None));
    }

    #[test]
    fn the_rate_doubles_with_quick_seconds_as_far_as_they_were_used_and_falls_with_slow_ones() {
        let mut case = Case::new();
        let mut rates = Vec::new();
        for answered in [200, 200, 200, 10, 0, 1_000] {
            case.quick_second(answered);
            case.state.pass_to(case.now);
            rates.push(case.state.rate);
        }
        assert_eq!(rates, [100.0, 200.0, 400.0, 400.0, 400.0, 800.0]);
        rates.clear();
        for quick in [300, 300, 90, 0] {
            case.state.this = Second {
                answered: quick,
                is_slow: true,
            };
            case.pass(SECOND);
            case.state.pass_to(case.now);
            rates.push(case.state.rate);
        }
        assert_eq!(rates, [300.0, 150.0, 75.0, 50.0]);
    }

    #[test]
    fn who_gives_up_makes_room_and_says_nothing_good() {
        let mut case = Case::new();
        assert_eq!(case.storm(51), (50, Some(Verdict::Full)));
        case.pass(MOMENT);
        for number in 1..=50 {
            case.state.end(number, false, case.now);
        }
        assert_eq!(case.state.this.answered, 0);
        assert_eq!(case.storm(100), (50, Some(Verdict::Full)));
    }

    #[test]
    fn it_ends_for_good() {
        let mut case = Case::new();
        case.pass(Duration::from_secs(60));
        assert!(case.state.is_over(case.now));
        assert!(!case.state.is_over(case.begun + Duration::from_secs(59)));
    }

    #[test]
    fn a_settled_upstream_admits_all_and_one_that_begins_is_looked_at() {
        let upstream = Upstream::new("127.0.0.1", 1);
        let admit = || upstream.admission().admit(&upstream);
        assert!(matches!(admit(), Admitted::Yes(None)));
        let settings = AdmissionSettings {
            first_rate: 1,
            waiting: 1,
            ..AdmissionSettings::default()
        };
        upstream.admission().begin(&settings, Instant::now());
        let first = admit();
        assert!(matches!(first, Admitted::Yes(Some(_))));
        assert!(matches!(admit(), Admitted::Full));
        drop(first);
        assert!(matches!(admit(), Admitted::Yes(Some(_))));
        let long_ago = Instant::now().checked_sub(settings.lasts).unwrap();
        upstream.admission().begin(&settings, long_ago);
        assert!(matches!(admit(), Admitted::Yes(None)));
    }

    #[test]
    fn not_all_come_back_at_once() {
        let mut seconds: Vec<_> = (0..LATEST_SECOND).map(|_| come_back_after()).collect();
        seconds.sort_unstable();
        seconds.dedup();
        assert!(seconds.iter().all(|second| (1..=3).contains(second)));
        assert!(seconds.len() > 1);
    }
}
