//! Makes one app instance what it should be: look, plan, take one step, look again.
//!
//! One worker a task, one task an instance, so nothing is done twice at a time. A worker holds no
//! truth: it can be dropped at any point and another one goes on from what it observes.

mod exits;
mod health;
mod pull;
mod spec;
mod steps;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

use self::health::Watches;
use super::{
    observation::Picture,
    plan::{self, Memory, Next, Policy, Problem, Seen, Situation},
};
use crate::{
    Error, InstanceView, Status, Traffic, Wanted,
    app_instance::{Failure, ReplicaProblem, Rollout},
    deployments::{DeploymentStatus, Deployments},
    engine::{Engine, EngineError},
    failpoints::Failpoint,
    health::Prober,
    images::Images,
    instances::Instances,
    releases::Releases,
};
pub(crate) use exits::Exits;

/// How long to wait for the engine's word that a kill or a removal had its effect, before looking
/// again.
const EFFECT: Duration = Duration::from_millis(500);
/// How long to wait before asking an engine again that did not answer.
const BLIND: Duration = Duration::from_secs(2);

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) instances: Arc<Instances>,
    pub(crate) images: Arc<Images>,
    pub(crate) releases: Arc<Releases>,
    pub(crate) deployments: Arc<Deployments>,
    pub(crate) prober: Arc<dyn Prober>,
    pub(crate) traffic: Arc<dyn Traffic>,
    pub(crate) launcher_id: String,
    pub(crate) bind_ip: IpAddr,
    pub(crate) patience: Patience,
    /// Takes the ids of new instances, each of which gets a worker.
    pub(crate) added: mpsc::UnboundedSender<String>,
}

/// How patient the launcher is with containers.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a program may take to end after it was asked to, before it is killed.
    pub grace: Duration,
    /// How long open requests may keep a container from being asked to end.
    pub drain: Duration,
    /// After so many restarts without a stable run in between an instance is stopped. 0: never.
    pub most_restarts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        let Policy {
            grace,
            drain,
            most_restarts,
            ..
        } = Policy::default();
        Self {
            grace,
            drain,
            most_restarts,
        }
    }
}

pub(crate) struct Worker {
    shared: Arc<Shared>,
    id: String,
    wake: Arc<Notify>,
    memory: Memory,
    watches: Watches,
    exits: Exits,
    /// The wish that the memory is about.
    wish: u64,
    /// Whether a deployment may wait for the end of old containers.
    may_drain: bool,
}

/// What a look at the engine found.
struct Sight {
    containers: Vec<Seen>,
    has_image: bool,
}

impl Worker {
    /// A worker for an instance that is in the table.
    pub(crate) fn new(shared: Arc<Shared>, id: &str) -> Option<Self> {
        let wake = shared.instances.wake_handle(id)?;
        let watches = Watches::new(&shared, &wake);
        Some(Self {
            shared,
            id: id.to_owned(),
            wake,
            memory: Memory::default(),
            watches,
            exits: Exits::default(),
            wish: 0,
            may_drain: true,
        })
    }

