//! What callers can ask about releases, and how many containers run one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::Launcher;
use crate::{
    AppInstance, ContainerConfig, ContainerView, Difference, Environment, Error, ImageName,
    InstanceView, Limits, Release, Status, Wanted,
    app_instance::MAX_REPLICAS,
    health::{Health, HealthSettings, ProbeTarget, in_words},
    instances::{ContentChange, Order, Wish},
    logs,
    releases::{self, Reason, ReleaseStatus},
};

/// How long an app may take to get ready beyond its start period, where nothing else is said.
const BEYOND_START: Duration = Duration::from_secs(30);
/// Lines that are told of an app that did not get ready.
const LOG_LINES: usize = 20;

/// Makes an instance's variables from those that it has.
pub type EnvironmentChange = Box<dyn FnOnce(&Environment) -> Environment + Send>;

/// What a deployment changes. What is left out stays as it is.
#[derive(Default)]
pub struct DeployOptions {
    /// The image; without one, the newest of the same name.
    pub image: Option<ImageName>,
    /// The variables, made from those of the moment at which the release is recorded.
    pub env: Option<EnvironmentChange>,
    /// What each container may use.
    pub limits: Option<Limits>,
    /// What is said of them in Docker's own words.
    pub config: Option<ContainerConfig>,
    /// How it is found out whether they answer.
    pub health: Option<HealthSettings>,
}

impl Launcher {
    /// Begins to deploy a new release of an instance: new containers take the place of the old ones as
    /// soon as all are ready; if they do not get ready, the old ones go on. Returns the deployment's id.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`].
    pub async fn deploy(&self, id: &str, options: DeployOptions) -> Result<String, Error> {
        let change = move |record: &mut AppInstance| {
            let DeployOptions {
                image,
                env,
                limits,
                config,
                health,
            } = options;
            record.image_id = None;
            record.image = image.unwrap_or_else(|| record.image.clone());
            if let Some(change) = env {
                record.env = change(&record.env);
            }
            record.limits = limits.unwrap_or_else(|| record.limits.clone());
            record.config = config.unwrap_or_else(|| record.config.clone());
            record.health = health.unwrap_or_else(|| record.health.clone());
            Ok(())
        };
        self.begin(id, Reason::Deploy, Box::new(change)).await
    }

    /// Begins to deploy the same image with other variables. Returns the deployment's id.
    ///
    /// # Errors
    /// As [`Self::deploy`].
    pub async fn set_environment(
        &self,
        id: &str,
        change: EnvironmentChange,
    ) -> Result<String, Error> {
        let change = move |record: &mut AppInstance| {
            record.env = change(&record.env);
            Ok(())
        };
        self.begin(id, Reason::Environment, Box::new(change)).await
    }

    /// Begins to deploy the same image with another `ROOT_URL`. Returns the deployment's id.
    ///
    /// # Errors
    /// As [`Self::deploy`].
    pub async fn set_root_url(&self, id: &str, root_url: String) -> Result<String, Error> {
        let change = move |record: &mut AppInstance| {
            record.env.insert("ROOT_URL".into(), root_url);
            Ok(())
        };
        self.begin(id, Reason::RootUrl, Box::new(change)).await
    }

    /// Begins to deploy what an earlier release of the instance was: the same image, variables, limits,
    /// health settings and hostnames. Returns the deployment's id.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], [`Error::NoSuchRelease`], [`Error::HostnameTaken`].
    pub async fn rollback(&self, id: &str, release: &str) -> Result<String, Error> {
        self.instances.view(id)?;
        let unknown = || Error::NoSuchRelease(release.to_owned());
        let release = self.releases.get(id, release).ok_or_else(unknown)?;
        let content = release.content.clone();
        // Of one that another took the place of it is known which hostnames it had in the end.
        let hostnames = match release.status {
            ReleaseStatus::Superseded => Some(content.hostnames.clone()),
            ReleaseStatus::Current | ReleaseStatus::Failed | ReleaseStatus::Pending => None,
        };
        let change = move |record: &mut AppInstance| {
            content.enter(record);
            Ok(())
        };
        let order = Order {
            reason: Reason::Rollback,
            starts: false,
            hostnames,
            change: Box::new(change),
        };
        self.deployer.begin(id, order).await
    }

    /// What differs between two releases, which may be of different instances.
    ///
    /// # Errors
    /// [`Error::NoSuchRelease`].
    pub fn diff_releases(&self, a: &str, b: &str) -> Result<Vec<Difference>, Error> {
        Ok(releases::diff(
            &self.release(a)?.content,
            &self.release(b)?.content,
        ))
    }

    /// A release by its id.
    ///
    /// # Errors
    /// [`Error::NoSuchRelease`].
    pub fn release(&self, id: &str) -> Result<Arc<Release>, Error> {
        self.releases
            .find(id)
            .ok_or_else(|| Error::NoSuchRelease(id.to_owned()))
    }

    /// Has this many containers run, and returns when they have been started.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], [`Error::TooManyReplicas`], or why they cannot be started.
    pub async fn scale(&self, id: &str, replicas: u32) -> Result<(), Error> {
        if !(1..=MAX_REPLICAS).contains(&replicas) {
            return Err(Error::TooManyReplicas(MAX_REPLICAS));
        }
        self.carry_out(id, Wish::Scale(replicas)).await
    }

