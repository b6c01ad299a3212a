//! What is shown of one instance for as long as somebody watches it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{OnceCell, watch},
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    DAY, HOUR,
    document::{AppStats, StatsHour, StatsMinute},
    running::Running,
    sample,
};
use crate::{
    Change, InstanceView, Observer, Run, Traffic,
    engine::{ContainerStats, Engine},
    store::{Store, StoreError},
};

/// How often figures are told.
const PACE: Duration = Duration::from_secs(2);
/// How soon the second ones are, without which nothing is known of processors.
const SOON: Duration = Duration::from_millis(500);
/// How long the engine may take to tell them.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// Tells of an instance until it is closed.
pub(super) struct Live {
    instance: String,
    observer: Arc<dyn Observer>,
    loaded: OnceCell<()>,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    is_closed: bool,
    containers: Vec<String>,
    hours: BTreeMap<i64, StatsHour>,
}

impl Live {
    pub(super) fn new(instance: String, observer: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self {
            instance,
            observer,
            loaded: OnceCell::new(),
            shown: Mutex::default(),
        })
    }

    /// Tells of what the store has.
    pub(super) async fn load(&self, store: &dyn Store, now: i64) -> Result<(), StoreError> {
        let load = async || {
            let minutes = store.stats(&self.instance, now - DAY).await?;
            self.add(&minutes);
            Ok(())
        };
        self.loaded.get_or_try_init(load).await.copied()
    }

    /// Tells of minutes, and no more of those that are older than a day.
    pub(super) fn add(&self, minutes: &[(i64, StatsMinute)]) {
        let mut shown = self.shown.lock();
        let Some((newest, _)) = minutes.last().filter(|_| !shown.is_closed) else {
            return;
        };
        let mut changed = Vec::new();
        for (minute, stats) in minutes {
            let number = minute.div_euclid(HOUR);
            let hour = shown.hours.entry(number).or_insert_with(|| StatsHour {
                instance: self.instance.clone(),
                hour: number,
                minutes: BTreeMap::new(),
            });
            hour.minutes.insert(minute.rem_euclid(HOUR), *stats);
            if changed.last() != Some(&number) {
                changed.push(number);
            }
        }
        let newer = shown.hours.split_off(&(newest - DAY).div_euclid(HOUR));
        for hour in std::mem::replace(&mut shown.hours, newer).values() {
            self.observer.changed(Change::StatsHour(&hour.id(), None));
        }
        for hour in changed.iter().filter_map(|hour| shown.hours.get(hour)) {
            let change = Change::StatsHour(&hour.id(), Some(hour));
            self.observer.changed(change);
        }
    }

    /// Nobody watches any more.
    pub(super) fn close(&self) {
        self.show_only(&[]);
        let mut shown = self.shown.lock();
        shown.is_closed = true;
        for hour in std::mem::take(&mut shown.hours).values() {
            self.observer.changed(Change::StatsHour(&hour.id(), None));
        }
    }

    /// These containers run, and no others.
    fn show_only(&self, running: &[Running]) {
        let mut shown = self.shown.lock();
        let runs = |id: &String| running.iter().any(|running| running.run.container == *id);
        let (stay, gone) = std::mem::take(&mut shown.containers)
            .into_iter()
            .partition(runs);
        shown.containers = stay;
        for id in &gone as &Vec<String> {
            self.observer.changed(Change::Stats(id, None));
        }
    }

    fn show(&self, stats: &AppStats) {
        let mut shown = self.shown.lock();
        if shown.is_closed {
            return;
        }
        if !shown.containers.contains(&stats.container) {
            shown.containers.push(stats.container.clone());
        }
        self.observer
            .changed(Change::Stats(&stats.container, Some(stats)));
    }
}

/// What is needed to ask about containers.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) traffic: Arc<dyn Traffic>,
    pub(super) views: watch::Receiver<InstanceView>,
    pub(super) live: Arc<Live>,
}

impl Asking {
    /// Asks about the containers that run, until the instance is gone.
    pub(super) async fn run(mut self) {
        let mut tasks: HashMap<Run, AbortOnDropHandle<()>> = HashMap::new();
        loop {
            let running = Running::of(&self.views.borrow_and_update());
            tasks.retain(|run, _| running.iter().any(|running| running.run == *run));
            self.live.show_only(&running);
            for Running { run, .. } in running {
                tasks.entry(run.clone()).or_insert_with(|| {
                    AbortOnDropHandle::new(tokio::spawn(self.clone().ask_about(run)))
                });
            }
            if self.views.changed().await.is_err() {
                self.live.show_only(&[]);
                return;
            }
        }
    }

    /// Tells of one run again and again. Never ends.
    async fn ask_about(self, run: Run) {
        let before = self.ask(&run, None).await;
        sleep(SOON).await;
        let mut before = self.ask(&run, before).await;
        let mut due = interval_at(Instant::now() + PACE, PACE);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            before = self.ask(&run, before).await;
        }
    }

    /// What it has used now, or had used before if that cannot be known.
    async fn ask(&self, run: &Run, before: Option<ContainerStats>) -> Option<ContainerStats> {
        let question = self.engine.stats(&run.container);
        let Ok(Ok(Some(now))) = timeout(DEADLINE, question).await else {
            return before;
        };
        let running = Running::of(&self.views.borrow());
        let running = running.iter().find(|running| running.run == *run)?;
        self.live.show(&AppStats {
            instance: self.live.instance.clone(),
            container: run.container.clone(),
            replica: running.replica,
            restarts: running.restarts,
            cpu: before.and_then(|before| sample::cpu(&before, &now)),
            used: now,
            open: running.open(&*self.traffic),
        });
        Some(now)
    }
}
