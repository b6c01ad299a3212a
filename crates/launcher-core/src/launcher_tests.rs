//! The use cases against an engine and a store in memory.

mod images;

use std::{net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use indexmap::IndexMap;
use parking_lot::Mutex;

use crate::{
    AppInstance, Change, DiskSettings, Environment, Error, Hostname, Image, ImageName,
    InstanceView, LaunchOptions, Launcher, Observer, Parts, Settings, Status,
    engine::fake::{FakeEngine, PULLABLE},
    hooks::HookView,
    source,
    store::{MemoryStore, Store, StoreError},
    uploads::UploadSettings,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A launcher, what it is made of, and everything it has said.
pub(crate) struct World {
    pub(crate) engine: FakeEngine,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) temporary: tempfile::TempDir,
    pub(crate) launcher: Arc<Launcher>,
}

#[derive(Default)]
pub(crate) struct Heard {
    now: Mutex<IndexMap<String, InstanceView>>,
    pub(crate) statuses: Mutex<Vec<String>>,
    images: Mutex<IndexMap<String, Image>>,
    pub(crate) hooks: Mutex<IndexMap<String, HookView>>,
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
    pub(crate) async fn new() -> Self {
        Self::with(FakeEngine::default(), Arc::default()).await
    }

    async fn with(engine: FakeEngine, store: Arc<MemoryStore>) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let heard = Arc::new(Heard::default());
        let parts = Parts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            engine: Arc::new(engine.clone()),
            observer: Arc::clone(&heard) as Arc<dyn Observer>,
        };
        let settings = settings(temporary.path());
        let launcher = Arc::new(Launcher::start(parts, settings).await.unwrap());
        Self {
            engine,
            store,
            heard,
            temporary,
            launcher,
        }
    }

    /// The same engine and store under a new launcher.
    pub(crate) async fn restarted(self) -> Self {
        self.launcher.shutdown().await;
        Self::with(self.engine, self.store).await
    }

    async fn records(&self) -> Result<Vec<AppInstance>, StoreError> {
        (&*self.store as &dyn Store).all().await
    }

    pub(crate) fn view(&self, id: &str) -> InstanceView {
        self.heard.now.lock()[id].clone()
    }

    fn container(&self) -> String {
        self.engine.all()[0].id.clone()
    }

    /// Waits until something is the case; events, not time, make it so.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
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
        disk: DiskSettings::default(),
    }
}

pub(crate) fn options(image: &str, hostnames: &[&str]) -> LaunchOptions {
    LaunchOptions {
        image: ImageName::parse(image).unwrap(),
        env: Environment::new(),
        hostnames: hostnames.iter().map(|h| hostname(h)).collect(),
        host: None,
        auto_deploy: false,
    }
}

pub(crate) fn hostname(text: &str) -> Hostname {
    Hostname::parse(text).unwrap()
}

#[tokio::test]
async fn a_launch_returns_when_the_container_runs() {
    let world = World::new().await;
    let id = world
        .launcher
        .launch(options("app", &["a.test"]))
        .await
        .unwrap();
    let view = world.view(&id);
    assert_eq!(view.observed.status, Status::Running);
    assert_eq!(view.observed.container_id, Some(world.container()));
    assert!(view.observed.port.is_some());
    assert_eq!(*world.heard.statuses.lock(), ["creating", "running"]);
}

#[tokio::test]
async fn an_image_that_is_not_there_is_pulled_first() {
    let world = World::new().await;
    world
        .launcher
        .launch(options("pullable", &[]))
        .await
        .unwrap();
    assert_eq!(
        *world.heard.statuses.lock(),
        ["creating", "pulling", "creating", "running"]
    );
    assert_eq!(world.made_images().len(), 1);
    assert!(world.engine.calls().contains(&format!("pull {PULLABLE}")));
}

