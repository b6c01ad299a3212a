//! The use cases against an engine and a store in memory.

mod apps;
mod deployments;
mod images;
mod launches;
mod rebuilds;
mod recovery;
mod terminals;
mod wishes;

use std::{net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use indexmap::IndexMap;
use parking_lot::Mutex;

use crate::{
    AppInstance, Change, ContainerConfig, Deployment, DiskSettings, Environment, Error, Image,
    ImageName, InstanceView, LaunchOptions, Launcher, Limits, Observer, Parts, Patience, Release,
    Settings, Site, SiteAddress, Status, Traffic, Wait,
    audit::AuditEntry,
    engine::fake::{FakeEngine, PULLABLE},
    health::{HealthSettings, Prober},
    hooks::HookView,
    source,
    store::{MemoryStore, Store, StoreError},
    uploads::UploadSettings,
};

use apps::Apps;

const PATIENCE: Duration = Duration::from_secs(30);

/// A launcher, what it is made of, and everything it has said.
struct World {
    engine: FakeEngine,
    store: Arc<MemoryStore>,
    heard: Arc<Heard>,
    apps: Arc<Apps>,
    temporary: tempfile::TempDir,
    launcher: Arc<Launcher>,
}

#[derive(Default)]
struct Heard {
    now: Mutex<IndexMap<String, InstanceView>>,
    statuses: Mutex<Vec<String>>,
    images: Mutex<IndexMap<String, Image>>,
    hooks: Mutex<IndexMap<String, HookView>>,
    audit: Mutex<IndexMap<String, AuditEntry>>,
    deployments: Mutex<IndexMap<String, Deployment>>,
    releases: Mutex<IndexMap<String, Release>>,
}

impl Observer for Heard {
    fn changed(&self, change: Change<'_>) {
        match change {
            Change::Instance(id, view) => {
                let word = view.map_or("gone", |view| view.observed.status.as_str());
                let mut statuses = self.statuses.lock();
                if statuses.last().is_none_or(|last| last != word) {
                    statuses.push(word.to_owned());
                }
                keep(&self.now, id, view);
            }
            Change::Image(id, image) => keep(&self.images, id, image),
            Change::Hook(id, hook) => keep(&self.hooks, id, hook),
            Change::Audit(id, entry) => keep(&self.audit, id, entry),
            Change::Deployment(id, deployment) => keep(&self.deployments, id, deployment),
            Change::Release(id, release) => keep(&self.releases, id, release),
            _ => {}
        }
    }
}

fn keep<T: Clone>(map: &Mutex<IndexMap<String, T>>, id: &str, now: Option<&T>) {
    match now {
        Some(now) => drop(map.lock().insert(id.to_owned(), now.clone())),
        None => drop(map.lock().shift_remove(id)),
    }
}

impl World {
    async fn new() -> Self {
        Self::with(FakeEngine::default(), Arc::default()).await
    }

    async fn with(engine: FakeEngine, store: Arc<MemoryStore>) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let heard = Arc::new(Heard::default());
        let apps = Arc::new(Apps::default());
        let parts = Parts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            engine: Arc::new(engine.clone()),
            observer: Arc::clone(&heard) as Arc<dyn Observer>,
            prober: Arc::clone(&apps) as Arc<dyn Prober>,
            traffic: Arc::clone(&apps) as Arc<dyn Traffic>,
        };
        let settings = settings(temporary.path());
        let launcher = Arc::new(Launcher::start(parts, settings).await.unwrap());
        Self {
            engine,
            store,
            heard,
            apps,
            temporary,
            launcher,
        }
    }

    /// The same engine and store under a new launcher.
    async fn restarted(self) -> Self {
        self.launcher.shutdown().await;
        Self::with(self.engine, self.store).await
    }

    async fn records(&self) -> Result<Vec<AppInstance>, StoreError> {
        (&*self.store as &dyn Store).all().await
    }

    fn view(&self, id: &str) -> InstanceView {
        self.heard.now.lock()[id].clone()
    }

    fn container(&self) -> String {
        self.engine.all()[0].id.clone()
    }

    /// Waits until something is the case; events, not time, make it so.
    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let done = tokio::time::timeout(PATIENCE, wait).await;
        assert!(
            done.is_ok(),
            "never so: {what}; heard {:?}",
            self.heard.statuses.lock()
        );
    }

    /// The images that are listed, but for the one that is there from the beginning.
    fn made_images(&self) -> Vec<Image> {
        let images = self.heard.images.lock();
        let made = images
            .values()
            .filter(|i| !i.name.is_same_image(&ImageName::parse("app").unwrap()));
        made.cloned().collect()
    }

    fn starts(&self) -> usize {
        self.engine
            .calls()
            .iter()
            .filter(|call| call.starts_with("start "))
            .count()
    }
}

fn settings(directory: &Path) -> Settings {
    Settings {
        instance_bind_ip: Ipv4Addr::LOCALHOST.into(),
        temporary: directory.join("tmp"),
        fetch: source::FetchOptions::default(),
        source: source::Options::default(),
        builds: crate::BuildSettings::default(),
        uploads: UploadSettings {
            directory: directory.join("uploads"),
            max_bytes: 1_000_000,
        },
        patience: Patience {
            grace: Duration::from_secs(1),
            drain: Duration::from_secs(1),
            ..Patience::default()
        },
        disk: DiskSettings::default(),
        terminals: crate::terminals::TerminalSettings::default(),
    }
}

fn options(image: &str, hostnames: &[&str]) -> LaunchOptions {
    LaunchOptions {
        image: ImageName::parse(image).unwrap(),
        env: Environment::new(),
        hostnames: hostnames.iter().map(|h| site(h)).collect(),
        host: None,
        auto_deploy: false,
        replicas: 1,
        limits: Limits::default(),
        config: ContainerConfig::default(),
        health: HealthSettings::default(),
        wait: Wait::Started,
    }
}

fn config(body: &serde_json::Value) -> ContainerConfig {
    let given = ContainerConfig::parse(body.clone(), crate::Rights::User);
    given.unwrap().config
}

fn hostname(text: &str) -> SiteAddress {
    SiteAddress::parse(text).unwrap()
}

fn site(text: &str) -> Site {
    hostname(text).into()
}
