//! The use cases: what callers can ask of the launcher.

mod first_look;
mod health;
mod hosts;
mod images;
mod instances;
mod logs;
mod releases;
mod stats;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use first_look::first_look;
pub use health::Health;
pub use instances::{LaunchOptions, Wait};
pub(crate) use releases::Readiness;
pub use releases::{DeployOptions, EnvironmentChange};

use crate::{
    BuildSettings, Error, Observer, Traffic,
    audit::AuditLog,
    deployments::{Deployer, Deployments},
    disk::{Disk, DiskParts, DiskSettings},
    engine::Engine,
    health::Prober,
    hooks::{AutoDeploys, Hooks},
    hosts::{Counting, Hosts},
    images::{ImageSettings, Images, Watching},
    instances::Instances,
    logs::Logs,
    reconciler::{Patience, Reconciler, Shared},
    releases::Releases,
    source,
    stats::Stats,
    store::Store,
    supervision::supervise,
    terminals::{TerminalSettings, Terminals},
    uploads::{UploadSettings, Uploads, sweep_for_ever},
};

/// What a launcher is made of.
pub struct Parts {
    /// Where wishes are recorded.
    pub store: Arc<dyn Store>,
    /// Runs the containers.
    pub engine: Arc<dyn Engine>,
    /// Hears of changes.
    pub observer: Arc<dyn Observer>,
    /// Asks apps whether they answer.
    pub prober: Arc<dyn Prober>,
    /// Knows what visitors have open.
    pub traffic: Arc<dyn Traffic>,
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
    /// How patient the launcher is with containers.
    pub patience: Patience,
    /// How the engine's disk is looked after.
    pub disk: DiskSettings,
    /// How terminals are kept.
    pub terminals: TerminalSettings,
}

/// Launches app instances and keeps them as they are wanted.
pub struct Launcher {
    id: String,
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    instances: Arc<Instances>,
    images: Arc<Images>,
    disk: Arc<Disk>,
    logs: Logs,
    stats: Arc<Stats>,
    uploads: Arc<Uploads>,
    terminals: Arc<Terminals>,
    hooks: Hooks,
    hosts: Arc<Hosts>,
    releases: Arc<Releases>,
    deployer: Arc<Deployer>,
    auto_deploys: Arc<AutoDeploys>,
    shared: Arc<Shared>,
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
            prober,
            traffic,
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
        let hosts = Hosts::load(
            Arc::clone(&store),
            Arc::clone(&engine),
            Arc::clone(&observer),
            host.clone(),
        );
        let hosts = Arc::new(hosts.await?);
        let watching = Arc::new(Watching {
            images: Arc::clone(&images),
            observer: Arc::clone(&observer),
        });
        let counting = Arc::new(Counting {
            hosts: Arc::clone(&hosts),
            observer: watching,
        });
        let releases = Arc::new(Releases::new(Arc::clone(&store), Arc::clone(&observer)));
        releases.load().await?;
        let deployments = Arc::new(Deployments::new(Arc::clone(&store), Arc::clone(&observer)));
        deployments.load().await?;
        let instances = Arc::new(Instances::new(
            Arc::clone(&store),
            counting,
            Arc::clone(&releases),
            Arc::clone(&deployments),
            hosts.placement(),
            host,
        ));
        instances.load().await?;
        let audit = Arc::new(AuditLog::new(Arc::clone(&store), Arc::clone(&observer)));
        let open = audit.load().await?;
        let terminals = Terminals::new(
            Arc::clone(&engine),
            Arc::clone(&instances),
            audit,
            settings.terminals,
        );
        let stats = Arc::new(Stats {
            engine: Arc::clone(&engine),
            instances: Arc::clone(&instances),
            store: Arc::clone(&store),
            observer: Arc::clone(&observer),
            traffic: Arc::clone(&traffic),
            watched: Mutex::default(),
        });
        let disk_parts = DiskParts {
            engine: Arc::clone(&engine),
            instances: Arc::clone(&instances),
            images: Arc::clone(&images),
            observer,
            launcher_id: id.clone(),
        };
        let disk = Disk::new(disk_parts, settings.disk);
        let (added, additions) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            engine: Arc::clone(&engine),
            instances: Arc::clone(&instances),
            images: Arc::clone(&images),
            releases: Arc::clone(&releases),
            deployments,
            prober,
            traffic,
            launcher_id: id.clone(),
            bind_ip: settings.instance_bind_ip,
            patience: settings.patience,
            added: added.clone(),
        });
        let logs = Logs::new(Arc::clone(&engine), Arc::clone(&instances), id.clone());
        let stop = CancellationToken::new();
        let reconciler = Reconciler::new(Arc::clone(&shared), additions);
        first_look(&shared, &hosts).await;
        let tasks = TaskTracker::new();
        tasks.spawn(reconciler.run(stop.clone()));
        tasks.spawn(sweep(Arc::clone(&uploads), stop.clone()));
        let (opened, ended) = (Arc::clone(&terminals), stop.clone());
        tasks.spawn(async move {
            ended.run_until_cancelled(opened.end_leftovers(open)).await;
        });
        let deployer = Deployer::new(Arc::clone(&shared), tasks.clone(), stop.clone());
        deployer.resume();
        let auto_deploys = AutoDeploys::new(&shared, &deployer, tasks.clone(), stop.clone());
        tasks.spawn(look_after(Arc::clone(&disk), stop.clone()));
        tasks.spawn(keep_history(Arc::clone(&stats), stop.clone()));
        Ok(Self {
            id,
            store,
            engine,
            hooks,
            hosts,
            releases,
            deployer,
            auto_deploys,
            shared,
            instances,
            images,
            disk,
            logs,
            stats,
            uploads,
            terminals,
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

    /// Programs that callers run in containers.
    #[must_use]
    pub fn terminals(&self) -> &Arc<Terminals> {
        &self.terminals
    }

    /// Stops reconciling. Containers go on running.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.reconciler.close();
        self.reconciler.wait().await;
    }
}

async fn look_after(disk: Arc<Disk>, stop: CancellationToken) {
    let make = || Some(Arc::clone(&disk).run());
    let work = supervise("the collector of images".to_owned(), make);
    stop.run_until_cancelled(work).await;
}

async fn keep_history(stats: Arc<Stats>, stop: CancellationToken) {
    let make = || Some(Arc::clone(&stats).keep_history());
    let keeping = supervise("the history of what apps use".to_owned(), make);
    stop.run_until_cancelled(keeping).await;
}

async fn sweep(uploads: Arc<Uploads>, stop: CancellationToken) {
    let make = || Some(sweep_for_ever(Arc::clone(&uploads)));
    let sweeping = supervise("the sweep of uploads".to_owned(), make);
    stop.run_until_cancelled(sweeping).await;
}

/// The address under which something bound to `ip` can be reached from here.
fn reachable(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".into(),
        IpAddr::V6(ip) if ip.is_unspecified() => "::1".into(),
        ip => ip.to_string(),
    }
}
