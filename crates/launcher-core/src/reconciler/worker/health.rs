//! Whether the programs of an instance's containers answer.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::Shared;
use crate::{
    InstanceView, Traffic,
    app_instance::Run,
    engine::{Container, ContainerState},
    health::{Health, ProbeTarget, Probed, Prober, Watch},
    reconciler::plan::Seen,
    releases::Releases,
};

/// One watch for each run of a container's program.
pub(super) struct Watches {
    prober: Arc<dyn Prober>,
    releases: Arc<Releases>,
    changed: Arc<Notify>,
    runs: BTreeMap<String, (Run, Watch)>,
    /// What ran already at the first look, by container: an earlier launcher has started it. `None`:
    /// nobody has looked yet.
    found: Option<BTreeMap<String, Run>>,
}

impl Watches {
    pub(super) fn new(shared: &Shared, changed: &Arc<Notify>) -> Self {
        Self {
            prober: Arc::clone(&shared.prober),
            releases: Arc::clone(&shared.releases),
            changed: Arc::clone(changed),
            runs: BTreeMap::new(),
            found: None,
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
            let is_it = |c: &Container| c.id == id && running(c).as_ref() == Some(run);
            containers.iter().any(is_it)
        };
        self.runs.retain(|id, (run, _)| goes_on(id, run));
        let of = |c: &Container| Some((c.id.clone(), running(c)?));
        let found = self
            .found
            .get_or_insert_with(|| containers.iter().filter_map(of).collect());
        found.retain(|id, run| goes_on(id, run));
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
        let run = running(&container);
        let port = container.host_port.filter(|_| run.is_some());
        let is_busy = port.is_some_and(|port| traffic.open(&view.host, port).are_any());
        let probed = port
            .zip(run.clone())
            .map(|(port, run)| self.probed(view, &container, port, run));
        let unknown = |failures: u32, health| failures == 0 && health == Health::Starting;
        let inherited = self.was_found(&container)
            && probed
                .as_ref()
                .is_some_and(|p| unknown(p.failures, p.health));
        let (health, since) = match probed {
            Some(probed) => (probed.health, probed.since),
            None if run.is_some() => (Health::Starting, Instant::now()),
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

    fn was_found(&self, container: &Container) -> bool {
        let found = self.found.as_ref();
        found.is_some_and(|found| found.contains_key(&container.id))
    }

    /// What the watch of a run says, which begins with the first look at it.
    fn probed(
        &mut self,
        view: &InstanceView,
        container: &Container,
        port: u16,
        run: Run,
    ) -> Probed {
        if let Some((_, watch)) = self.runs.get(&container.id) {
            return watch.latest();
        }
        let watch = self.watch(view, container, port);
        let probed = watch.latest();
        self.runs.insert(container.id.clone(), (run, watch));
        probed
    }

    /// As the container's own release has it, whichever is wanted now.
    fn watch(&self, view: &InstanceView, container: &Container, port: u16) -> Watch {
        let record = &view.record;
        let own = (container.generation != record.generation)
            .then(|| self.releases.numbered(&record.id, container.generation));
        let own = own.flatten();
        let (health, env) = own
            .as_ref()
            .map_or((&record.health, &record.env), |release| {
                (&release.content.health, &release.content.env)
            });
        let root_url = env.get("ROOT_URL").map(String::as_str);
        let target = ProbeTarget::new(&view.host, port, health)
            .visited_at(root_url, record.first_hostname());
        // What this launcher has not started itself may have run for long.
        let age = container
            .started_at
            .filter(|_| self.was_found(container))
            .map(|started| Timestamp::now().duration_since(started))
            .unwrap_or_default();
        let (prober, changed) = (Arc::clone(&self.prober), Arc::clone(&self.changed));
        Watch::start(prober, target, health, age, changed)
    }
}

/// The run of a container that runs.
fn running(container: &Container) -> Option<Run> {
    let runs = container.state == ContainerState::Running;
    container.run().filter(|_| runs)
}