    /// Works until the instance is gone.
    pub(crate) async fn run(mut self) {
        while let Ok(view) = self.shared.instances.view(&self.id) {
            self.notice_wish(&view);
            match self.look(&view).await {
                Ok(sight) => {
                    self.notice(&view, &sight).await;
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
            self.may_drain = true;
            self.memory.notice_wish();
        }
    }

    async fn look(&mut self, view: &InstanceView) -> Result<Sight, EngineError> {
        let shared = Arc::clone(&self.shared);
        let owner = &shared.launcher_id;
        let found = shared.engine.containers(owner, Some(&self.id)).await?;
        let containers = self.watches.see(view, found, &*shared.traffic);
        let is_there = |replica| {
            let place = (view.record.generation, replica);
            containers
                .iter()
                .any(|c| (c.container.generation, c.container.replica) == place)
        };
        let must_make = matches!(view.record.wanted, Wanted::Running { .. })
            && !(0..view.record.replicas).all(is_there);
        let has_image = must_make && self.has_image(view).await?;
        Ok(Sight {
            containers,
            has_image,
        })
    }

    /// Takes over what a look shows, and tells of programs that have ended.
    async fn notice(&mut self, view: &InstanceView, sight: &Sight) {
        let policy = self.policy(view);
        let known = self.memory.clone();
        let situation = situation(view, sight, &policy, &known);
        let ended = self.memory.notice(&situation);
        self.exits.forget_gone(&self.memory);
        for seen in ended {
            let container = &seen.container;
            let code = container.exit_code;
            tracing::info!(instance = %self.id, replica = container.replica, exit_code = code, "ended");
            let was_asked = !situation.has_crashed(seen) && view.record.given_up.is_none();
            self.exits
                .note(container, was_asked, &self.memory, &*self.shared.engine)
                .await;
        }
    }

    /// Enters what was seen, before anything is done about it.
    fn tell(&self, view: &InstanceView, sight: &Sight) {
        let policy = self.policy(view);
        let situation = situation(view, sight, &policy, &self.memory);
        let picture = Picture {
            service: plan::service(&situation),
            all: &sight.containers,
            memory: &self.memory,
            exits: &self.exits,
        };
        self.shared.instances.see(&self.id, &picture);
    }

    /// Takes the next step or waits; true when the instance is gone.
    async fn act(&mut self, view: &InstanceView, sight: &Sight) -> bool {
        let policy = self.policy(view);
        let situation = situation(view, sight, &policy, &self.memory);
        let now = situation.now;
        let (next, is_done) = (plan::plan(&situation), plan::is_carried_out(&situation));
        let nothing_leaves = plan::service(&situation).leaving.is_empty();
        if is_done {
            self.carried_out(view);
            if view.record.rollout.is_none() && nothing_leaves {
                self.drained(view).await;
            }
        }
        match next {
            Next::Forget => return self.forget(view).await,
            Next::Wait(until) => self.wait(until, now).await,
            Next::Fail(problem) => self.cannot_replace(view, sight, &problem).await,
            Next::GiveUp(replica) => self.give_up(view, replica).await,
            Next::Do(step) => match self.take(view, sight, &step).await {
                Ok(()) => self.taken(view, sight, &step).await,
                Err(error) => self.failed(view, &error).await,
            },
        }
        false
    }

    fn policy(&self, view: &InstanceView) -> Policy {
        let Patience {
            grace,
            drain,
            most_restarts,
        } = self.shared.patience;
        Policy {
            grace,
            drain,
            most_restarts,
            restart_after: view.record.health.restart_after,
        }
    }

    /// Enters that the wish has been carried out.
    fn carried_out(&mut self, view: &InstanceView) {
        self.memory.failures = 0;
        if view.observed.carried_out == view.record.wish && view.observed.failure.is_none() {
            return;
        }
        self.shared.instances.observe(&self.id, |observed| {
            observed.carried_out = view.record.wish;
            observed.failure = None;
            observed.problem = None;
        });
    }

    /// Nothing is left of earlier releases: deployments that were seen through are over. One that has
    /// just failed or begun is another's to tell of.
    async fn drained(&mut self, view: &InstanceView) {
        if std::mem::take(&mut self.may_drain) {
            let deployments = &self.shared.deployments;
            let mut under_way = deployments.under_way(&self.id);
            under_way.retain(|deployment| {
                deployment.status == DeploymentStatus::Draining
                    || Some(&deployment.release) == view.record.release.as_ref()
            });
            for deployment in under_way {
                let text = "the old containers have ended";
                Failpoint::OldOnesEnded.reach();
                deployments
                    .step(&deployment.id, DeploymentStatus::Succeeded, text)
                    .await;
                Failpoint::EndTold.reach();
            }
        }
    }

    /// The new release did not get ready: whoever deploys it decides what follows.
    async fn cannot_replace(&mut self, view: &InstanceView, sight: &Sight, problem: &Problem) {
        let container = problem.container();
        let seen = sight
            .containers
            .iter()
            .find(|seen| seen.container.id == container);
        let answer = self.watches.answer(container);
        let message = match (problem, seen) {
            (Problem::Exits(_), Some(seen)) => format!(
                "the new container's program ended {} times: {}",
                plan::MOST_EXITS,
                exits::explain(&seen.container)
            ),
            _ => format!("the new container did not become ready: {answer}"),
        };
        Failpoint::FailureFound.reach();
        self.memory.told = Some(view.record.generation);
        let problem = ReplicaProblem {
            container: container.to_owned(),
            answer,
        };
        self.shared
            .instances
            .observe(&self.id, |observed| observed.problem = Some(problem));
        self.failed(view, &Error::NotCarriedOut(message)).await;
    }

    /// Wants the instance stopped, and says why.
    async fn give_up(&mut self, view: &InstanceView, replica: u32) {
        let why = self.exits.sentence(view.record.generation, replica);
        let restarts = self.shared.patience.most_restarts;
        let text = format!("stopped after {restarts} restarts: {why}");
        tracing::warn!(instance = %self.id, %text, "given up");
        if let Err(error) = self
            .shared
            .instances
            .give_up(&self.id, view.record.wish, text)
            .await
        {
            self.failed(view, &error).await;
        }
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
        tracing::debug!(instance = %self.id, %error, "the containers cannot be looked at");
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

    /// Tells those who watch the deployment that is under way, if one is.
    async fn tell_step(&self, view: &InstanceView, status: DeploymentStatus, text: &str) {
        if let Some(rollout) = &view.record.rollout {
            self.shared
                .deployments
                .step(&rollout.deployment, status, text)
                .await;
        }
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

/// What the plan is made from.
fn situation<'a>(
    view: &'a InstanceView,
    sight: &'a Sight,
    policy: &'a Policy,
    memory: &'a Memory,
) -> Situation<'a> {
    Situation {
        wanted: &view.record.wanted,
        release: view.record.generation,
        replaces: view.record.rollout.as_ref().map(|rollout| rollout.from),
        replaced_runs: view
            .record
            .rollout
            .as_ref()
            .is_some_and(Rollout::is_of_running),
        replicas: view.record.replicas,
        containers: &sight.containers,
        has_image: sight.has_image,
        policy,
        memory,
        now: Instant::now(),
    }
}