    /// Waits until all containers of an instance are ready. Without a timeout that is the start period
    /// that it has, and a little more.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`]; [`Error::NotReady`] with the reason, and what the app wrote last.
    pub async fn await_ready(&self, id: &str, timeout: Option<Duration>) -> Result<(), Error> {
        let view = self.instances.view(id)?;
        let start_period = view.record.health.start_period;
        let timeout = timeout.unwrap_or(start_period + BEYOND_START);
        self.ready_within(id, timeout, readiness).await
    }

    /// The same for an instance that has just been launched: an app that did not get ready in its start
    /// period is not waited for any longer.
    pub(super) async fn await_first_ready(&self, id: &str) -> Result<(), Error> {
        let start_period = self.instances.view(id)?.record.health.start_period;
        self.ready_within(id, start_period + BEYOND_START, first_readiness)
            .await
    }

    async fn ready_within(
        &self,
        id: &str,
        timeout: Duration,
        judge: Readiness,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        match self.instances.ready(id, deadline.into(), judge).await? {
            Ok(()) => Ok(()),
            Err(reason) => Err(self.not_ready(id, reason, timeout).await),
        }
    }

    /// Why an instance is not ready, with what its app wrote last.
    async fn not_ready(&self, id: &str, reason: Option<String>, timeout: Duration) -> Error {
        let Ok(view) = self.instances.view(id) else {
            return Error::NoSuchInstance(id.to_owned());
        };
        let is_ready = |health| matches!(health, Health::Healthy | Health::None);
        let lines = &view.observed.containers;
        let culprit = lines
            .iter()
            .find(|line| line.status != Status::Running || !is_ready(line.health));
        let culprit = culprit.or(lines.first());
        let answer = match culprit.and_then(|line| line.port) {
            Some(port) => self.ask(&view, port).await.err(),
            None => why_nothing_runs(&view, culprit),
        };
        let log = match culprit {
            Some(line) => logs::last_lines(&*self.engine, &line.id, LOG_LINES).await,
            None => Ok(Vec::new()),
        };
        let within = || format!("not ready within {}", in_words(timeout));
        let mut text = reason.unwrap_or_else(within);
        if let Some(answer) = answer {
            text = format!("{text}: {answer}");
        }
        Error::NotReady {
            reason: text,
            log: log.map(logs::texts).unwrap_or_default(),
        }
    }

    async fn ask(&self, view: &InstanceView, port: u16) -> Result<(), String> {
        let record = &view.record;
        let root_url = record.env.get("ROOT_URL").map(String::as_str);
        let target = ProbeTarget::new(&view.host, port, &record.health)
            .visited_at(root_url, record.first_hostname());
        self.shared.prober.probe(&target, true).await.map(drop)
    }

    async fn begin(
        &self,
        id: &str,
        reason: Reason,
        change: ContentChange,
    ) -> Result<String, Error> {
        let order = Order {
            reason,
            starts: false,
            hostnames: None,
            change,
        };
        self.deployer.begin(id, order).await
    }
}

/// Why the container, or all of them where there is none, does not run.
fn why_nothing_runs(view: &InstanceView, line: Option<&ContainerView>) -> Option<String> {
    let exit = line.and_then(|line| line.exit.as_ref());
    let exit = exit.filter(|exit| !exit.was_asked);
    let failure = || Some(view.observed.failure.as_ref()?.message.clone());
    exit.map(|exit| exit.reason.clone()).or_else(failure)
}

/// Whether an instance is ready; `Err` with a reason if it is no use to wait for that.
pub(crate) type Readiness = fn(&InstanceView) -> Option<Result<(), String>>;

/// Until an app has been ready once, it is unhealthy only when its start period is over.
fn first_readiness(view: &InstanceView) -> Option<Result<(), String>> {
    let is_late = |line: &ContainerView| line.health == Health::Unhealthy;
    let late = view.observed.containers.iter().any(is_late);
    let within = || in_words(view.record.health.start_period);
    let too_late = || Err(format!("not ready within the start period of {}", within()));
    readiness(view).or_else(|| late.then(too_late))
}

/// Whether an instance is as it should be for its visitors; `Err` with a reason if it will not be by
/// itself.
pub(crate) fn readiness(view: &InstanceView) -> Option<Result<(), String>> {
    let (record, observed) = (&view.record, &view.observed);
    let is_ready = || {
        let ready = |line: &&ContainerView| {
            line.release == record.generation
                && line.status == Status::Running
                && matches!(line.health, Health::Healthy | Health::None)
        };
        let number = observed.containers.iter().filter(ready).count();
        u32::try_from(number).unwrap_or(u32::MAX) >= record.replicas
    };
    match &record.wanted {
        Wanted::Stopped { .. } => {
            let why = record.given_up.clone();
            Some(Err(
                why.unwrap_or_else(|| "the app instance is stopped".into())
            ))
        }
        Wanted::Removed => Some(Err("the app instance is being removed".into())),
        // What is on its way may be better than what there is.
        Wanted::Running { .. }
            if observed.carried_out != record.wish || record.rollout.is_some() =>
        {
            None
        }
        Wanted::Running { .. } if observed.status == Status::Crashed => {
            Some(Err("the app's program ends again and again".into()))
        }
        Wanted::Running { .. } => is_ready().then_some(Ok(())),
    }
}