#[tokio::test]
async fn of_a_failed_launch_nothing_is_left() {
    for call in ["create", "start", "pull"] {
        let world = World::new().await;
        world.engine.fail(call);
        let image = if call == "pull" { "pullable" } else { "app" };
        let error = world
            .launcher
            .launch(options(image, &["a.test"]))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("told to fail"), "{error}");
        assert!(world.engine.all().is_empty(), "{call}");
        assert!(world.heard.now.lock().is_empty(), "{call}");
        assert!(world.records().await.unwrap().is_empty(), "{call}");
        world
            .until("no image is listed", |w| w.made_images().is_empty())
            .await;

        world.engine.heal();
        world
            .launcher
            .launch(options("app", &["a.test"]))
            .await
            .expect("the hostname is free");
    }
}

#[tokio::test]
async fn a_taken_hostname_is_refused_before_anything_is_made() {
    let world = World::new().await;
    let first = world
        .launcher
        .launch(options("app", &["a.test"]))
        .await
        .unwrap();
    let refused = world
        .launcher
        .launch(options("app", &["b.test", "a.test"]))
        .await
        .unwrap_err();
    let text =
        format!("\"a.test\" is already listed as a hostname for the app instance with ID {first}");
    assert_eq!(refused.to_string(), text);
    assert_eq!(world.engine.all().len(), 1);
    assert_eq!(world.heard.now.lock().len(), 1);
}

#[tokio::test]
async fn an_exit_that_nobody_asked_for_is_seen_and_restarted() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let port = world.view(&id).observed.port;
    world.engine.crash(&world.container());
    world
        .until("the exit is seen", |w| {
            w.heard.statuses.lock().contains(&"stopped".into())
        })
        .await;
    assert_eq!(world.view(&id).observed.port, None);
    world
        .until("it runs again", |w| {
            w.view(&id).observed.status == Status::Running
        })
        .await;
    let container = &world.engine.all()[0];
    let pause = container
        .started_at
        .unwrap()
        .duration_since(container.finished_at.unwrap());
    assert!(pause.as_millis() >= 1_000, "{pause:?}");
    assert_ne!(
        world.view(&id).observed.port,
        port,
        "the new port is published"
    );
}

#[tokio::test]
async fn stop_and_kill_make_stopped_the_wanted_state() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let container = world.container();
    world.launcher.stop_instance(&id).await.unwrap();
    assert!(
        world
            .engine
            .calls()
            .contains(&format!("signal {container} SIGTERM"))
    );
    assert_eq!(world.view(&id).observed.status, Status::Stopped);

    world.launcher.start_instance(&id).await.unwrap();
    world.launcher.kill_instance(&id).await.unwrap();
    assert!(
        world
            .engine
            .calls()
            .contains(&format!("signal {container} SIGKILL"))
    );
    assert_eq!(world.view(&id).observed.status, Status::Stopped);
    assert_eq!(world.starts(), 2);
}

#[tokio::test]
async fn a_restart_is_a_new_process_in_the_same_container() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let before = world.engine.all();
    world.launcher.restart_instance(&id).await.unwrap();
    let after = world.engine.all();
    assert_eq!(before[0].id, after[0].id);
    assert!(after[0].started_at > before[0].started_at);
    assert_eq!(world.view(&id).observed.port, after[0].host_port);
}

#[tokio::test]
async fn a_stopped_instance_is_removed_with_its_container() {
    let world = World::new().await;
    let id = world
        .launcher
        .launch(options("app", &["a.test"]))
        .await
        .unwrap();
    world.launcher.stop_instance(&id).await.unwrap();
    world.launcher.remove_instance(&id).await.unwrap();
    assert!(world.engine.all().is_empty());
    let again = world.launcher.remove_instance(&id).await.unwrap_err();
    assert_eq!(again.to_string(), format!("No app instance has ID {id}"));
}

#[tokio::test]
async fn a_container_removed_by_hand_is_made_anew() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let container = world.container();
    world.engine.vanish(&container, false);
    world
        .until("there is another one", |w| {
            w.view(&id).observed.status == Status::Running
                && w.view(&id).observed.container_id != Some(container.clone())
        })
        .await;
}

