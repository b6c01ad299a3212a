//! Whatever an app answers, and however time passes: what the machine promises.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    Health, HealthKind, HealthSettings,
    machine::{ENOUGH, Machine, RETRY, STARTING},
};

/// What happens at one probe.
#[derive(Clone, Copy, Debug)]
struct Event {
    ready: bool,
    /// How long the probe takes, in ms.
    takes: u64,
}

fn settings() -> impl Strategy<Value = HealthSettings> {
    (1_000_u64..60_000, 0_u64..30_000).prop_map(|(interval, start_period)| HealthSettings {
        interval: Duration::from_millis(interval),
        start_period: Duration::from_millis(start_period),
        ..HealthSettings::default()
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event =
        (prop::bool::weighted(0.4), 0_u64..5_000).prop_map(|(ready, takes)| Event { ready, takes });
    prop::collection::vec(event, 1..120)
}

proptest! {
    #[test]
    fn promises_hold(
        settings in settings(),
        age in 0_u64..60_000,
        phase in 0.0..=1.0_f64,
        events in events(),
    ) {
        let begin = Instant::now();
        let mut now = begin;
        let mut machine = Machine::new(&settings, Duration::from_millis(age), phase, now);
        let ready_by = machine.ready_by();
        prop_assert_eq!(ready_by.is_some(), Duration::from_millis(age) < settings.start_period);
        let (mut in_a_row, mut was_ready, mut is_over) = (0, false, false);
        for event in events {
            let before = machine.probed().clone();
            prop_assert_eq!(machine.is_thorough(), before.health != Health::Healthy || in_a_row > 0);

            // The end of the start period comes on time, whatever the probe does meanwhile.
            let end = now + Duration::from_millis(event.takes);
            let comes = |ready_by: &Instant| !is_over && (now..=end).contains(ready_by);
            if let Some(ready_by) = ready_by.filter(comes) {
                let became = machine.handle_ready_by(ready_by);
                is_over = true;
                prop_assert_eq!(became, !was_ready);
                prop_assert!(was_ready || machine.probed().health == Health::Unhealthy);
            }
            now = end;
            let before = machine.probed().clone();
            let answer = if event.ready { Ok(HealthKind::Http) } else { Err("no".to_owned()) };
            let is_news = machine.handle_answer(answer, now);
            in_a_row = if event.ready { 0 } else { in_a_row + 1 };
            was_ready |= event.ready;

            let probed = machine.probed();
            prop_assert_eq!(is_news, probed.health != before.health);
            prop_assert_eq!(probed.since, if is_news { now } else { before.since });
            prop_assert_eq!(probed.failures, in_a_row);
            prop_assert_eq!(probed.kind.is_some(), was_ready);
            prop_assert!(!event.ready || probed.health == Health::Healthy);
            match (before.health, probed.health) {
                (Health::Healthy, Health::Unhealthy) => prop_assert_eq!(in_a_row, ENOUGH),
                (Health::Healthy, Health::Healthy) => prop_assert!(in_a_row < ENOUGH),
                (Health::Starting, Health::Unhealthy) => {
                    prop_assert!(ready_by.is_none() && in_a_row == ENOUGH);
                }
                (Health::Starting, Health::Starting) => {
                    prop_assert!(ready_by.is_none_or(|ready_by| now < ready_by));
                }
                (Health::Unhealthy, Health::Unhealthy) | (_, Health::Healthy) => {}
                (from, to) => prop_assert!(false, "{from:?} to {to:?}"),
            }
            let wait = machine.wait(now);
            let most = match probed.health {
                Health::Starting => STARTING.1.max(RETRY),
                _ => settings.interval.max(RETRY),
            };
            prop_assert!(wait <= most, "{wait:?}");
            let is_phase = probed.health == Health::Healthy && is_news;
            prop_assert!(is_phase || wait >= STARTING.0, "{wait:?}");
            let comes = |ready_by: &Instant| !is_over && (now..=now + wait).contains(ready_by);
            if let Some(ready_by) = ready_by.filter(comes) {
                prop_assert_eq!(machine.handle_ready_by(ready_by), !was_ready);
                is_over = true;
            }
            now += wait;
        }
    }
}
