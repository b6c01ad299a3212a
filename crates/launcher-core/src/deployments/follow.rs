//! Sees a deployment through: until requests go to the new containers, or the old ones go on.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Deployment, DeploymentStatus};
use crate::{
    Error, Observed,
    failpoints::Failpoint,
    instances::{Goal, LAUNCH, Order},
    logs,
    reconciler::Shared,
};

/// Lines of a container that are kept when it did not get ready.
const LOG_LINES: usize = 100;

/// What a deployment came to; `None`: it goes on.
type Outcome = Option<Result<(), Arc<Error>>>;

/// Begins deployments and follows each to its end.
pub(crate) struct Deployer {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
    outcomes: Mutex<HashMap<String, watch::Receiver<Outcome>>>,
}

impl Deployer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            tasks,
            stop,
            outcomes: Mutex::default(),
        })
    }

    /// Records a new release and begins to deploy it; returns the deployment's id.
    pub(crate) async fn begin(self: &Arc<Self>, id: &str, order: Order) -> Result<String, Error> {
        let begun = self.shared.instances.begin_rollout(id, order).await?;
        if let Some(goal) = begun.goal {
            self.follow(begun.deployment.clone(), id.to_owned(), goal);
        }
        Ok(begun.deployment)
    }

    /// Waits until requests go to the new containers.
    pub(crate) async fn finished(&self, deployment: &str) -> Result<(), Error> {
        let receiver = self.outcomes.lock().get(deployment).cloned();
        let Some(mut receiver) = receiver else {
            return Ok(());
        };
        let outcome = receiver
            .wait_for(Option::is_some)
            .await
            .map_err(|_| Error::ShuttingDown)?;
        match &*outcome {
            Some(Err(error)) => Err(Error::Shared(Arc::clone(error))),
            _ => Ok(()),
        }
    }

    /// Goes on with the deployments during which an earlier launcher ended, and tells of those that failed.
    pub(crate) fn resume(self: &Arc<Self>) {
        for view in self.shared.instances.views() {
            let id = &view.record.id;
            if let Some(text) = self.shared.deployments.last_failure(id) {
                let tell = |observed: &mut Observed| observed.deploy_error = Some(text);
                self.shared.instances.observe(id, tell);
            }
            let Some(rollout) = &view.record.rollout else {
                continue;
            };
            let goal = Goal::Wish(rollout.wish, view.record.wanted.clone());
            self.follow(rollout.deployment.clone(), view.record.id.clone(), goal);
        }
    }

    fn follow(self: &Arc<Self>, deployment: String, instance: String, goal: Goal) {
        let (teller, outcome) = watch::channel(None);
        self.outcomes.lock().insert(deployment.clone(), outcome);
        let (this, stop) = (Arc::clone(self), self.stop.clone());
        self.tasks.spawn(async move {
            let work = this.see_through(&deployment, &instance, &goal);
            if let Some(outcome) = stop.run_until_cancelled(work).await {
                teller.send_replace(Some(outcome.map_err(Arc::new)));
            }
            this.outcomes.lock().remove(&deployment);
        });
    }

    async fn see_through(&self, deployment: &str, id: &str, goal: &Goal) -> Result<(), Error> {
        let instances = &self.shared.instances;
        let error = match instances.reached(id, goal, LAUNCH).await {
            Ok(()) if self.switched(deployment, id).await => return Ok(()),
            Ok(()) => {
                return self
                    .superseded(deployment, Error::Superseded(id.to_owned()))
                    .await;
            }
            Err(error @ (Error::Superseded(_) | Error::NoSuchInstance(_))) => {
                return self.superseded(deployment, error).await;
            }
            Err(Error::NotYet(text)) => text,
            Err(error) => error.to_string(),
        };
        let text = format!("{error}; the app instance goes on as it was");
        self.note_failure(deployment, id, &error).await;
        Failpoint::FailureNoted.reach();
        self.take_back(deployment, id).await;
        instances.observe(id, |observed| observed.deploy_error = Some(text.clone()));
        let failed = DeploymentStatus::Failed;
        self.shared
            .deployments
            .step(deployment, failed, text.clone())
            .await;
        Failpoint::FailureTold.reach();
        Err(Error::NotCarriedOut(text))
    }

    /// Writes down that the new release serves; false if something else was wished meanwhile.
    async fn switched(&self, deployment: &str, id: &str) -> bool {
        let instances = &self.shared.instances;
        loop {
            match instances.finish_rollout(id, deployment).await {
                Ok(true) => break,
                Ok(false) | Err(Error::NoSuchInstance(_)) => return false,
                Err(error) => {
                    tracing::warn!(instance = %id, %error, "a deployment's end was not written down");
                }
            }
            tokio::time::sleep(RETRY).await;
        }
        instances.observe(id, |observed| observed.deploy_error = None);
        instances.wake(id);
        true
    }

    async fn superseded(&self, deployment: &str, error: Error) -> Result<(), Error> {
        let (status, text) = (DeploymentStatus::Superseded, error.to_string());
        self.shared.deployments.step(deployment, status, text).await;
        Err(error)
    }

    /// The old release is wanted again; tried until that is recorded.
    async fn take_back(&self, deployment: &str, id: &str) {
        while let Err(error) = self.shared.instances.take_back(id, deployment).await {
            if matches!(error, Error::NoSuchInstance(_)) {
                return;
            }
            tracing::warn!(instance = %id, %error, "a failed deployment could not be taken back yet");
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Writes down what can be known of the container that did not get ready, while it is there.
    async fn note_failure(&self, deployment: &str, id: &str, error: &str) {
        let problem = self
            .shared
            .instances
            .view(id)
            .ok()
            .and_then(|view| view.observed.problem);
        let container = problem.as_ref().map(|problem| problem.container.clone());
        let log = match &container {
            Some(container) => logs::last_lines(&*self.shared.engine, container, LOG_LINES).await,
            None => Ok(Vec::new()),
        };
        let unreadable = |error| vec![format!("(the log cannot be read: {error})")];
        let log = log.map_or_else(unreadable, logs::texts);
        let change = |deployment: &mut Deployment| {
            deployment.error = Some(error.to_owned());
            deployment.probe = problem
                .map(|problem| problem.answer)
                .filter(|text| !text.is_empty());
            deployment.log = log;
        };
        self.shared.deployments.change(deployment, change).await;
    }
}

/// How long to wait before the store is asked again.
const RETRY: Duration = Duration::from_secs(2);
