//! What every instance used in each minute.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use super::{Stats, document::StatsMinute, live::DEADLINE, running::Running, sample};
use crate::{InstanceView, Run, engine::ContainerStats};

const MINUTE: Duration = Duration::from_secs(60);
/// The last samples of a minute are taken so long before its end.
const REST: Duration = Duration::from_secs(8);

/// What was known of each run when it was looked at last.
pub(super) type Samples = HashMap<Run, ContainerStats>;

impl Stats {
    /// Takes a sample of everything that runs in each minute, and writes them down. Never ends.
    pub(crate) async fn keep_history(self: Arc<Self>) {
        let mut before = Samples::new();
        loop {
            let (minute, left) = this_minute(Timestamp::now());
            let end = Instant::now() + left;
            before = self.keep_minute(minute, left, before).await;
            sleep_until(end).await;
        }
    }

    /// Takes the samples of a minute of which so much is left, spread over that.
    pub(super) async fn keep_minute(
        &self,
        minute: i64,
        left: Duration,
        before: Samples,
    ) -> Samples {
        let end = Instant::now() + left;
        let views = self.instances.views();
        let runs: Vec<(String, Running)> = views.iter().flat_map(of).collect();
        let pause = left.saturating_sub(REST) / (runs.len().max(1) as u32);
        let mut asked = JoinSet::new();
        for (instance, running) in runs {
            let engine = Arc::clone(&self.engine);
            // A task each: one that the engine keeps waiting holds up no other.
            asked.spawn(async move {
                let question = timeout(DEADLINE, engine.stats(&running.run.container)).await;
                (instance, running, question)
            });
            sleep(pause).await;
        }
        let mut now = Samples::new();
        let mut minutes: HashMap<String, StatsMinute> = HashMap::new();
        while let Ok(Some(answer)) = timeout_at(end, asked.join_next()).await {
            let Ok((instance, running, Ok(Ok(Some(stats))))) = answer else {
                continue;
            };
            let mut used = sample::minute(before.get(&running.run), &stats);
            let open = running.open(&*self.traffic);
            used.open_connections = open.map(|open| (open.requests + open.websockets) as u64);
            let all = minutes.remove(&instance);
            let all = all.map_or(used, |all| sample::sum(all, &used));
            minutes.insert(instance, all);
            now.insert(running.run, stats);
        }
        self.write(minute, minutes.into_iter().collect()).await;
        now
    }

    async fn write(&self, minute: i64, stats: Vec<(String, StatsMinute)>) {
        if stats.is_empty() {
            return;
        }
        if let Err(error) = self.store.add_stats(minute, stats.clone()).await {
            tracing::warn!(%error, "what apps used in a minute could not be written down");
        }
        let watched = self.watched.lock();
        for (instance, stats) in stats {
            if let Some(watched) = watched.get(&instance) {
                watched.live.add(&[(minute, stats)]);
            }
        }
    }
}

fn of(view: &InstanceView) -> Vec<(String, Running)> {
    let running = Running::of(view).into_iter();
    running
        .map(|running| (view.record.id.clone(), running))
        .collect()
}

/// Which minute from 1970 on it is, and how much of it is left.
fn this_minute(now: Timestamp) -> (i64, Duration) {
    let seconds = now.as_second();
    let gone = Duration::from_secs(seconds.rem_euclid(60).unsigned_abs());
    (seconds.div_euclid(60), MINUTE - gone)
}
