//! Watches with a moved clock and a prober that says what it is told to.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, advance, timeout},
};

use super::{
    Health, HealthKind, HealthSettings, ProbeTarget, Prober, SignedAge, Watch,
    fake::{Answer, Asked, FakeProber},
};

const PORT: u16 = 1;
const S: Duration = Duration::from_secs(1);

struct World {
    prober: Arc<FakeProber>,
    changed: Arc<Notify>,
    watch: Watch,
    began: Instant,
}

fn watch(answer: Answer, settings: &HealthSettings, age: SignedAge) -> World {
    let prober = Arc::new(FakeProber::default());
    prober.answer(PORT, answer);
    let changed = Arc::new(Notify::new());
    let target = ProbeTarget::new("127.0.0.1", PORT, settings);
    let asked = Arc::clone(&prober) as Arc<dyn Prober>;
    World {
        watch: Watch::start(asked, target, settings, age, Arc::clone(&changed)),
        prober,
        changed,
        began: Instant::now(),
    }
}

fn fresh(answer: Answer) -> World {
    watch(answer, &HealthSettings::default(), SignedAge::ZERO)
}

impl World {
    /// Waits for the next change, and tells when it came and to what.
    async fn change(&self) -> (Duration, Health) {
        self.changed.notified().await;
        (self.began.elapsed(), self.watch.latest().health)
    }

    async fn is_quiet_for(&self, time: Duration) -> bool {
        timeout(time, self.changed.notified()).await.is_err()
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_comes_up_is_seen_within_a_twentieth_of_its_start() {
    let world = fresh(Answer::Fails("connection refused"));
    assert_eq!(world.watch.latest().health, Health::Starting);
    assert!(world.is_quiet_for(4 * S).await);
    let in_vain = world.prober.asked().len();
    world.prober.answer(PORT, Answer::Ready(HealthKind::Meteor));
    let (at, health) = world.change().await;
    assert_eq!(health, Health::Healthy);
    assert!(at <= 4 * S + Duration::from_millis(220), "{at:?}");
    // The first regular probe can come right after the one that succeeded.
    let asked = world.prober.asked();
    assert!(asked[..=in_vain].iter().all(|asked| asked.thorough));
}

#[tokio::test(start_paused = true)]
async fn a_ready_app_is_asked_plainly_at_intervals_and_wakes_nobody() {
    let world = fresh(Answer::Ready(HealthKind::Meteor));
    assert_eq!(world.change().await, (Duration::ZERO, Health::Healthy));
    assert!(world.is_quiet_for(601 * S).await);
    let asked = world.prober.asked();
    assert!((61..=62).contains(&asked.len()), "{}", asked.len());
    let first = Asked {
        port: PORT,
        kind: HealthKind::Auto,
        thorough: true,
    };
    let later = Asked {
        kind: HealthKind::Meteor,
        thorough: false,
        ..first
    };
    assert_eq!(asked[0], first);
    assert!(asked[1..].iter().all(|asked| *asked == later));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_ceases_to_answer_is_unhealthy_soon_and_healthy_again_by_a_thorough_probe() {
    let world = fresh(Answer::Ready(HealthKind::Meteor));
    world.change().await;
    world
        .prober
        .answer(PORT, Answer::Fails("connection refused"));
    let (at, health) = world.change().await;
    assert_eq!(health, Health::Unhealthy);
    assert!(at <= 13 * S, "{at:?}");
    assert_eq!(world.watch.latest().answer, "connection refused");
    world
        .prober
        .answer(PORT, Answer::Fails("GET / answered 502"));
    assert!(world.is_quiet_for(2 * S).await, "no news of the health");
    assert_eq!(world.watch.latest().answer, "GET / answered 502");
    world.prober.answer(PORT, Answer::Ready(HealthKind::Meteor));
    assert_eq!(world.change().await.1, Health::Healthy);
    assert!(world.prober.asked().last().unwrap().thorough);
}

#[tokio::test(start_paused = true)]
async fn the_start_period_ends_on_time_even_while_a_probe_hangs() {
    let settings = HealthSettings {
        timeout: 60 * S,
        start_period: 10 * S,
        ..HealthSettings::default()
    };
    let world = watch(Answer::Hangs, &settings, SignedAge::from_secs(4));
    let (at, health) = world.change().await;
    assert_eq!((at, health), (6 * S, Health::Unhealthy));
    assert_eq!(
        world.watch.latest().answer,
        "no answer within the start period of 10 s"
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_whose_clock_is_ahead_takes_nothing_from_the_start_period() {
    let settings = HealthSettings::default();
    let world = watch(Answer::Fails("no"), &settings, SignedAge::from_secs(-900));
    assert_eq!(world.change().await, (120 * S, Health::Unhealthy));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_already_is_asked_at_once() {
    let settings = HealthSettings::default();
    let hour = SignedAge::from_hours(1);
    let world = watch(Answer::Ready(HealthKind::Http), &settings, hour);
    assert_eq!(world.change().await, (Duration::ZERO, Health::Healthy));
    let world = watch(Answer::Fails("no"), &settings, hour);
    assert_eq!(world.change().await, (2 * S, Health::Unhealthy));
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_hangs_or_panics_does_not_end_the_watch() {
    let world = fresh(Answer::Hangs);
    world.prober.asked_times(2).await;
    assert_eq!(world.watch.latest().answer, "no answer within 5 s");
    world.prober.answer(PORT, Answer::Panics);
    world.prober.asked_times(4).await;
    assert_eq!(world.watch.latest().answer, "the probe failed");
    world.prober.answer(PORT, Answer::Ready(HealthKind::Tcp));
    assert_eq!(world.change().await.1, Health::Healthy);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_asked_is_not_asked() {
    let settings = HealthSettings {
        kind: HealthKind::None,
        ..HealthSettings::default()
    };
    let world = watch(Answer::Ready(HealthKind::Http), &settings, SignedAge::ZERO);
    assert!(world.is_quiet_for(500 * S).await);
    assert!(world.prober.asked().is_empty());
    assert_eq!(world.watch.latest().health, Health::None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_after_the_watch_was_dropped() {
    let world = fresh(Answer::Fails("no"));
    world.prober.asked_times(3).await;
    drop(world.watch);
    let asked = world.prober.asked().len();
    advance(100 * S).await;
    tokio::task::yield_now().await;
    assert_eq!(world.prober.asked().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn apps_that_were_started_together_are_not_asked_together_but_some_at_a_time() {
    let worlds: Vec<World> = (0..50)
        .map(|_| fresh(Answer::Ready(HealthKind::Http)))
        .collect();
    let mut second = Vec::new();
    for world in &worlds {
        world.prober.asked_times(1).await;
    }
    for tenth in 1..=100 {
        advance(S / 10).await;
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        let asked = worlds.iter().filter(|w| w.prober.asked().len() > 1);
        second.push((tenth, asked.count()));
    }
    let by_half = second[49].1;
    assert!((5..=45).contains(&by_half), "{second:?}");
    assert_eq!(second.last().unwrap().1, 50, "{second:?}");
    let times = second.windows(2).filter(|pair| pair[0].1 < pair[1].1);
    assert!(times.count() <= 21, "{second:?}");
}
