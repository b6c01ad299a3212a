//! A release takes the place of another: recording that it is to, that it has, or that it cannot.

use jiff::Timestamp;

use super::{Goal, Instances};
use crate::{
    AppInstance, Error, InstanceView, Site, Wanted,
    app_instance::Rollout,
    deployments::{Deployment, DeploymentStatus, DeploymentStep},
    engine::EngineImage,
    failpoints::Failpoint,
    ids::random_id,
    releases::{Content, Reason, Release, ReleaseStatus},
};

/// What is to run.
pub(crate) struct Order {
    pub(crate) reason: Reason,
    /// Whether an instance that is stopped runs then.
    pub(crate) starts: bool,
    /// Hostnames to have from the switch on, if those are to change as well.
    pub(crate) hostnames: Option<Vec<Site>>,
    /// Changes what is to run.
    pub(crate) change: ContentChange,
}

/// Changes what an instance is to run.
pub(crate) type ContentChange = Box<dyn FnOnce(&mut AppInstance) -> Result<(), Error> + Send>;

impl Order {
    /// New containers of the newest image of the same name.
    pub(crate) fn newest(reason: Reason) -> Self {
        let change = |record: &mut AppInstance| {
            record.image_id = None;
            Ok(())
        };
        Self {
            reason,
            starts: reason == Reason::Rebuild,
            hostnames: None,
            change: Box::new(change),
        }
    }
}

/// What follows once it is recorded that a new release serves.
pub(super) struct Switched {
    deployment: String,
    release: Option<String>,
    from_release: Option<String>,
    /// Those that the release before had in the end.
    hostnames: Vec<Site>,
}

/// What was recorded for an order.
pub(crate) struct Begun {
    pub(crate) deployment: String,
    /// What to wait for; `None`: the release runs when the instance is started.
    pub(crate) goal: Option<Goal>,
}

/// What is told of a deployment from the switch on.
pub(crate) const SWITCHED_TEXT: &str = "requests go to the new containers";

impl Instances {
    /// Records a new release of an instance, and that it is to take the place of the one that serves.
    pub(crate) async fn begin_rollout(&self, id: &str, order: Order) -> Result<Begun, Error> {
        let _order = self.wishes.lock().await;
        let view = self.view(id)?;
        let current = &*view.record;
        if current.wanted == Wanted::Removed {
            return Err(Error::NoSuchInstance(id.to_owned()));
        }
        let mut record = current.clone();
        // One that has not served yet is overtaken.
        let switched = self.enter_switch_if_done(&view, &mut record);
        let overtaken = record.rollout.take();
        let before = record.hostnames.clone();
        (order.change)(&mut record)?;
        for site in order.hostnames.iter().flatten() {
            self.check_free(&site.address, id)?;
        }
        record.wish += 1;
        record.generation = record.wish;
        record.given_up = None;
        let runs = order.starts || matches!(current.wanted, Wanted::Running { .. });
        if runs && matches!(current.wanted, Wanted::Stopped { .. }) {
            self.check_room(current.replicas)?;
        }
        if runs {
            let past = view.observed.runs.clone();
            record.wanted = Wanted::Running {
                past,
                restart: false,
            };
        }
        let (from, from_release, wanted_before) = match overtaken.clone() {
            Some(Rollout {
                from,
                from_release,
                before,
                ..
            }) => (from, from_release, before),
            None => (
                current.generation,
                current.release.clone(),
                current.wanted.clone(),
            ),
        };
        let mut release = release_of(&record, order.reason);
        release.content.digest = self.releases.digest_of(&release);
        let deployment = deployment_of(&release, from_release.clone(), runs);
        record.release = Some(release.id.clone());
        let rollout = Rollout {
            deployment: deployment.id.clone(),
            wish: record.wish,
            from,
            from_release: from_release.clone(),
            before: wanted_before,
            hostnames: order.hostnames.clone(),
        };
        record.rollout = runs.then_some(rollout);
        if let (false, Some(hostnames)) = (runs, order.hostnames) {
            record.hostnames = hostnames;
        }
        let (release_id, begun) = (release.id.clone(), deployment.id.clone());
        self.releases.put(release).await?;
        Failpoint::ReleaseRecorded.reach();
        self.deployments.add(deployment).await?;
        Failpoint::DeploymentRecorded.reach();
        let goal = runs.then(|| Goal::Wish(record.wish, record.wanted.clone()));
        if let Err(error) = self.enter_change(id, record).await {
            let failed = |release: &mut Release| release.status = ReleaseStatus::Failed;
            drop(self.releases.change(id, &release_id, failed).await);
            let text = error.to_string();
            self.deployments
                .step(&begun, DeploymentStatus::Failed, text)
                .await;
            return Err(error);
        }
        Failpoint::WishRecorded.reach();
        if let Some(switched) = switched {
            self.tell_switch(id, switched).await;
        }
        if let Some(overtaken) = &overtaken {
            let text = "another deployment was begun";
            self.overtake(id, overtaken, current.release.as_deref(), text)
                .await;
        }
        if !runs {
            self.follow_on(id, &release_id, from_release.as_deref(), before)
                .await;
        }
        self.wake(id);
        Ok(Begun {
            deployment: begun,
            goal,
        })
    }

