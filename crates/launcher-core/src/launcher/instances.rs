//! What callers can ask about app instances.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::Launcher;
use crate::{
    AppInstance, ContainerConfig, Environment, Error, ImageName, Site, SiteAddress, SiteOptions,
    Wanted,
    engine::{EngineError, LABEL_RECORD},
    environment::{self, masked_command},
    health::HealthSettings,
    ids::random_id,
    instances::{Goal, LAUNCH, Order, Wish, given_up},
    limits::Limits,
    releases::Reason,
};

/// How long a caller waits for a wish about an existing container.
const WISH: Duration = Duration::from_secs(120);
/// How long a failed launch may take to clean up before its caller is told.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// What to launch.
#[derive(Clone, Debug)]
pub struct LaunchOptions {
    /// The image to run; pulled if the engine does not have it.
    pub image: ImageName,
    /// The app's variables.
    pub env: Environment,
    /// Hostnames to route to it.
    pub hostnames: Vec<Site>,
    /// Address to publish and route to instead of the one that ports are bound to.
    pub host: Option<String>,
    /// Whether its container is replaced when a registry tells of a newer image.
    pub auto_deploy: bool,
    /// How many containers run.
    pub replicas: u32,
    /// What each of them may use.
    pub limits: Limits,
    /// What is said of them in Docker's own words.
    pub config: ContainerConfig,
    /// How it is found out whether they answer.
    pub health: HealthSettings,
    /// What the launch waits for.
    pub wait: Wait,
}

/// What a launch waits for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Wait {
    /// Nothing: it is recorded.
    None,
    /// The containers have been started.
    #[default]
    Started,
    /// They answer.
    Ready,
}

impl Launcher {
    /// Records a new instance, makes and starts its container, and returns its id. Of a launch that
    /// fails nothing is left.
    ///
    /// # Errors
    /// [`Error::HostnameTaken`], or why the container could not be started.
    pub async fn launch(&self, options: LaunchOptions) -> Result<String, Error> {
        self.images.build_ended(&options.image).await;
        let wanted = Wanted::Running {
            past: Vec::new(),
            restart: false,
        };
        let record = AppInstance {
            id: random_id(),
            image: options.image,
            env: options.env,
            hostnames: options.hostnames,
            maintenance: false,
            host: options.host,
            created_at: Timestamp::now(),
            wanted: wanted.clone(),
            wish: 1,
            generation: 0,
            image_id: None,
            release: None,
            rollout: None,
            replicas: options.replicas,
            limits: options.limits,
            config: options.config,
            health: options.health,
            auto_deploy: options.auto_deploy,
            given_up: None,
        };
        let id = record.id.clone();
        let image = record.image.clone();
        self.instances.add(record).await?;
        if self.added.send(id.clone()).is_err() {
            self.take_back(&id).await;
            return Err(Error::ShuttingDown);
        }
        if options.wait == Wait::None {
            return Ok(id);
        }
        let mut outcome = self
            .instances
            .reached(&id, &Goal::Wish(1, wanted), LAUNCH)
            .await;
        if outcome.is_ok() && options.wait == Wait::Ready {
            outcome = self.await_first_ready(&id).await;
        }
        match outcome {
            // Somebody has stopped it meanwhile: it was launched all the same.
            Ok(()) | Err(Error::Superseded(_)) => {}
            Err(Error::NoSuchInstance(_)) => return Err(removed_meanwhile()),
            // The same, or deployed: it is no longer this caller's alone.
            Err(_) if self.was_wished_anew(&id) => {}
            Err(error) => {
                self.take_back(&id).await;
                return Err(given_up(error));
            }
        }
        self.list_image(&image).await;
        Ok(id)
    }

    /// Whether there has been a wish since the instance was launched.
    fn was_wished_anew(&self, id: &str) -> bool {
        let view = self.instances.view(id);
        view.is_ok_and(|view| view.record.wish != 1)
    }

    /// Starts an instance that is stopped.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], or why it could not be started.
    pub async fn start_instance(&self, id: &str) -> Result<(), Error> {
        self.carry_out(id, Wish::Start).await
    }

    /// Ends the instance's program, if it runs, and starts it again.
    ///
    /// # Errors
    /// As [`Self::start_instance`].
    pub async fn restart_instance(&self, id: &str) -> Result<(), Error> {
        self.carry_out(id, Wish::Restart).await
    }

    /// Asks the instance's programs to end, and kills those that have not ended after
    /// [`Patience::grace`](crate::Patience::grace).
    ///
    /// # Errors
    /// As [`Self::start_instance`].
    pub async fn stop_instance(&self, id: &str) -> Result<(), Error> {
        self.carry_out(id, Wish::Stop).await
    }

    /// Kills the instance's program.
    ///
    /// # Errors
    /// As [`Self::start_instance`].
    pub async fn kill_instance(&self, id: &str) -> Result<(), Error> {
        self.carry_out(id, Wish::Kill).await
    }

    /// Gives the instance a new container, made from the newest image of its name that the engine
    /// has; one that is stopped runs then. The old container goes on until the new one runs.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], or why the new container could not be made or does not run; then
    /// the instance goes on as it was.
    pub async fn rebuild_instance(&self, id: &str) -> Result<(), Error> {
        let order = Order::newest(Reason::Rebuild);
        let deployment = self.deployer.begin(id, order).await?;
        self.deployer.finished(&deployment).await
    }

