//! From what probes come to, to whether an app is healthy, and when to ask next.

use std::time::{Duration, Instant};

use super::{Health, HealthKind, HealthSettings, Probed, in_words};

/// So many failures in a row make a healthy app unhealthy.
pub(super) const ENOUGH: u32 = 3;
/// Least and most time between two probes of an app that starts.
pub(super) const STARTING: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_secs(1));
/// Least time between two probes of an app that has ceased to answer.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// What goes on for long is looked at less often: after this part of the time it goes on already.
const PART: u32 = 20;
/// Longest answer that is kept, in characters.
const MAX_ANSWER: usize = 300;

/// The state of one run. Time and chance are arguments.
#[derive(Debug)]
pub(super) struct Machine {
    /// When the run was watched first.
    watched: Instant,
    /// How old it was then.
    age: Duration,
    /// When it has to be ready, unless that was before it was watched.
    ready_by: Option<Instant>,
    interval: Duration,
    start_period: Duration,
    /// Part of the interval after which it is asked again once it is ready, from 0 to 1, so that
    /// apps that were started together are not asked together.
    phase: f64,
    /// Whether it was asked again since it is healthy.
    in_phase: bool,
    probed: Probed,
}

impl Machine {
    pub(super) fn new(settings: &HealthSettings, age: Duration, phase: f64, now: Instant) -> Self {
        let left = settings.start_period.checked_sub(age);
        Self {
            watched: now,
            age,
            ready_by: left.filter(|left| !left.is_zero()).map(|left| now + left),
            interval: settings.interval,
            start_period: settings.start_period,
            phase: phase.clamp(0.0, 1.0),
            in_phase: false,
            probed: Probed {
                health: match settings.kind {
                    HealthKind::None => Health::None,
                    _ => Health::Starting,
                },
                since: now,
                answer: String::new(),
                failures: 0,
                kind: None,
            },
        }
    }

    pub(super) fn probed(&self) -> &Probed {
        &self.probed
    }

    /// When to call [`Self::handle_ready_by`], whatever happens until then.
    pub(super) fn ready_by(&self) -> Option<Instant> {
        self.ready_by
    }

    /// Whether the next probe is to ask for everything: until the app is ready, and after failures.
    pub(super) fn is_thorough(&self) -> bool {
        self.probed.health != Health::Healthy || self.probed.failures > 0
    }

    /// How long to wait before the next probe, from the end of the last one on.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let run = self.age + now.saturating_duration_since(self.watched);
        let unchanged = now.saturating_duration_since(self.probed.since);
        match (self.probed.health, self.ready_by) {
            (Health::Starting, Some(_)) => (run / PART).clamp(STARTING.0, STARTING.1),
            (Health::Starting, None) => RETRY,
            (Health::Unhealthy, _) => (unchanged / PART).clamp(RETRY, self.interval.max(RETRY)),
            (Health::Healthy, _) if self.probed.failures > 0 => RETRY,
            (Health::Healthy, _) if !self.in_phase => self.interval.mul_f64(self.phase),
            (Health::Healthy | Health::None, _) => self.interval,
        }
    }

    /// Enters what a probe came to; true when the health is another one now.
    pub(super) fn handle_answer(
        &mut self,
        answer: Result<HealthKind, String>,
        now: Instant,
    ) -> bool {
        match answer {
            Ok(kind) => self.succeeded(kind, now),
            Err(why) => self.failed(&why, now),
        }
    }

    /// The start period is over; true when the health is another one now.
    pub(super) fn handle_ready_by(&mut self, now: Instant) -> bool {
        let is_over = self.ready_by.is_some_and(|ready_by| now >= ready_by);
        if !is_over || self.probed.health != Health::Starting {
            return false;
        }
        if self.probed.failures == 0 {
            let period = in_words(self.start_period);
            self.probed.answer = format!("no answer within the start period of {period}");
        }
        self.become_(Health::Unhealthy, now)
    }

    fn succeeded(&mut self, kind: HealthKind, now: Instant) -> bool {
        let probed = &mut self.probed;
        let is_known = probed.kind == Some(kind) && probed.failures == 0;
        if !is_known {
            kind_in_words(kind).clone_into(&mut probed.answer);
        }
        probed.kind = Some(kind);
        probed.failures = 0;
        self.in_phase = probed.health == Health::Healthy;
        self.become_(Health::Healthy, now)
    }

    fn failed(&mut self, why: &str, now: Instant) -> bool {
        self.probed.answer = why.chars().take(MAX_ANSWER).collect();
        self.probed.failures = self.probed.failures.saturating_add(1);
        let is_enough = match (self.probed.health, self.ready_by) {
            (Health::Starting, Some(ready_by)) => now >= ready_by,
            _ => self.probed.failures >= ENOUGH,
        };
        is_enough && self.become_(Health::Unhealthy, now)
    }

    fn become_(&mut self, health: Health, now: Instant) -> bool {
        let is_news = self.probed.health != health;
        if is_news {
            self.probed.health = health;
            self.probed.since = now;
        }
        is_news
    }
}

