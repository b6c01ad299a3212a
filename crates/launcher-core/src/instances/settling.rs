//! What an earlier launcher left half recorded when it was killed: made whole before anybody looks.

use super::Instances;
use crate::{
    AppInstance, Deployment, Error, Release, ReleaseStatus, Wanted, deployments::DeploymentStatus,
};

impl Instances {
    /// Ends the deployments that nobody goes on with, and lets each release say what it is. Before the
    /// reconciler begins.
    pub(super) async fn settle(&self) -> Result<(), Error> {
        for deployment in self.deployments.all_under_way() {
            self.settle_deployment(&deployment).await?;
        }
        for id in self.releases.instances() {
            match self.view(&id) {
                Ok(view) => self.settle_releases(&view.record).await?,
                // Its launch was never recorded.
                Err(_) => self.releases.forget(&id).await?,
            }
        }
        Ok(())
    }

    async fn settle_deployment(&self, deployment: &Deployment) -> Result<(), Error> {
        let Ok(view) = self.view(&deployment.instance) else {
            return self.deployments.forget(&deployment.instance).await;
        };
        let record = &view.record;
        let rollout = record.rollout.as_ref();
        let goes_on = rollout.is_some_and(|rollout| rollout.deployment == deployment.id);
        // What has switched only waits for the end of the old containers.
        let serves = rollout.is_none() && record.release.as_ref() == Some(&deployment.release);
        if goes_on || serves || record.wanted == Wanted::Removed {
            return Ok(());
        }
        let release = self.releases.get(&record.id, &deployment.release);
        let was_wished = release.is_none_or(|release| release.number <= record.wish);
        let (status, text) = match &deployment.error {
            Some(error) => (
                DeploymentStatus::Failed,
                format!("{error}; the app instance goes on as it was"),
            ),
            None if !was_wished => (
                DeploymentStatus::Failed,
                "the launcher ended before it was begun".to_owned(),
            ),
            None => (
                DeploymentStatus::Superseded,
                "something else was wished before it was done".to_owned(),
            ),
        };
        let note = |deployment: &mut Deployment| {
            if status == DeploymentStatus::Failed {
                deployment.error.get_or_insert_with(|| text.clone());
            }
        };
        self.deployments.change(&deployment.id, note).await;
        self.deployments.step(&deployment.id, status, &text).await;
        Ok(())
    }

    async fn settle_releases(&self, record: &AppInstance) -> Result<(), Error> {
        for release in self.releases.of(&record.id) {
            let status = self.status_of(&release, record);
            let settle = |release: &mut Release| release.status = status;
            self.releases
                .change(&record.id, &release.id, settle)
                .await?;
        }
        Ok(())
    }

    /// What a release is, as the record has it.
    fn status_of(&self, release: &Release, record: &AppInstance) -> ReleaseStatus {
        let is = |id: Option<&String>| id == Some(&release.id);
        let rollout = record.rollout.as_ref();
        match (rollout, release.status) {
            (Some(_), _) if is(record.release.as_ref()) => ReleaseStatus::Pending,
            (Some(rollout), _) if is(rollout.from_release.as_ref()) => ReleaseStatus::Current,
            (None, _) if is(record.release.as_ref()) => ReleaseStatus::Current,
            (_, ReleaseStatus::Pending) if self.deployments.has_failed(&release.id) => {
                ReleaseStatus::Failed
            }
            (_, ReleaseStatus::Current | ReleaseStatus::Pending) => ReleaseStatus::Superseded,
            (_, status) => status,
        }
    }
}
