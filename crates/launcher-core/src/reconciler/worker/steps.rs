//! The steps themselves.

use std::time::Instant;

use tokio::time::timeout;

use super::{EFFECT, Sight, Worker, situation, spec};
use crate::{
    Error, InstanceView, Status,
    deployments::DeploymentStatus,
    engine::{EngineError, EngineImage},
    failpoints::Failpoint,
    instances::SWITCHED_TEXT,
    reconciler::plan::{Seen, Step},
};

impl Worker {
    pub(super) async fn take(
        &mut self,
        view: &InstanceView,
        sight: &Sight,
        step: &Step,
    ) -> Result<(), Error> {
        tracing::debug!(instance = %self.id, ?step, "step");
        let engine = &self.shared.engine;
        match step {
            Step::Pull => self.pull(view).await?,
            Step::Create(replica) => self.create(view, *replica).await?,
            Step::Start(container) => engine.start(container).await?,
            Step::Kill(container) => engine.signal(container, "SIGKILL").await?,
            Step::Remove(container) => engine.remove(container).await?,
            Step::Switch => {
                Failpoint::AllReady.reach();
                self.memory.switched = Some(view.record.generation);
                // From here on every new request goes to the new containers.
                self.tell(view, sight);
            }
            Step::Drain(container) => {
                self.memory
                    .draining
                    .insert(container.clone(), Instant::now());
                self.tell(view, sight);
            }
            Step::AskToEnd(container) => {
                let seen = find(sight, container);
                let run = seen.and_then(Seen::run);
                self.memory
                    .asked_to_end
                    .insert(container.clone(), (run, Instant::now()));
                // No new request goes to what is about to end.
                self.tell(view, sight);
                let signal = seen.map_or("SIGTERM", |seen| seen.container.stop_signal.as_str());
                let asked = self.shared.engine.signal(container, signal).await;
                if asked.is_err() {
                    self.memory.asked_to_end.remove(container);
                }
                asked?;
            }
        }
        Ok(())
    }

    /// Remembers a step that succeeded, and tells of it.
    pub(super) async fn taken(&mut self, view: &InstanceView, sight: &Sight, step: &Step) {
        let image = &view.record.image;
        reached(step);
        match step {
            Step::Start(started) => {
                self.note_start(view, sight, started);
                self.started(view, started).await;
            }
            Step::Kill(_) | Step::Remove(_) => drop(timeout(EFFECT, self.wake.notified()).await),
            Step::Switch => {
                self.tell_step(view, DeploymentStatus::Draining, SWITCHED_TEXT)
                    .await;
                Failpoint::SwitchTold.reach();
            }
            Step::Create(replica) => {
                let text = format!("container {replica} was made from {image}");
                self.tell_step(view, DeploymentStatus::Starting, &text)
                    .await;
            }
            Step::Pull | Step::AskToEnd(_) | Step::Drain(_) => {}
        }
    }

    pub(super) fn note_start(&mut self, view: &InstanceView, sight: &Sight, started: &str) {
        let policy = self.policy(view);
        let mut memory = self.memory.clone();
        memory.started(&situation(view, sight, &policy, &self.memory), started);
        self.memory = memory;
    }

    /// Its port is known before anybody is told that it runs.
    pub(super) async fn started(&mut self, view: &InstanceView, container: &str) {
        let Ok(sight) = self.look(view).await else {
            return;
        };
        self.notice(view, &sight).await;
        self.tell(view, &sight);
        let seen = find(&sight, container);
        let replica = seen.map_or(0, |seen| seen.container.replica);
        let port = seen.and_then(|seen| seen.container.host_port);
        tracing::info!(instance = %self.id, image = %view.record.image, replica, port, "started");
        // One of what is to be replaced is no step on the way.
        let release = seen.map(|seen| seen.container.generation);
        if release == Some(view.record.generation) {
            let text = format!("container {replica} was started; waiting until it is ready");
            self.tell_step(view, DeploymentStatus::Waiting, &text).await;
        }
        Failpoint::StartTold.reach();
    }

    /// Whether the engine has the image that the release is made of.
    pub(super) async fn has_image(&self, view: &InstanceView) -> Result<bool, EngineError> {
        self.shared.images.removal_ended(&view.record.image).await;
        Ok(self.find_image(view).await?.is_some())
    }

    /// The release's own image, by its name if that is still what it is called; without one, whatever
    /// has the name now.
    async fn find_image(
        &self,
        view: &InstanceView,
    ) -> Result<Option<(String, EngineImage)>, EngineError> {
        let engine = &self.shared.engine;
        let name = view.record.image.with_tag();
        let named = engine.image(&name).await?.map(|found| (name, found));
        let Some(exact) = &view.record.image_id else {
            return Ok(named);
        };
        if named.as_ref().is_some_and(|(_, found)| found.id == *exact) {
            return Ok(named);
        }
        let found = engine.image(exact).await?;
        Ok(found.map(|found| (exact.clone(), found)))
    }

    async fn create(&mut self, view: &InstanceView, replica: u32) -> Result<(), Error> {
        self.show(Status::Creating);
        let (image, found) = match self.find_image(view).await? {
            Some(found) => found,
            None => (view.record.image.with_tag(), EngineImage::default()),
        };
        // Before there is a container: the release's others are to be made from the same image, whatever
        // happens in between.
        if !found.id.is_empty() {
            let (id, release) = (&view.record.id, view.record.generation);
            self.shared.images.ledger().ran_image(id, &found.id).await;
            self.shared.instances.made_from(id, release, &found).await?;
            Failpoint::ImageRecorded.reach();
        }
        let spec = spec::spec(&self.shared, view, replica, image, &found);
        self.shared.engine.create(&spec).await?;
        Ok(())
    }

    /// Shows what is being done, unless a container runs meanwhile.
    pub(super) fn show(&self, status: Status) {
        self.shared.instances.observe(&self.id, |observed| {
            if observed.status != Status::Running {
                observed.status = status;
            }
        });
    }
}

fn reached(step: &Step) {
    match step {
        Step::Pull => Failpoint::ImagePulled.reach(),
        Step::Create(_) => Failpoint::ContainerCreated.reach(),
        Step::Start(_) => Failpoint::ContainerStarted.reach(),
        Step::Switch => Failpoint::Switched.reach(),
        Step::Drain(_) => Failpoint::Draining.reach(),
        Step::AskToEnd(_) => Failpoint::AskedToEnd.reach(),
        Step::Kill(_) => Failpoint::Killed.reach(),
        Step::Remove(_) => Failpoint::ContainerRemoved.reach(),
    }
}

fn find<'a>(sight: &'a Sight, container: &str) -> Option<&'a Seen> {
    sight
        .containers
        .iter()
        .find(|seen| seen.container.id == container)
}