    /// Records that the new release serves; false when another wish came first.
    pub(crate) async fn finish_rollout(&self, id: &str, deployment: &str) -> Result<bool, Error> {
        let mut switched = None;
        let change = self.change(id, |_, record| {
            let rollout = record.rollout.take_if(|r| r.deployment == deployment);
            switched = rollout.map(|rollout| self.enter_switch(record, rollout));
            Ok(())
        });
        change.await?;
        match switched {
            Some(switched) => self.tell_switch(id, switched).await,
            // Whoever wished something else since then may have recorded it.
            None => return Ok(self.deployments.has_switched(deployment)),
        }
        Ok(true)
    }

    /// Enters in a record that its new release serves, if it does and nobody has written that down yet.
    /// What is wished next goes on from there.
    pub(super) fn enter_switch_if_done(
        &self,
        view: &InstanceView,
        record: &mut AppInstance,
    ) -> Option<Switched> {
        let serves = |rollout: &mut Rollout| view.observed.carried_out >= rollout.wish;
        let rollout = record.rollout.take_if(serves)?;
        Some(self.enter_switch(record, rollout))
    }

    fn enter_switch(&self, record: &mut AppInstance, rollout: Rollout) -> Switched {
        let before = record.hostnames.clone();
        if let Some(hostnames) = rollout.hostnames {
            // What somebody else was given meanwhile stays with them.
            let is_free = |site: &Site| self.check_free(&site.address, &record.id).is_ok();
            record.hostnames = hostnames.into_iter().filter(is_free).collect();
        }
        Switched {
            deployment: rollout.deployment,
            release: record.release.clone(),
            from_release: rollout.from_release,
            hostnames: before,
        }
    }

    /// Writes down what follows from a switch that has been recorded.
    pub(super) async fn tell_switch(&self, id: &str, switched: Switched) {
        Failpoint::FinishRecorded.reach();
        let deployments = &self.deployments;
        deployments
            .step(
                &switched.deployment,
                DeploymentStatus::Draining,
                SWITCHED_TEXT,
            )
            .await;
        if let Some(release) = &switched.release {
            let from = switched.from_release.as_deref();
            self.follow_on(id, release, from, switched.hostnames).await;
        }
    }

    /// The release before is wanted again, as it was. Does nothing when another wish came first.
    pub(crate) async fn take_back(&self, id: &str, deployment: &str) -> Result<(), Error> {
        let mut failed = None;
        let change = self.change(id, |_, record| {
            if let Some(rollout) = record.rollout.take_if(|r| r.deployment == deployment) {
                failed = record.release.clone();
                self.go_back(record, &rollout);
                // Another wish than the one that has failed: whoever waits for that one knows.
                record.wanted = rollout.before;
            }
            Ok(())
        });
        change.await?;
        if let Some(release) = failed {
            Failpoint::TakenBack.reach();
            let failed = |release: &mut Release| release.status = ReleaseStatus::Failed;
            self.releases.change(id, &release, failed).await?;
            Failpoint::NewReleaseFailed.reach();
        }
        self.wake(id);
        Ok(())
    }

    /// Makes a record want the release that serves.
    pub(super) fn go_back(&self, record: &mut AppInstance, rollout: &Rollout) {
        record.generation = rollout.from;
        record.release.clone_from(&rollout.from_release);
        let release = rollout.from_release.as_ref();
        if let Some(release) = release.and_then(|release| self.releases.get(&record.id, release)) {
            release.content.enter(record);
        }
    }

