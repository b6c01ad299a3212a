//! The use cases: what callers can ask of the launcher.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    AppInstance, BuildOrder, BuildSettings, BuildSource, Environment, Error, Hostname, ImageName,
    ImageStatus, InstanceView, LogLine, NewRegistry, Observer, Status, Wanted,
    disk::{Collection, Disk, DiskParts, DiskSettings},
    engine::{Engine, EngineError},
    environment,
    hooks::{Deployments, Hooks},
    ids::random_id,
    images::{ImageSettings, Images, Watching},
    instances::{Goal, Instances, Wish},
    listing,
    rebuild::{Unfinished, finish_all, rebuild, unfinished},
    reconciler::Reconciler,
    source,
    store::Store,
    supervision::supervise,
    uploads::{UploadSettings, Uploads, sweep_for_ever},
    worker::Shared,
};

/// How long a caller waits for an instance to be launched; a pull has its own, shorter deadlines.
pub(crate) const LAUNCH: Duration = Duration::from_secs(70 * 60);
/// How long a caller waits for a wish about an existing container.
const WISH: Duration = Duration::from_secs(120);
/// How long a failed launch may take to clean up before its caller is told.
const CLEAN_UP: Duration = Duration::from_secs(30);
/// How long the engine may keep the launcher from starting with a true picture.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// How long the answer to a health check may take.
const HEALTH: Duration = Duration::from_secs(3);

/// What a launcher is made of.
pub struct Parts {
    /// Where wishes are recorded.
    pub store: Arc<dyn Store>,
    /// Runs the containers.
    pub engine: Arc<dyn Engine>,
    /// Hears of changes.
    pub observer: Arc<dyn Observer>,
}

/// How a launcher works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of this host that the apps' ports are bound to.
    pub instance_bind_ip: IpAddr,
    /// Directory for archives while they are needed. It is emptied at start.
    pub temporary: PathBuf,
    /// How archives are fetched.
    pub fetch: source::FetchOptions,
    /// How they are made into build contexts.
    pub source: source::Options,
    /// How archives are kept that callers upload.
    pub uploads: UploadSettings,
    /// How images are built.
    pub builds: BuildSettings,
    /// How the engine's disk is looked after.
    pub disk: DiskSettings,
}

/// What to launch.
#[derive(Clone, Debug)]
pub struct LaunchOptions {
    /// The image to run; pulled if the engine does not have it.
    pub image: ImageName,
    /// The app's variables.
    pub env: Environment,
    /// Hostnames to route to it.
    pub hostnames: Vec<Hostname>,
    /// Address to publish and route to instead of the one that ports are bound to.
    pub host: Option<String>,
    /// Whether its container is replaced when a registry tells of a newer image.
    pub auto_deploy: bool,
}

/// How the launcher is.
#[derive(Clone, Debug)]
pub struct Health {
    /// The engine's version, or why it does not answer.
    pub engine: Result<String, String>,
    /// Whether the store can be written to, or why not.
    pub store: Result<(), String>,
    /// Instances by status.
    pub instances: Vec<(Status, usize)>,
}

/// Launches app instances and keeps them as they are wanted.
pub struct Launcher {
    id: String,
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    instances: Arc<Instances>,
    images: Arc<Images>,
    disk: Arc<Disk>,
    uploads: Arc<Uploads>,
    hooks: Hooks,
    deployments: Arc<Deployments>,
    added: mpsc::UnboundedSender<String>,
    stop: CancellationToken,
    reconciler: TaskTracker,
}