    /// Gives each instance a new container, one instance after the other; those that are stopped get
    /// theirs when they are started. Goes on with the others when one fails.
    ///
    /// # Errors
    /// Which instances go on as they were, and why.
    pub async fn rebuild_all(&self) -> Result<(), Error> {
        let mut failures = Vec::new();
        for id in self.instances.ids() {
            let order = Order {
                starts: false,
                ..Order::newest(Reason::Rebuild)
            };
            let outcome = match self.deployer.begin(&id, order).await {
                Ok(deployment) => self.deployer.finished(&deployment).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) | Err(Error::NoSuchInstance(_)) => {}
                Err(error @ Error::ShuttingDown) => return Err(error),
                Err(error) => failures.push(format!("{id}: {error}")),
            }
        }
        match failures.as_slice() {
            [] => Ok(()),
            failures => Err(Error::NotCarriedOut(failures.join("\n"))),
        }
    }

    /// Sets whether the instance's container is replaced when a registry tells of a newer image.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`].
    pub async fn set_auto_deploy(&self, id: &str, auto_deploy: bool) -> Result<(), Error> {
        self.instances.set_auto_deploy(id, auto_deploy).await
    }

    /// Removes the instance's routes at once, then its container, running or not, then its record.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`]; [`Error::Deadline`] when the engine does not let go of it, which is
    /// then tried for as long as it takes.
    pub async fn remove_instance(&self, id: &str) -> Result<(), Error> {
        let goal = match self.instances.wish(id, Wish::Remove).await {
            Ok(goal) => goal,
            // Somebody else is removing it already: wait together.
            Err(Error::NoSuchInstance(_)) => Goal::Gone(self.instances.view(id)?.record.wish),
            Err(error) => return Err(error),
        };
        self.instances.reached(id, &goal, WISH).await
    }

    /// The engine's own description of the instance's first container, or of a replica's, its secret
    /// variables and passwords in its command masked.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], [`Error::NoSuchReplica`], or that there is no container.
    pub async fn container_info(
        &self,
        id: &str,
        replica: Option<u32>,
    ) -> Result<serde_json::Value, Error> {
        let view = self.instances.view(id)?;
        let mut found = view.containers_of(replica)?;
        let container = match replica {
            None => view.observed.container_id.clone(),
            Some(_) => found.next().map(|container| container.id.clone()),
        };
        let none =
            || EngineError::NotFound(format!("The app instance with ID {id} has no container"));
        let container = container.ok_or_else(none)?;
        let mut info = self.engine.inspect(&container).await?;
        mask(&mut info);
        Ok(info)
    }

    /// The variables that the instance was launched with, secrets included.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`].
    pub fn environment(&self, id: &str) -> Result<Environment, Error> {
        Ok(self.instances.view(id)?.record.env.clone())
    }

    /// Routes a hostname to the instance. Of one that it has already only the options change, where any are given.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], [`Error::HostnameTaken`], [`Error::TooManyHostnames`].
    pub async fn add_hostname(
        &self,
        id: &str,
        address: SiteAddress,
        options: Option<SiteOptions>,
    ) -> Result<(), Error> {
        self.instances.add_hostname(id, address, options).await
    }

    /// Gives a hostname of the instance these options, and no others.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], [`Error::NoSuchHostname`].
    pub async fn set_hostname_options(
        &self,
        id: &str,
        address: &SiteAddress,
        options: SiteOptions,
    ) -> Result<(), Error> {
        self.instances
            .set_hostname_options(id, address, options)
            .await
    }

    /// Tells visitors that somebody works on the instance, whether it runs or not; or no longer.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`].
    pub async fn set_maintenance(&self, id: &str, on: bool) -> Result<(), Error> {
        self.instances.set_maintenance(id, on).await
    }

    /// No longer routes a hostname to the instance. One that it does not have changes nothing.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`].
    pub async fn remove_hostname(&self, id: &str, hostname: &SiteAddress) -> Result<(), Error> {
        self.instances.remove_hostname(id, hostname).await
    }

    pub(super) async fn carry_out(&self, id: &str, wish: Wish) -> Result<(), Error> {
        let goal = self.instances.wish(id, wish).await?;
        self.instances.reached(id, &goal, WISH).await
    }

    /// Removes what a failed launch left. Its caller waits for that, but not for ever.
    async fn take_back(&self, id: &str) {
        let removal = timeout(CLEAN_UP, self.remove_instance(id)).await;
        match removal {
            Ok(Ok(()) | Err(Error::NoSuchInstance(_))) => {}
            _ => tracing::warn!(instance = %id, "a failed launch is still being removed"),
        }
    }

    /// An image that was launched from is listed, whoever put it on the engine.
    async fn list_image(&self, name: &ImageName) {
        let noted = match self.engine.image(&name.with_tag()).await {
            Ok(Some(found)) => self.images.note_present(name, &found).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = noted {
            tracing::warn!(image = %name, %error, "the image could not be listed");
        }
    }
}

fn removed_meanwhile() -> Error {
    Error::NotCarriedOut("the app instance was removed while it was being launched".into())
}

fn mask(info: &mut serde_json::Value) {
    // Paths of probes may have secrets in their queries.
    let labels = info.pointer_mut("/Config/Labels");
    if let Some(labels) = labels.and_then(|labels| labels.as_object_mut()) {
        labels.remove(LABEL_RECORD);
    }
    for path in ["/Args", "/Config/Cmd", "/Config/Entrypoint"] {
        let command = info.pointer_mut(path);
        if let Some(words) = command.and_then(|command| command.as_array_mut()) {
            let texts = words.iter().filter_map(|word| word.as_str());
            let texts: Vec<String> = texts.map(str::to_owned).collect();
            *words = masked_command(&texts).into_iter().map(Into::into).collect();
        }
    }
    let Some(env) = info
        .pointer_mut("/Config/Env")
        .and_then(|env| env.as_array_mut())
    else {
        return;
    };
    for entry in env {
        if let Some((name, value)) = entry.as_str().and_then(|text| text.split_once('=')) {
            *entry = format!("{name}={}", environment::masked_value(name, value)).into();
        }
    }
}