fn kind_in_words(kind: HealthKind) -> &'static str {
    match kind {
        HealthKind::Meteor => "answers DDP",
        HealthKind::Http => "answers HTTP",
        HealthKind::Tcp => "takes connections",
        HealthKind::Auto | HealthKind::None => "answers",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn machine(age: Duration) -> (Machine, Instant) {
        let now = Instant::now();
        (Machine::new(&HealthSettings::default(), age, 0.5, now), now)
    }

    fn refused() -> Result<HealthKind, String> {
        Err("connection refused".into())
    }

    fn seen(machine: &Machine) -> (Health, u32, &str) {
        let probed = machine.probed();
        (probed.health, probed.failures, probed.answer.as_str())
    }

    #[test]
    fn an_app_that_starts_is_asked_quickly_then_less_quickly() {
        let (mut machine, begin) = machine(Duration::ZERO);
        for (after, wait) in [(0, 50), (1_000, 50), (6_000, 300), (60_000, 1_000)] {
            let now = begin + Duration::from_millis(after);
            assert!(!machine.handle_answer(refused(), now) && machine.is_thorough());
            assert_eq!(machine.wait(now), Duration::from_millis(wait));
        }
        assert_eq!(seen(&machine), (Health::Starting, 4, "connection refused"));
    }

    #[test]
    fn the_first_success_makes_it_healthy_and_probes_plain_and_rare() {
        let (mut machine, begin) = machine(Duration::ZERO);
        machine.handle_answer(refused(), begin);
        assert!(machine.handle_answer(Ok(HealthKind::Meteor), begin + S));
        assert_eq!(seen(&machine), (Health::Healthy, 0, "answers DDP"));
        assert_eq!(machine.probed().since, begin + S);
        assert!(!machine.is_thorough());
        assert_eq!(machine.wait(begin + S), 5 * S, "its phase");
        assert!(!machine.handle_answer(Ok(HealthKind::Meteor), begin + 6 * S));
        assert_eq!(machine.wait(begin + 6 * S), 10 * S);
        assert_eq!(machine.probed().since, begin + S);
    }

    #[test]
    fn three_failures_in_a_row_make_it_unhealthy_even_within_the_start_period() {
        let (mut machine, begin) = machine(Duration::ZERO);
        machine.handle_answer(Ok(HealthKind::Http), begin);
        for _ in 0..2 {
            assert!(!machine.handle_answer(refused(), begin + S));
            assert!(!machine.handle_answer(refused(), begin + S));
            assert!(machine.is_thorough());
            assert_eq!(machine.wait(begin + S), RETRY);
            assert!(!machine.handle_answer(Ok(HealthKind::Http), begin + S));
            assert_eq!(seen(&machine), (Health::Healthy, 0, "answers HTTP"));
        }
        machine.handle_answer(refused(), begin + S);
        machine.handle_answer(refused(), begin + S);
        assert!(machine.handle_answer(refused(), begin + 2 * S));
        assert_eq!(seen(&machine), (Health::Unhealthy, 3, "connection refused"));
        assert!(!machine.handle_answer(Err("GET / answered 502".into()), begin + 3 * S));
        assert_eq!(seen(&machine), (Health::Unhealthy, 4, "GET / answered 502"));
        assert_eq!(machine.probed().since, begin + 2 * S);
        assert!(machine.handle_answer(Ok(HealthKind::Http), begin + 4 * S));
    }

    #[test]
    fn the_end_of_the_start_period_decides_once() {
        let (mut machine, begin) = machine(100 * S);
        assert_eq!(machine.ready_by(), Some(begin + 20 * S));
        machine.handle_answer(refused(), begin);
        assert!(!machine.handle_ready_by(begin + 19 * S));
        assert!(machine.handle_ready_by(begin + 20 * S));
        assert!(!machine.handle_ready_by(begin + 21 * S));
        assert_eq!(seen(&machine), (Health::Unhealthy, 1, "connection refused"));
    }

    #[test]
    fn a_ready_app_does_not_mind_the_end_of_the_start_period() {
        let (mut machine, begin) = machine(Duration::ZERO);
        machine.handle_answer(Ok(HealthKind::Tcp), begin);
        assert!(!machine.handle_ready_by(begin + 200 * S));
        assert_eq!(seen(&machine), (Health::Healthy, 0, "takes connections"));
    }

    #[test]
    fn an_app_that_never_answered_at_all_is_told_so() {
        let (mut machine, begin) = machine(Duration::ZERO);
        assert!(machine.handle_ready_by(begin + 120 * S));
        assert_eq!(
            seen(&machine).2,
            "no answer within the start period of 120 s"
        );
    }

    #[test]
    fn an_old_run_has_three_attempts() {
        let (mut machine, begin) = machine(500 * S);
        assert_eq!(machine.ready_by(), None);
        assert!(!machine.handle_answer(refused(), begin));
        assert_eq!(machine.wait(begin), RETRY);
        assert!(!machine.handle_answer(refused(), begin));
        assert!(machine.handle_answer(refused(), begin));
    }

    #[test]
    fn an_app_that_is_unhealthy_for_long_is_asked_at_the_interval() {
        let (mut machine, begin) = machine(Duration::ZERO);
        machine.handle_ready_by(begin + 120 * S);
        for (later, wait) in [(0, 1), (60, 3), (1_000, 10)] {
            let now = begin + (120 + later) * S;
            assert_eq!(machine.wait(now), wait * S);
        }
    }

    #[test]
    fn long_answers_are_cut() {
        let (mut machine, begin) = machine(Duration::ZERO);
        machine.handle_answer(Err("ü".repeat(1_000)), begin);
        assert_eq!(seen(&machine).2.chars().count(), MAX_ANSWER);
    }
}