impl Launcher {
    /// Loads the state, looks at the engine, and begins to reconcile. When this returns, observers
    /// have been told of everything as it is, unless the engine cannot be reached.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn start(parts: Parts, settings: Settings) -> Result<Self, Error> {
        let Parts {
            store,
            engine,
            observer,
        } = parts;
        let id = store.launcher_id().await?;
        let fetcher = source::Fetcher::new(settings.fetch)
            .map_err(|e| Error::NotCarriedOut(e.to_string()))?;
        let image_settings = ImageSettings {
            temporary: settings.temporary,
            source: source::Options {
                fetcher: Some(fetcher.clone()),
                ..settings.source
            },
            fetcher,
            builds: settings.builds,
            owner: id.clone(),
        };
        let uploads = Uploads::new(Arc::clone(&store), settings.uploads);
        uploads.load().await?;
        let images = Images::new(
            Arc::clone(&store),
            Arc::clone(&engine),
            Arc::clone(&observer),
            image_settings,
        );
        images.load().await?;
        let hooks = Hooks::new(Arc::clone(&store), Arc::clone(&observer));
        hooks.load().await?;
        let host = reachable(settings.instance_bind_ip);
        let watching = Arc::new(Watching {
            images: Arc::clone(&images),
            observer: Arc::clone(&observer),
        });
        let instances = Arc::new(Instances::new(Arc::clone(&store), watching, host));
        instances.load().await?;
        let disk_parts = DiskParts {
            engine: Arc::clone(&engine),
            instances: Arc::clone(&instances),
            images: Arc::clone(&images),
            observer,
            launcher_id: id.clone(),
        };
        let disk = Disk::new(disk_parts, settings.disk);
        let shared = Arc::new(Shared {
            engine: Arc::clone(&engine),
            instances: Arc::clone(&instances),
            images: Arc::clone(&images),
            launcher_id: id.clone(),
            bind_ip: settings.instance_bind_ip,
        });
        let (added, additions) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let reconciler = Reconciler::new(Arc::clone(&shared), additions);
        let left = first_look(&shared).await;
        let tasks = TaskTracker::new();
        tasks.spawn(reconciler.run(stop.clone()));
        let (rebuilt, ended) = (Arc::clone(&instances), stop.clone());
        tasks.spawn(async move {
            ended.run_until_cancelled(finish_all(&rebuilt, left)).await;
        });
        tasks.spawn(sweep(Arc::clone(&uploads), stop.clone()));
        let deployments = Deployments::new(&shared, tasks.clone(), stop.clone());
        tasks.spawn(look_after(Arc::clone(&disk), stop.clone()));
        Ok(Self {
            id,
            store,
            engine,
            hooks,
            deployments,
            instances,
            images,
            disk,
            uploads,
            added,
            stop,
            reconciler: tasks,
        })
    }

    /// Id of this launcher, which its containers carry.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Archives that callers upload.
    #[must_use]
    pub fn uploads(&self) -> &Arc<Uploads> {
        &self.uploads
    }

    /// Webhooks of registries.
    #[must_use]
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// A registry has told, by a hook, that these images were pushed to it. Returns at once: images
    /// that instances have are pulled, and containers replaced where that is wanted, in the
    /// background.
    pub fn pushed(&self, hook: &str, images: &[ImageName]) {
        if !images.is_empty() {
            self.hooks.note_push(hook, images);
        }
        for image in images {
            self.deployments.pushed(image);
        }
    }

    /// Ends all builds, pulls and pushes, which have failed thereby, and takes no new ones.
    pub async fn end_builds(&self) {
        self.images.builds().end_all().await;
    }

    /// Removes images that the launcher made and nobody needs, or tells what would be removed.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn collect_garbage(&self, dry_run: bool) -> Result<Collection, Error> {
        match dry_run {
            true => self.disk.dry_run().await,
            false => self.disk.collect_now().await,
        }
    }

    /// Somebody begins to watch the disk: old figures are replaced soon.
    pub fn disk_is_watched(&self) {
        self.disk.watched();
    }

    /// Stops reconciling. Containers go on running.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.reconciler.close();
        self.reconciler.wait().await;
    }

    /// Builds an image from the archive at `url` unless an image of that name exists; returns when
    /// the build has finished.
    ///
    /// # Errors
    /// [`Error::Build`] with what failed.
    pub async fn build_image_if_not_exist(&self, name: &ImageName, url: &Url) -> Result<(), Error> {
        let source = BuildSource::Url(url.clone());
        self.images.build_if_not_exist(name, source.into()).await
    }

    /// Begins to build an image, whether there is one of that name or not, and returns the build's id.
    ///
    /// # Errors
    /// [`Error::CannotBuildDigest`], [`Error::TooManyBuilds`].
    pub fn build_image(&self, name: &ImageName, order: BuildOrder) -> Result<String, Error> {
        self.images.begin_build(name, order)
    }

    /// Begins to pull an image, whether the engine has it or not, or joins its pull; returns the
    /// pull's id.
    ///
    /// # Errors
    /// [`Error::TooManyBuilds`].
    pub fn pull_image(&self, name: &ImageName) -> Result<String, Error> {
        self.images.begin_pull(name)
    }

    /// Begins to push an image to the registry that its name begins with, or joins its push; returns
    /// the push's id.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::CannotPushDigest`], [`Error::TooManyBuilds`].
    pub async fn push_image(&self, name: &ImageName) -> Result<String, Error> {
        self.images.begin_push(name).await
    }

    /// Stores credentials of a registry, in place of those that there were; returns its id.
    ///
    /// # Errors
    /// [`Error::CredentialsRefused`], [`Error::TooManyRegistries`], or that the registry could not be
    /// asked.
    pub async fn add_registry(&self, new: NewRegistry) -> Result<String, Error> {
        self.images.registries().add(new).await
    }

    /// Forgets the credentials of a registry, named by its id or host.
    ///
    /// # Errors
    /// [`Error::NoSuchRegistry`].
    pub async fn remove_registry(&self, id_or_host: &str) -> Result<(), Error> {
        self.images.registries().remove(id_or_host).await
    }

    /// Makes sure that the engine has an image: pulls it if not, and returns its id when it is listed.
    ///
    /// # Errors
    /// Why it cannot be pulled.
    pub async fn add_image(&self, name: &ImageName) -> Result<String, Error> {
        self.images.add(name).await
    }

    /// Whether the engine has an image of this name.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn image_exists(&self, name: &ImageName) -> Result<bool, Error> {
        self.images.exists(name).await
    }

    /// How an image of this name is; `None`: there is none.
    ///
    /// # Errors
    /// As [`Self::image_exists`].
    pub async fn image_status(&self, name: &ImageName) -> Result<Option<ImageStatus>, Error> {
        self.images.status(name).await
    }

    /// Takes its name from the image with this id, or of this name, and removes its data with its
    /// last name.
    ///
    /// # Errors
    /// [`Error::UnknownImage`], [`Error::ImageInUse`], [`Error::ImageIsBusy`].
    pub async fn remove_image(&self, id_or_name: &str) -> Result<(), Error> {
        self.images.remove(id_or_name).await
    }

    /// Makes sure that the engine has the image with this id, or of this name: pulls it if not.
    ///
    /// # Errors
    /// [`Error::UnknownImage`], [`Error::ArchiveNotKept`], or why it cannot be pulled.
    pub async fn ensure_image(&self, id_or_name: &str) -> Result<(), Error> {
        self.images.ensure(id_or_name).await
    }

    /// Cancels a build, pull or push, and returns when it has ended.
    ///
    /// # Errors
    /// [`Error::NoSuchBuild`], [`Error::BuildIsOver`].
    pub async fn cancel_build(&self, id: &str) -> Result<(), Error> {
        self.images.builds().cancel(id).await
    }

    /// What a build has said: the newest lines that are kept, oldest first.
    ///
    /// # Errors
    /// [`Error::NoSuchBuild`].
    pub async fn build_log(&self, id: &str) -> Result<Vec<LogLine>, Error> {
        self.images.builds().log(id).await
    }

    /// Records a new instance, makes and starts its container, and returns its id. Of a launch that
    /// fails nothing is left.
    ///
    /// # Errors
    /// [`Error::HostnameTaken`], or why the container could not be started.
    pub async fn launch(&self, options: LaunchOptions) -> Result<String, Error> {
        self.images.build_ended(&options.image).await;
        let wanted = Wanted::Running {
            past: None,
            restart: false,
        };
        let record = AppInstance {
            id: random_id(),
            image: options.image,
            env: options.env,
            hostnames: options.hostnames,
            host: options.host,
            created_at: Timestamp::now(),
            wanted: wanted.clone(),
            wish: 1,
            generation: 0,
            auto_deploy: options.auto_deploy,
        };
        let id = record.id.clone();
        let image = record.image.clone();
        self.instances.add(record).await?;
        if self.added.send(id.clone()).is_err() {
            self.take_back(&id).await;
            return Err(Error::ShuttingDown);
        }
        match self
            .instances
            .reached(&id, &Goal::Wish(1, wanted), LAUNCH)
            .await
        {
            // Somebody has stopped it meanwhile: it was launched all the same.
            Ok(()) | Err(Error::Superseded(_)) => {}
            Err(Error::NoSuchInstance(_)) => return Err(removed_meanwhile()),
            Err(error) => {
                self.take_back(&id).await;
                return Err(given_up(error));
            }
        }
        self.list_image(&image).await;
        Ok(id)
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

    /// Asks the instance's program to end, and kills it when it has not ended after
    /// [`GRACE`](crate::plan::GRACE).
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
        rebuild(&self.instances, id).await
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

    /// The engine's own description of the instance's container, its secret variables masked.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], or that there is no container.
    pub async fn container_info(&self, id: &str) -> Result<serde_json::Value, Error> {
        let view = self.instances.view(id)?;
        let none =
            || EngineError::NotFound(format!("The app instance with ID {id} has no container"));
        let container = view.observed.container_id.ok_or_else(none)?;
        let mut info = self.engine.inspect(&container).await?;
        mask_environment(&mut info);
        Ok(info)
    }

    /// The variables that the instance was launched with, secrets included.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`].
    pub fn environment(&self, id: &str) -> Result<Environment, Error> {
        Ok(self.instances.view(id)?.record.env.clone())
    }

    /// Routes a hostname to the instance. One that it has already changes nothing.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], [`Error::HostnameTaken`], [`Error::TooManyHostnames`].
    pub async fn add_hostname(&self, id: &str, hostname: Hostname) -> Result<(), Error> {
        self.instances.add_hostname(id, hostname).await
    }

    /// No longer routes a hostname to the instance. One that it does not have changes nothing.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`].
    pub async fn remove_hostname(&self, id: &str, hostname: &Hostname) -> Result<(), Error> {
        self.instances.remove_hostname(id, hostname).await
    }

    /// How the launcher and what it depends on are; answers within a few seconds.
    pub async fn health(&self) -> Health {
        let (engine, store) = tokio::join!(
            timeout(HEALTH, self.engine.version()),
            timeout(HEALTH, self.store.check_writable()),
        );
        Health {
            engine: flatten(engine),
            store: flatten(store),
            instances: count(&self.instances.views()),
        }
    }

    async fn carry_out(&self, id: &str, wish: Wish) -> Result<(), Error> {
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

async fn look_after(disk: Arc<Disk>, stop: CancellationToken) {
    let make = || Some(Arc::clone(&disk).run());
    let work = supervise("the collector of images".to_owned(), make);
    stop.run_until_cancelled(work).await;
}

async fn sweep(uploads: Arc<Uploads>, stop: CancellationToken) {
    let make = || Some(sweep_for_ever(Arc::clone(&uploads)));
    let sweeping = supervise("the sweep of uploads".to_owned(), make);
    stop.run_until_cancelled(sweeping).await;
}

/// A launch that failed is taken back, so nobody keeps trying.
pub(crate) fn given_up(error: Error) -> Error {
    match error {
        Error::NotYet(message) => Error::NotCarriedOut(message),
        error => error,
    }
}

fn removed_meanwhile() -> Error {
    Error::NotCarriedOut("the app instance was removed while it was being launched".into())
}

/// Observers should hear the truth from the first moment on, if the engine can tell it soon. Returns
/// the rebuilds that an earlier launcher has left.
async fn first_look(shared: &Shared) -> Vec<Unfinished> {
    tokio::join!(look_at_containers(shared), look_at_images(shared)).0
}

async fn look_at_images(shared: &Shared) {
    match timeout(FIRST_LOOK, shared.images.refresh()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the images cannot be listed yet"),
        Err(_) => tracing::warn!("the images are not listed yet"),
    }
}

async fn look_at_containers(shared: &Shared) -> Vec<Unfinished> {
    let mut left = Vec::new();
    let look = shared.engine.containers(&shared.launcher_id, None);
    match timeout(FIRST_LOOK, look).await {
        Ok(Ok(containers)) => {
            let mut by_instance = listing::by_instance(containers);
            for view in shared.instances.views() {
                let id = &view.record.id;
                let containers = by_instance.remove(id).unwrap_or_default();
                left.extend(unfinished(&view, &containers));
                shared.instances.see(id, &containers);
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "the Docker engine cannot be asked yet"),
        Err(_) => tracing::warn!("the Docker engine does not answer yet"),
    }
    left
}

/// The address under which something bound to `ip` can be reached from here.
fn reachable(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".into(),
        IpAddr::V6(ip) if ip.is_unspecified() => "::1".into(),
        ip => ip.to_string(),
    }
}

fn mask_environment(info: &mut serde_json::Value) {
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

fn flatten<T, E: ToString>(
    answer: Result<Result<T, E>, tokio::time::error::Elapsed>,
) -> Result<T, String> {
    match answer {
        Ok(answer) => answer.map_err(|e| e.to_string()),
        Err(_) => Err("no answer in time".into()),
    }
}

fn count(views: &[InstanceView]) -> Vec<(Status, usize)> {
    let all = [
        Status::Running,
        Status::Stopped,
        Status::Creating,
        Status::Pulling,
        Status::Removing,
    ];
    let number = |status| views.iter().filter(|v| v.observed.status == status).count();
    all.into_iter()
        .map(|status| (status, number(status)))
        .collect()
}
