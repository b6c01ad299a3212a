//! Makes one app instance what it should be: look, plan, take one step, look again.
//!
//! One worker a task, one task an instance, so nothing is done twice at a time. A worker holds no
//! truth: it can be dropped at any point and another one goes on from what it observes.

mod steps;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::timeout};

use super::{
    Shared,
    plan::{self, Memory, Next, Step},
};
use crate::{
    Error, InstanceView, Status, Wanted,
    app_instance::Failure,
    engine::{Container, EngineError},
};

/// How long to wait for the engine's word that a kill or a removal had its effect, before looking
/// again.
const EFFECT: Duration = Duration::from_millis(500);
/// How long to wait before asking an engine again that did not answer.
const BLIND: Duration = Duration::from_secs(2);

pub(crate) struct Worker {
    shared: Arc<Shared>,
    id: String,
    wake: Arc<Notify>,
    memory: Memory,
    /// The wish that the memory is about.
    wish: u64,
}

/// What a look at the engine found.
struct Sight {
    containers: Vec<Container>,
    has_image: bool,
}

impl Worker {
    /// A worker for an instance that is in the table.
    pub(crate) fn new(shared: Arc<Shared>, id: &str) -> Option<Self> {
        let wake = shared.instances.wake_handle(id)?;
        Some(Self {
            shared,
            id: id.to_owned(),
            wake,
            memory: Memory::default(),
            wish: 0,
        })
    }

    /// Works until the instance is gone.
    pub(crate) async fn run(mut self) {
        while let Ok(view) = self.shared.instances.view(&self.id) {
            self.notice_wish(&view);
            match self.look(&view).await {
                Ok(sight) => {
                    self.tell(&view, &sight);
                    if self.act(&view, &sight).await {
                        return;
                    }
                }
                Err(error) => self.blind(&view, &error).await,
            }
        }
    }

    fn notice_wish(&mut self, view: &InstanceView) {
        if self.wish != view.record.wish {
            self.wish = view.record.wish;
            self.memory.notice_wish();
        }
    }

    async fn look(&self, view: &InstanceView) -> Result<Sight, EngineError> {
        let engine = &self.shared.engine;
        let containers = engine
            .containers(&self.shared.launcher_id, Some(&self.id))
            .await?;
        let are_old = containers
            .iter()
            .all(|c| c.generation < view.record.generation);
        let must_make = are_old && matches!(view.record.wanted, Wanted::Running { .. });
        if must_make {
            self.shared.images.removal_ended(&view.record.image).await;
        }
        let has_image = must_make && engine.image(&view.record.image.with_tag()).await?.is_some();
        Ok(Sight {
            containers,
            has_image,
        })
    }

    /// Enters what was seen, before anything is done about it.
    fn tell(&mut self, view: &InstanceView, sight: &Sight) {
        if let Some(container) = self.memory.notice(&sight.containers, Instant::now()) {
            tracing::info!(instance = %self.id, exit_code = container.exit_code, "ended");
        }
        let serving = plan::serving(view.record.generation, &sight.containers, &self.memory);
        let instances = &self.shared.instances;
        instances.see(&self.id, serving.map_or(&[], std::slice::from_ref));
    }

    /// Takes the next step or waits; true when the instance is gone.
    async fn act(&mut self, view: &InstanceView, sight: &Sight) -> bool {
        let now = Instant::now();
        let wanted = &view.record.wanted;
        match plan::plan(
            wanted,
            view.record.generation,
            &sight.containers,
            sight.has_image,
            &self.memory,
            now,
        ) {
            Next::Forget => return self.forget(view).await,
            Next::Wait(until) => {
                if until.is_none() {
                    self.carried_out(view);
                }
                self.wait(until, now).await;
            }
            Next::Tell(run) => {
                let ended = sight
                    .containers
                    .iter()
                    .find(|c| c.run().as_ref() == Some(&run));
                let code = ended.and_then(|c| c.exit_code).unwrap_or_default();
                let error = Error::NotCarriedOut(format!(
                    "the new container's program ended right after it was started (exit code {code})"
                ));
                self.memory.told = Some(run);
                self.failed(view, &error).await;
            }
            Next::Do(step) => match self.take(view, sight, &step).await {
                Ok(()) => self.taken(view, sight, &step).await,
                Err(error) => self.failed(view, &error).await,
            },
        }
        false
    }