    /// Wants an instance stopped whose program ends again and again, unless there is a newer wish.
    pub(crate) async fn give_up(&self, id: &str, wish: u64, why: String) -> Result<(), Error> {
        let change = self.change(id, |_, record| {
            if record.wish == wish {
                record.wish += 1;
                record.wanted = Wanted::Stopped { kill: false };
                record.given_up = Some(why);
            }
            Ok(())
        });
        change.await.map(drop)
    }

    /// Writes down which image exactly a release is made of, once that is known.
    pub(crate) async fn made_from(
        &self,
        id: &str,
        release: u64,
        image: &EngineImage,
    ) -> Result<(), Error> {
        let change = self.change(id, |_, record| {
            if record.generation == release && record.image_id.is_none() {
                record.image_id = Some(image.id.clone());
            }
            Ok(())
        });
        match change.await {
            // What is being removed needs to know no more.
            Ok(_) | Err(Error::NoSuchInstance(_)) => {}
            Err(error) => return Err(error),
        }
        let Some(known) = self.releases.numbered(id, release) else {
            return Ok(());
        };
        let noted = self.releases.change(id, &known.id, |release| {
            let content = &mut release.content;
            content.image_id.get_or_insert_with(|| image.id.clone());
            if content.digest.is_none() {
                content.digest = image.digests.first().cloned();
            }
        });
        noted.await
    }

    /// The exact image cannot be had any more: whatever has its name now is taken.
    pub(crate) async fn take_any_image(&self, id: &str, release: u64) -> Result<(), Error> {
        let change = self.change(id, |_, record| {
            if record.generation == release {
                record.image_id = None;
            }
            Ok(())
        });
        change.await.map(drop)
    }

    /// Records the release that an instance is launched with.
    pub(super) async fn with_first_release(
        &self,
        mut record: AppInstance,
    ) -> Result<AppInstance, Error> {
        let mut release = release_of(&record, Reason::Launch);
        release.status = ReleaseStatus::Current;
        release.created_at = record.created_at;
        record.release = Some(release.id.clone());
        self.releases.put(release).await?;
        Ok(record)
    }

    /// A release has taken the place of another: both are written down as what they are now.
    async fn follow_on(&self, id: &str, release: &str, from: Option<&str>, hostnames: Vec<Site>) {
        let current = |release: &mut Release| release.status = ReleaseStatus::Current;
        let superseded = |release: &mut Release| {
            release.status = ReleaseStatus::Superseded;
            release.content.hostnames = hostnames;
        };
        let mut noted = self.releases.change(id, release, current).await;
        Failpoint::NewReleaseCurrent.reach();
        if let (Ok(()), Some(from)) = (&noted, from) {
            noted = self.releases.change(id, from, superseded).await;
            Failpoint::OldReleaseSuperseded.reach();
        }
        if let Err(error) = noted {
            tracing::warn!(instance = %id, %error, "a release's status was not written down");
        }
    }

    /// A release never served, because something else was wished; `text` says what.
    pub(super) async fn overtake(
        &self,
        id: &str,
        rollout: &Rollout,
        release: Option<&str>,
        text: &str,
    ) {
        let superseded = DeploymentStatus::Superseded;
        self.deployments
            .step(&rollout.deployment, superseded, text)
            .await;
        Failpoint::OvertakenTold.reach();
        let overtaken = |release: &mut Release| release.status = ReleaseStatus::Superseded;
        if let Some(release) = release {
            drop(self.releases.change(id, release, overtaken).await);
        }
    }
}

fn release_of(record: &AppInstance, reason: Reason) -> Release {
    Release {
        id: random_id(),
        instance: record.id.clone(),
        number: record.generation,
        content: Content::of(record),
        created_at: Timestamp::now(),
        reason,
        status: ReleaseStatus::Pending,
    }
}

fn deployment_of(release: &Release, from: Option<String>, runs: bool) -> Deployment {
    let at = Timestamp::now();
    let (status, text) = match runs {
        true => (DeploymentStatus::Queued, "recorded".to_owned()),
        false => (
            DeploymentStatus::Succeeded,
            "takes effect when the app instance is started".to_owned(),
        ),
    };
    Deployment {
        id: random_id(),
        instance: release.instance.clone(),
        release: release.id.clone(),
        from,
        reason: release.reason,
        status,
        started_at: at,
        finished_at: (!runs).then_some(at),
        steps: vec![DeploymentStep { at, status, text }],
        error: None,
        probe: None,
        log: Vec::new(),
    }
}
