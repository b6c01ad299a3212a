//! All deployments as they stand, and the only place where they change.

use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{Deployment, DeploymentStatus, DeploymentStep};
use crate::{Change, Error, Observer, store::Store};

/// Deployments of one instance that are remembered.
const KEPT: usize = 25;
/// Steps that are remembered of one.
const MOST_STEPS: usize = 200;

pub(crate) struct Deployments {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
    /// Oldest first.
    table: Mutex<IndexMap<String, Deployment>>,
    /// Held while one is written, so that the newest text is the one that stays.
    writing: tokio::sync::Mutex<()>,
}

impl Deployments {
    pub(crate) fn new(store: Arc<dyn Store>, observer: Arc<dyn Observer>) -> Self {
        Self {
            store,
            observer,
            table: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Fills the table from the store.
    pub(crate) async fn load(&self) -> Result<(), Error> {
        for deployment in self.store.all::<Deployment>().await? {
            self.observer
                .changed(Change::Deployment(&deployment.id, Some(&deployment)));
            self.table.lock().insert(deployment.id.clone(), deployment);
        }
        Ok(())
    }

    /// Records a deployment, and forgets the oldest of its instance that are over.
    pub(crate) async fn add(&self, deployment: Deployment) -> Result<(), Error> {
        self.store.put(&deployment).await?;
        let instance = deployment.instance.clone();
        {
            let mut table = self.table.lock();
            self.observer
                .changed(Change::Deployment(&deployment.id, Some(&deployment)));
            table.insert(deployment.id.clone(), deployment);
        }
        for old in self.too_old(&instance) {
            self.remove(&old).await?;
        }
        Ok(())
    }

    /// Of an instance, those that are not over.
    pub(crate) fn under_way(&self, instance: &str) -> Vec<Deployment> {
        let table = self.table.lock();
        let own = table
            .values()
            .filter(|d| d.instance == instance && !d.status.is_final());
        own.cloned().collect()
    }

    /// All that are not over.
    pub(crate) fn all_under_way(&self) -> Vec<Deployment> {
        let table = self.table.lock();
        let all = table.values().filter(|d| !d.status.is_final());
        all.cloned().collect()
    }

    /// Whether the deployment of a release has failed.
    pub(crate) fn has_failed(&self, release: &str) -> bool {
        let table = self.table.lock();
        let mut own = table.values().filter(|d| d.release == release);
        own.any(|d| d.status == DeploymentStatus::Failed)
    }

    /// Whether requests go to the containers of a deployment, or did.
    pub(crate) fn has_switched(&self, id: &str) -> bool {
        let table = self.table.lock();
        let status = table.get(id).map(|deployment| deployment.status);
        matches!(
            status,
            Some(DeploymentStatus::Draining | DeploymentStatus::Succeeded)
        )
    }

    /// Why the newest deployment of an instance that was seen through failed, if it did.
    pub(crate) fn last_failure(&self, instance: &str) -> Option<String> {
        let table = self.table.lock();
        let is_seen_through = |d: &&Deployment| {
            let unknown = d.status == DeploymentStatus::Superseded || d.finished_at.is_none();
            d.instance == instance && !unknown
        };
        let newest = table.values().filter(is_seen_through);
        let newest = newest.max_by_key(|deployment| deployment.started_at)?;
        let failed = newest.status == DeploymentStatus::Failed;
        newest
            .steps
            .last()
            .filter(|_| failed)
            .map(|step| step.text.clone())
    }

    /// Notes a step. What is told already is not told again.
    pub(crate) async fn step(&self, id: &str, status: DeploymentStatus, text: impl Into<String>) {
        let text = text.into();
        let step = |deployment: &mut Deployment| {
            let is_known = deployment
                .steps
                .last()
                .is_some_and(|last| last.text == text);
            if deployment.status.is_final() || is_known || deployment.steps.len() >= MOST_STEPS {
                return;
            }
            deployment.status = deployment.status.max(status);
            let at = Timestamp::now();
            if status.is_final() {
                deployment.finished_at = Some(at);
            }
            deployment.steps.push(DeploymentStep { at, status, text });
        };
        self.change(id, step).await;
    }

    /// Changes a deployment. A store that fails is no reason to give it up: what is written next tells
    /// all of it.
    pub(crate) async fn change(&self, id: &str, change: impl FnOnce(&mut Deployment)) {
        let _order = self.writing.lock().await;
        let changed = {
            let mut table = self.table.lock();
            let Some(deployment) = table.get_mut(id) else {
                return;
            };
            let before = deployment.clone();
            change(deployment);
            if *deployment == before {
                return;
            }
            self.observer
                .changed(Change::Deployment(id, Some(deployment)));
            deployment.clone()
        };
        if let Err(error) = self.store.put(&changed).await {
            tracing::warn!(deployment = %id, %error, "a deployment's step was not written down");
        }
    }

    /// Forgets all deployments of an instance that is gone.
    pub(crate) async fn forget(&self, instance: &str) -> Result<(), Error> {
        let own: Vec<String> = {
            let table = self.table.lock();
            let own = table.values().filter(|d| d.instance == instance);
            own.map(|d| d.id.clone()).collect()
        };
        for id in own {
            self.remove(&id).await?;
        }
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), Error> {
        self.store.remove::<Deployment>(id).await?;
        self.table.lock().shift_remove(id);
        self.observer.changed(Change::Deployment(id, None));
        Ok(())
    }

    fn too_old(&self, instance: &str) -> Vec<String> {
        let table = self.table.lock();
        let own: Vec<_> = table.values().filter(|d| d.instance == instance).collect();
        let surplus = own.len().saturating_sub(KEPT);
        let over = own.into_iter().filter(|d| d.status.is_final());
        over.take(surplus).map(|d| d.id.clone()).collect()
    }
}