    /// Remembers a step that succeeded.
    async fn taken(&mut self, view: &InstanceView, sight: &Sight, step: &Step) {
        match step {
            Step::Start(started) => {
                let crashed = sight.containers.iter().find(|c| c.id == *started);
                let unasked = crashed.is_some_and(|c| plan::ended_unasked(&view.record.wanted, c));
                self.memory.restarts = if unasked {
                    self.memory.restarts.saturating_add(1)
                } else {
                    0
                };
                self.memory.not_before = None;
                self.started(view, sight.containers.len() > 1).await;
            }
            Step::AskToEnd(container) => {
                self.memory.asked_to_end = Some((container.clone(), Instant::now()));
            }
            Step::Kill(_) | Step::Remove(_) => drop(timeout(EFFECT, self.wake.notified()).await),
            Step::Pull | Step::Create => {}
        }
    }

    /// A program that ends right after its start was started all the same, so the wish counts as
    /// carried out; but only after its port is known, so that who asked for it can use it. One that
    /// replaces another must go on until the other is gone.
    async fn started(&mut self, view: &InstanceView, replaces: bool) {
        if let Ok(sight) = self.look(view).await {
            self.tell(view, &sight);
        }
        let port = self
            .shared
            .instances
            .view(&self.id)
            .ok()
            .and_then(|view| view.observed.port);
        tracing::info!(instance = %self.id, image = %view.record.image, port, "started");
        if !replaces {
            self.carried_out(view);
        }
    }

    fn carried_out(&mut self, view: &InstanceView) {
        self.memory.failures = 0;
        self.shared.instances.observe(&self.id, |observed| {
            observed.carried_out = view.record.wish;
            observed.failure = None;
        });
    }

    async fn forget(&mut self, view: &InstanceView) -> bool {
        match self.shared.instances.forget(&self.id).await {
            Ok(()) => return true,
            Err(error) => self.failed(view, &error).await,
        }
        false
    }

    /// Says that the engine cannot be asked, and waits before asking again.
    async fn blind(&self, view: &InstanceView, error: &EngineError) {
        tracing::debug!(instance = %self.id, %error, "the container cannot be looked at");
        self.tell_failure(view, error.to_string());
        drop(timeout(BLIND, self.wake.notified()).await);
    }

    /// Says what went wrong, and waits before the next attempt.
    async fn failed(&mut self, view: &InstanceView, error: &Error) {
        let wait = plan::backoff(self.memory.failures);
        tracing::warn!(instance = %self.id, %error, retry_in = ?wait, "a step failed");
        let now = Instant::now();
        self.memory.failures = self.memory.failures.saturating_add(1);
        self.memory.not_before = Some(now + wait);
        self.tell_failure(view, error.to_string());
        self.wait(self.memory.not_before, now).await;
    }

    fn tell_failure(&self, view: &InstanceView, message: String) {
        self.shared.instances.observe(&self.id, |observed| {
            observed.failure = Some(Failure {
                wish: view.record.wish,
                message,
            });
            if matches!(observed.status, Status::Pulling | Status::Creating) {
                observed.status = Status::Stopped;
            }
        });
    }

    /// Waits until something happens, at the latest until the given time. A wake-up that came while
    /// the worker was busy counts.
    async fn wait(&self, until: Option<Instant>, now: Instant) {
        match until {
            None => self.wake.notified().await,
            Some(until) => {
                let wait = until.saturating_duration_since(now);
                drop(timeout(wait, self.wake.notified()).await);
            }
        }
    }
}
