//! Watches one run of an app: one small task, which asks again and again.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::FutureExt;
use jiff::SignedDuration;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{HealthKind, HealthSettings, ProbeTarget, Probed, Prober, in_words, machine::Machine};

/// A prober keeps its own time; one that does not is given up so much later.
const MARGIN: Duration = Duration::from_secs(1);
/// Apps that are well are asked at multiples of this. Less than the shortest interval.
const GRID: Duration = Duration::from_millis(500);

/// How long ago a run was started, by the engine's clock and ours. Zero for one that the launcher has
/// just started itself, whatever the clocks say; less than zero counts as zero.
pub type SignedAge = SignedDuration;

/// Watches one run until it is dropped: asks at once, quickly until the app is ready, then at
/// intervals. Who is interested is woken when the health becomes another one, and only then.
pub struct Watch {
    shared: Arc<Shared>,
    /// `None`: there is nothing to ask.
    _task: Option<AbortOnDropHandle<()>>,
}

struct Shared {
    machine: Mutex<Machine>,
    changed: Arc<Notify>,
}

impl Watch {
    /// Begins to watch. With [`HealthKind::None`] nothing is asked, and nothing ever changes.
    #[must_use]
    pub fn start(
        prober: Arc<dyn Prober>,
        mut target: ProbeTarget,
        settings: &HealthSettings,
        age: SignedAge,
        changed: Arc<Notify>,
    ) -> Self {
        let age = Duration::try_from(age).unwrap_or_default();
        let now = Instant::now().into_std();
        let machine = Machine::new(settings, age, rand::random(), now);
        let shared = Arc::new(Shared {
            machine: Mutex::new(machine),
            changed,
        });
        target.kind = settings.kind;
        let task = (settings.kind != HealthKind::None).then(|| {
            let run = run(Arc::clone(&shared), prober, target);
            AbortOnDropHandle::new(tokio::spawn(run))
        });
        Self {
            shared,
            _task: task,
        }
    }

    /// What is known now.
    #[must_use]
    pub fn latest(&self) -> Probed {
        self.shared.machine.lock().probed().clone()
    }
}

async fn run(shared: Arc<Shared>, prober: Arc<dyn Prober>, target: ProbeTarget) {
    tokio::join!(shared.await_end_of_start(), shared.ask(&*prober, target));
}

impl Shared {
    /// Asks again and again.
    async fn ask(&self, prober: &dyn Prober, mut target: ProbeTarget) {
        loop {
            let thorough = self.machine.lock().is_thorough();
            let answer = ask_once(prober, &target, thorough).await;
            if let Ok(kind) = answer {
                // What it was once it stays: a Meteor app that has lost its DDP is no other app.
                target.kind = kind;
            }
            self.change(|machine, now| machine.handle_answer(answer, now));
            let (next, is_well) = {
                let machine = self.machine.lock();
                let now = Instant::now();
                (now + machine.wait(now.into_std()), !machine.is_thorough())
            };
            sleep_until(if is_well { on_grid(next) } else { next }).await;
        }
    }

    async fn await_end_of_start(&self) {
        let ready_by = self.machine.lock().ready_by();
        if let Some(ready_by) = ready_by {
            sleep_until(ready_by.into()).await;
            self.change(Machine::handle_ready_by);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Machine, std::time::Instant) -> bool) {
        let is_news = change(&mut self.machine.lock(), Instant::now().into_std());
        if is_news {
            self.changed.notify_one();
        }
    }
}

/// The last time before this one at which apps that are well are asked: some at once cost half of
/// what they cost one by one.
fn on_grid(time: Instant) -> Instant {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let since = time.saturating_duration_since(*BEGIN.get_or_init(Instant::now));
    let past = since.as_nanos() % GRID.as_nanos();
    time - Duration::from_nanos(u64::try_from(past).unwrap_or_default())
}

async fn ask_once(
    prober: &dyn Prober,
    target: &ProbeTarget,
    thorough: bool,
) -> Result<HealthKind, String> {
    let probe = AssertUnwindSafe(prober.probe(target, thorough)).catch_unwind();
    match timeout(target.timeout + MARGIN, probe).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_panic)) => {
            tracing::error!(host = target.host, port = target.port, "a probe panicked");
            Err("the probe failed".to_owned())
        }
        Err(_) => Err(format!("no answer within {}", in_words(target.timeout))),
    }
}