#[tokio::test]
async fn what_happens_while_the_events_are_lost_is_found_by_listing() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let container = world.container();
    world.engine.vanish(&container, true);
    world.engine.lose_events();
    world
        .until("there is another one", |w| w.starts() == 2)
        .await;
    world
        .until("it is known", |w| {
            w.view(&id).observed.status == Status::Running
        })
        .await;
}

#[tokio::test]
async fn a_restarted_launcher_leaves_what_runs_alone() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let before = world.engine.all();
    let world = world.restarted().await;
    assert_eq!(
        world.view(&id).observed.status,
        Status::Running,
        "known from the first moment"
    );
    world.launcher.start_instance(&id).await.unwrap();
    assert_eq!(world.engine.all(), before);
}

#[tokio::test]
async fn a_leftover_of_a_removed_instance_is_removed() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    world
        .store
        .remove_instance(&id, jiff::Timestamp::now())
        .await
        .unwrap();
    let world = world.restarted().await;
    world
        .until("the leftover is gone", |w| w.engine.all().is_empty())
        .await;
}

#[tokio::test]
async fn a_container_whose_record_was_lost_is_left_alone() {
    let world = World::new().await;
    world.launcher.launch(options("app", &[])).await.unwrap();
    let lost = world.engine.all();
    world.launcher.shutdown().await;
    let engine = world.engine;
    let world = World::with(engine, Arc::default()).await;
    world.launcher.launch(options("app", &[])).await.unwrap();
    assert_eq!(
        world
            .engine
            .all()
            .iter()
            .filter(|c| lost.contains(c))
            .count(),
        1
    );
}

#[tokio::test]
async fn an_engine_that_is_away_fails_wishes_clearly_and_they_are_caught_up() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    world.engine.fail("containers");
    let error = world.launcher.stop_instance(&id).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the Docker engine cannot be reached: told to fail; the launcher keeps trying"
    );
    world.engine.heal();
    world
        .until("it is stopped", |w| {
            w.view(&id).observed.status == Status::Stopped
        })
        .await;
}

#[tokio::test]
async fn hostnames_are_added_once_and_freed() {
    let world = World::new().await;
    let one = world.launcher.launch(options("app", &[])).await.unwrap();
    let two = world.launcher.launch(options("app", &[])).await.unwrap();
    let launcher = &world.launcher;
    launcher
        .add_hostname(&one, hostname("a.test"))
        .await
        .unwrap();
    launcher
        .add_hostname(&one, hostname("A.test"))
        .await
        .unwrap();
    assert_eq!(world.view(&one).record.hostnames, [hostname("a.test")]);
    let taken = launcher.add_hostname(&two, hostname("a.test")).await;
    assert!(
        matches!(taken, Err(Error::HostnameTaken { .. })),
        "{taken:?}"
    );
    launcher
        .remove_hostname(&one, &hostname("a.test"))
        .await
        .unwrap();
    launcher
        .add_hostname(&two, hostname("a.test"))
        .await
        .unwrap();
}

#[tokio::test]
async fn of_two_callers_who_want_one_hostname_one_gets_it() {
    let world = World::new().await;
    let one = world.launcher.launch(options("app", &[])).await.unwrap();
    let two = world.launcher.launch(options("app", &[])).await.unwrap();
    let (first, second) = tokio::join!(
        world.launcher.add_hostname(&one, hostname("a.test")),
        world.launcher.add_hostname(&two, hostname("a.test")),
    );
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
}

#[tokio::test]
async fn callers_who_wish_the_same_get_the_same_answer() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let launcher = &world.launcher;
    let (one, two) = tokio::join!(launcher.stop_instance(&id), launcher.stop_instance(&id));
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    let (one, two) = tokio::join!(launcher.start_instance(&id), launcher.start_instance(&id));
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    let (one, two) = tokio::join!(
        launcher.restart_instance(&id),
        launcher.restart_instance(&id)
    );
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    let (one, two) = tokio::join!(launcher.stop_instance(&id), launcher.kill_instance(&id));
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    let (one, two) = tokio::join!(launcher.remove_instance(&id), launcher.remove_instance(&id));
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
}

