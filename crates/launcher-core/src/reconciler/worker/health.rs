//! Whether the programs of an instance's containers answer.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{
    InstanceView, Traffic,
    app_instance::Run,
    engine::{Container, ContainerState},
    health::{Health, ProbeTarget, Prober, Watch},
    reconciler::plan::Seen,
};

fn watch(
    prober: &Arc<dyn Prober>,
    changed: &Arc<Notify>,
    view: &InstanceView,
    container: &Container,
    port: u16,
    began: Timestamp,
) -> Watch {
    let record = &view.record;
    let root_url = record.env.get("ROOT_URL").map(String::as_str);
    let target = ProbeTarget::new(&view.host, port, &record.health)
        .visited_at(root_url, record.hostnames.first());
    // What this launcher has not started itself may have run for long.
    let age = container.started_at.filter(|started| *started < began);
    let age = age
        .map(|started| Timestamp::now().duration_since(started))
        .unwrap_or_default();
    Watch::start(
        Arc::clone(prober),
        target,
        &record.health,
        age,
        Arc::clone(changed),
    )
}

/// One watch for each run of a container's program.
pub(super) struct Watches {
    prober: Arc<dyn Prober>,
    changed: Arc<Notify>,
    /// What has run since before that was started by an earlier launcher.
    began: Timestamp,
    runs: BTreeMap<String, (Run, Watch)>,
}

impl Watches {
    pub(super) fn new(prober: Arc<dyn Prober>, changed: Arc<Notify>, began: Timestamp) -> Self {
        Self {
            prober,
            changed,
            began,
            runs: BTreeMap::new(),
        }
    }

    /// Watches what runs, and no longer what does not.
    pub(super) fn see(
        &mut self,
        view: &InstanceView,
        containers: Vec<Container>,
        traffic: &dyn Traffic,
    ) -> Vec<Seen> {
        let goes_on = |id: &str, run: &Run| {
            let is_it = |c: &Container| {
                c.id == id && c.state == ContainerState::Running && c.run().as_ref() == Some(run)
            };
            containers.iter().any(is_it)
        };
        self.runs.retain(|id, (run, _)| goes_on(id, run));
        containers
            .into_iter()
            .map(|container| self.seen(view, container, traffic))
            .collect()
    }

    /// What the newest probe of a container's program said.
    pub(super) fn answer(&self, container: &str) -> String {
        let watch = self.runs.get(container);
        watch
            .map(|(_, watch)| watch.latest().answer)
            .unwrap_or_default()
    }

    fn seen(&mut self, view: &InstanceView, container: Container, traffic: &dyn Traffic) -> Seen {
        let runs = container.state == ContainerState::Running;
        let port = container.host_port.filter(|_| runs);
        let is_busy = port.is_some_and(|port| traffic.open(&view.host, port).requests > 0);
        let probed = port.zip(container.run()).map(|(port, run)| {
            let Self {
                prober,
                changed,
                began,
                runs,
            } = self;
            let new = || (run, watch(prober, changed, view, &container, port, *began));
            let (_, watch) = runs.entry(container.id.clone()).or_insert_with(new);
            watch.latest()
        });
        let began = self.began;
        let is_old = container.started_at.is_some_and(|started| started < began);
        let unknown = |failures: u32, health| failures == 0 && health == Health::Starting;
        let inherited = probed
            .as_ref()
            .is_some_and(|p| is_old && unknown(p.failures, p.health));
        let (health, since) = match probed {
            Some(probed) => (probed.health, probed.since),
            None if runs => (Health::Starting, Instant::now()),
            None => (Health::None, Instant::now()),
        };
        Seen {
            container,
            health,
            since,
            inherited,
            is_busy,
        }
    }
}
