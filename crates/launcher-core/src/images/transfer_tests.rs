use std::{collections::HashSet, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{ImageSettings, Images, work};
use crate::{
    Build, BuildKind, BuildOrder, BuildSource, BuildStatus, Change, Error, Image, ImageName,
    LayerCount, NewRegistry, Observer, RegistryHost, Secret,
    digest::Digester,
    disk::MadeImage,
    engine::LABEL_OWNER,
    engine::fake::{FakeEngine, PASSWORD, PRIVATE, PULLABLE, USER},
    source,
    store::{MemoryStore, Store},
    uploads::{Begin, UploadSettings, Uploads},
};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Heard {
    builds: Mutex<Vec<Build>>,
    changed: Notify,
}

impl Observer for Heard {
    fn changed(&self, change: Change<'_>) {
        if let Change::Build(_, build) = change {
            self.builds.lock().extend(build.cloned());
            self.changed.notify_one();
        }
    }
}

struct World {
    engine: FakeEngine,
    heard: Arc<Heard>,
    images: Arc<Images>,
    store: Arc<dyn Store>,
    temporary: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let engine = FakeEngine::default();
        let heard = Arc::new(Heard::default());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let temporary = tempfile::tempdir().unwrap();
        let settings = ImageSettings {
            temporary: temporary.path().to_owned(),
            fetcher: source::Fetcher::new(source::FetchOptions::default()).unwrap(),
            source: source::Options::default(),
            builds: crate::BuildSettings::default(),
            owner: "launcher".into(),
        };
        let observer = Arc::clone(&heard) as Arc<dyn Observer>;
        let images = Images::new(
            Arc::clone(&store),
            Arc::new(engine.clone()),
            observer,
            settings,
        );
        Self {
            engine,
            heard,
            images,
            store,
            temporary,
        }
    }

    /// The newest telling of a build for which this holds.
    async fn told(&self, id: &str, what: impl Fn(&Build) -> bool) -> Build {
        let found = || {
            let builds = self.heard.builds.lock();
            builds
                .iter()
                .rev()
                .find(|build| build.id == id && what(build))
                .cloned()
        };
        let wait = async {
            loop {
                let changed = self.heard.changed.notified();
                match found() {
                    Some(build) => return build,
                    None => changed.await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    }

    async fn ended(&self, id: &str) -> Build {
        self.told(id, |build| build.status.is_over()).await
    }

    fn number(&self, call: &str) -> usize {
        let calls = self.engine.calls();
        calls.iter().filter(|made| made.starts_with(call)).count()
    }

    async fn add(&self, password: &str) {
        let new = NewRegistry {
            registry: RegistryHost::parse(PRIVATE).unwrap(),
            username: USER.to_owned(),
            password: Secret::new(password),
            verify: false,
        };
        self.images.registries().add(new).await.unwrap();
    }
}

fn name(text: &str) -> ImageName {
    ImageName::parse(text).unwrap()
}

#[tokio::test]
async fn twenty_who_want_an_image_make_one_pull_and_know_it_by_one_id() {
    let world = World::new();
    world.engine.stall();
    let pullable = name(PULLABLE);
    let id = world.images.begin_pull(&pullable).unwrap();
    let moving = |build: &Build| build.layers == Some(LayerCount { done: 1, of: 2 });
    let told = world.told(&id, moving).await;
    assert_eq!(
        (told.kind, told.status),
        (BuildKind::Pull, BuildStatus::Downloading)
    );
    assert_eq!((told.received_bytes, told.expected_bytes), (60, Some(100)));
    for other in ["pullable", "docker.io/library/pullable:latest"] {
        assert_eq!(world.images.begin_pull(&name(other)).unwrap(), id);
    }
    let launches = (0..20).map(|_| world.images.pull(&pullable));
    let all = futures_util::future::join_all(launches);
    let (outcomes, ()) = tokio::join!(all, async { world.engine.go_on() });
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let ended = world.ended(&id).await;
    assert_eq!(ended.status, BuildStatus::Succeeded);
    assert_eq!(ended.layers, Some(LayerCount { done: 2, of: 2 }));
    assert!(
        ended.image_id.is_some() && ended.digest.is_some(),
        "{ended:?}"
    );
    assert_eq!(world.number("pull "), 1);
    assert_ne!(
        world.images.begin_pull(&pullable).unwrap(),
        id,
        "what is over is not joined"
    );
}

#[tokio::test]
async fn a_pull_ends_when_it_is_cancelled_or_when_nobody_waits_for_it() {
    let world = World::new();
    world.engine.stall();
    let pullable = name(PULLABLE);
    let id = world.images.begin_pull(&pullable).unwrap();
    world.told(&id, |build| build.layers.is_some()).await;
    let (pulled, cancelled) = tokio::join!(
        world.images.pull(&pullable),
        world.images.builds().cancel(&id)
    );
    cancelled.unwrap();
    assert_eq!(
        pulled.unwrap_err().to_string(),
        "the pull of pullable:latest was cancelled"
    );
    assert_eq!(world.ended(&id).await.status, BuildStatus::Cancelled);
    assert_eq!(
        world.images.table.get(&pullable),
        None,
        "nothing of it is listed"
    );

    let launch = tokio::spawn({
        let images = Arc::clone(&world.images);
        async move { images.pull(&name(PULLABLE)).await }
    });
    let id = loop {
        let newest = world
            .heard
            .builds
            .lock()
            .last()
            .map(|build| build.id.clone());
        match newest.filter(|newest| *newest != id) {
            Some(newest) => break newest,
            None => tokio::task::yield_now().await,
        }
    };
    world.told(&id, |build| build.layers.is_some()).await;
    launch.abort();
    assert_eq!(world.ended(&id).await.status, BuildStatus::Cancelled);
}

#[tokio::test]
async fn an_image_goes_to_a_private_registry_and_back_with_the_right_credentials_only() {
    let world = World::new();
    let there = format!("{PRIVATE}/team/app:1");
    let ours = name(&there);
    let missing = world.images.begin_push(&ours).await.unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!("No image has the name {there}")
    );
    let fixed = world
        .images
        .begin_push(&name(&format!("app@sha256:{:064x}", 1)))
        .await;
    assert!(matches!(fixed, Err(Error::CannotPushDigest)), "{fixed:?}");

    world.engine.tag("app:latest", &there);
    let fails = async |words: &str| {
        let id = world.images.begin_push(&ours).await.unwrap();
        let ended = world.ended(&id).await;
        assert_eq!(
            (ended.kind, ended.status),
            (BuildKind::Push, BuildStatus::Failed)
        );
        let error = ended.error.unwrap();
        assert!(
            error.contains(words) && !error.contains("hunter2"),
            "{error}"
        );
    };
    fails("wants credentials, of which none are stored").await;
    world.add("hunter2").await;
    fails("the credentials of \"user\"").await;
    world.add(PASSWORD).await;

    let id = world.images.begin_push(&ours).await.unwrap();
    let ended = world.ended(&id).await;
    assert_eq!(ended.status, BuildStatus::Succeeded, "{ended:?}");
    assert_eq!(ended.source.as_deref(), Some(PRIVATE));
    let image = world.engine.remove_tag(&there);
    assert_eq!(ended.image_id, Some(image));
    let by_digest = format!("{PRIVATE}/team/app@{}", ended.digest.unwrap());
    world.images.pull(&ours).await.unwrap();
    world.images.pull(&name(&by_digest)).await.unwrap();
    let listed = world.images.table.get(&name(&by_digest)).unwrap();
    assert_eq!(listed.name.as_str(), by_digest);
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_any_more_is_not_joined() {
    let world = World::new();
    world.engine.stall();
    let pullable = name(PULLABLE);
    let mut pull = Box::pin(world.images.pull(&pullable));
    assert!((&mut pull).now_or_never().is_none());
    let first = world.heard.builds.lock()[0].id.clone();
    world.told(&first, |build| build.layers.is_some()).await;
    drop(pull);
    let next = world.images.begin_pull(&pullable).unwrap();
    assert_ne!(next, first);
    assert_eq!(world.ended(&first).await.status, BuildStatus::Cancelled);
    world.engine.go_on();
    assert_eq!(world.ended(&next).await.status, BuildStatus::Succeeded);
}

#[tokio::test]
async fn an_image_that_is_being_pushed_is_not_removed() {
    let world = World::new();
    let there = format!("{PRIVATE}/team/app:1");
    world.engine.tag("app:latest", &there);
    world.images.refresh().await.unwrap();
    world.add(PASSWORD).await;
    world.engine.stall();
    let id = world.images.begin_push(&name(&there)).await.unwrap();
    world.told(&id, |build| build.layers.is_some()).await;
    let refused = world.images.remove(&there).await.unwrap_err();
    let words = "is being pushed";
    assert!(refused.to_string().contains(words), "{refused}");
    let collected_later = world.images.under_way();
    assert_eq!(collected_later, HashSet::from([name(&there).canonical()]));
    world.engine.go_on();
    assert_eq!(world.ended(&id).await.status, BuildStatus::Succeeded);
    world.images.remove(&there).await.unwrap();
}

#[tokio::test]
async fn builds_of_one_name_come_in_the_order_in_which_they_were_asked_for() {
    let world = World::new();
    let app = name("app");
    let busy = world.images.work.try_turn(&app, work::Kind::Pull).unwrap();
    let order = |number: usize| {
        let url = format!("http://127.0.0.1/{number}.tgz").parse().unwrap();
        BuildOrder::from(BuildSource::Url(url))
    };
    let begin = |number| world.images.begin_build(&app, order(number)).unwrap();
    let asked: Vec<String> = (0..40).map(begin).collect();
    tokio::task::yield_now().await;
    drop(busy);
    for id in &asked {
        assert_eq!(world.ended(id).await.status, BuildStatus::Failed);
    }
    let ended: Vec<String> = {
        let told = world.heard.builds.lock();
        let ended = told.iter().filter(|build| build.status.is_over());
        ended.map(|build| build.id.clone()).collect()
    };
    assert_eq!(ended, asked);
}

#[tokio::test]
async fn who_has_joined_a_build_hears_that_it_was_cancelled() {
    let world = World::new();
    let app = name("app:2");
    let url = "http://127.0.0.1/app.tgz".parse().unwrap();
    let order = BuildOrder::from(BuildSource::Url(url));
    let id = world.images.begin_build(&app, order.clone()).unwrap();
    let (joined, cancelled) = tokio::join!(
        world.images.build_if_not_exist(&app, order),
        world.images.builds().cancel(&id)
    );
    cancelled.unwrap();
    let error = joined.unwrap_err().to_string();
    assert!(error.contains("was cancelled"), "{error}");
}

#[tokio::test]
async fn an_upload_of_which_a_build_has_failed_can_be_built_again() {
    let world = World::new();
    let settings = UploadSettings {
        directory: world.temporary.path().join("uploads"),
        max_bytes: 1_000,
    };
    let uploads = Uploads::new(Arc::new(MemoryStore::default()), settings);
    uploads.load().await.unwrap();
    let content = b"no archive";
    let mut digester = Digester::default();
    digester.update(content);
    let announced = uploads.create(10, digester.finish()).await.unwrap();
    let body = stream::iter([Ok::<_, Infallible>(Bytes::from_static(content))]);
    let id = &announced.id;
    uploads.receive(id, Begin::Anew, None, body).await.unwrap();
    for _ in 0..2 {
        let taken = uploads.take(id).await.expect("nobody else has it");
        let source = BuildSource::Upload(Arc::new(taken));
        let build = world.images.begin_build(&name("app"), source.into());
        let ended = world.ended(&build.unwrap()).await;
        assert_eq!(ended.status, BuildStatus::Failed);
    }
}

#[tokio::test]
async fn what_others_gave_the_name_of_a_build_that_was_cut_off_is_not_the_launchers() {
    let world = World::new();
    let began = |image: &mut Image| image.build_began = Some(Timestamp::UNIX_EPOCH);
    for (app, is_ours) in [("by-hand", false), ("ours", true)] {
        world.engine.tag("app:latest", &format!("{app}:latest"));
        if is_ours {
            world.engine.label("ours:latest", LABEL_OWNER, "launcher");
        }
        world.images.table.change(&name(app), began).await.unwrap();
    }
    world.images.refresh().await.unwrap();
    let made: Vec<MadeImage> = world.store.all().await.unwrap();
    let names: Vec<&String> = made.iter().flat_map(|made| &made.names).collect();
    assert_eq!(names, ["docker.io/library/ours:latest"]);
}