#[tokio::test]
async fn a_start_during_the_launch_waits_for_it() {
    let world = World::new().await;
    let launch = world.launcher.launch(options("app", &[]));
    let start = async {
        world
            .until("it is known", |w| !w.heard.now.lock().is_empty())
            .await;
        let id = world.heard.now.lock().keys().next().unwrap().clone();
        world.launcher.start_instance(&id).await
    };
    let (launched, started) = tokio::join!(launch, start);
    assert!(
        launched.is_ok() && started.is_ok(),
        "{launched:?} {started:?}"
    );
    assert_eq!(world.engine.all().len(), 1);
}

#[tokio::test]
async fn a_start_that_failed_is_tried_again_when_somebody_asks_again() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    world.launcher.stop_instance(&id).await.unwrap();
    world.engine.fail("start");
    let error = world.launcher.start_instance(&id).await.unwrap_err();
    assert!(matches!(error, Error::NotYet(_)), "{error:?}");
    world.engine.heal();
    world.launcher.start_instance(&id).await.unwrap();
    assert_eq!(world.view(&id).observed.status, Status::Running);
}

#[tokio::test]
async fn a_start_during_a_stop_is_a_new_run() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let first = world.engine.all()[0].started_at;
    world.engine.be_stubborn();
    let stop = world.launcher.stop_instance(&id);
    let start = async {
        let asked = |w: &World| {
            w.engine
                .calls()
                .iter()
                .any(|call| call.ends_with("SIGTERM"))
        };
        world.until("it is asked to end", asked).await;
        let started = world.launcher.start_instance(&id);
        let end = async { world.engine.crash(&world.container()) };
        tokio::join!(started, end).0
    };
    let (stopped, started) = tokio::join!(stop, start);
    assert!(matches!(stopped, Err(Error::Superseded(_))), "{stopped:?}");
    started.unwrap();
    assert!(world.engine.all()[0].started_at > first);
    assert_eq!(world.view(&id).observed.status, Status::Running);
}

#[tokio::test]
async fn launches_of_one_image_share_its_pull_and_its_record() {
    let world = World::new().await;
    let launch = || world.launcher.launch(options("pullable", &[]));
    let (one, two, three) = tokio::join!(launch(), launch(), launch());
    assert!(
        one.is_ok() && two.is_ok() && three.is_ok(),
        "{one:?} {two:?} {three:?}"
    );
    let images = world.made_images();
    let statuses: Vec<_> = images.iter().map(|image| image.status).collect();
    assert_eq!(statuses, [crate::ImageStatus::Ready]);
}

#[tokio::test]
async fn a_removal_wins_over_a_start() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    world.launcher.stop_instance(&id).await.unwrap();
    let (started, removed) = tokio::join!(
        world.launcher.start_instance(&id),
        world.launcher.remove_instance(&id)
    );
    removed.unwrap();
    assert!(
        matches!(started, Ok(()) | Err(Error::NoSuchInstance(_))),
        "{started:?}"
    );
    assert!(world.engine.all().is_empty());
    assert!(world.heard.now.lock().is_empty());
}

#[tokio::test]
async fn temporary_files_of_a_killed_launcher_are_cleared() {
    let world = World::new().await;
    let leftover = world.temporary.path().join("tmp").join("archive");
    std::fs::write(&leftover, "x").unwrap();
    let settings_path = world.temporary.path().to_owned();
    let World {
        launcher,
        temporary,
        ..
    } = world;
    launcher.shutdown().await;
    let parts = Parts {
        store: Arc::new(MemoryStore::default()),
        engine: Arc::new(FakeEngine::default()),
        observer: Arc::new(Heard::default()),
    };
    let settings = settings(&settings_path);
    Launcher::start(parts, settings)
        .await
        .unwrap()
        .shutdown()
        .await;
    assert!(!leftover.exists());
    drop(temporary);
}
