//! What the ledger takes for the launcher's own, and for how long.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{Before, Ledger, Made};
use crate::{
    ImageName,
    engine::{EngineImage, fake::FakeEngine},
    store::MemoryStore,
};

struct World {
    store: Arc<MemoryStore>,
    ledger: Ledger,
}

fn world() -> World {
    let store = Arc::new(MemoryStore::default());
    let ledger = ledger(&store);
    World { store, ledger }
}

fn ledger(store: &Arc<MemoryStore>) -> Ledger {
    Ledger::new(Arc::clone(store) as _, Arc::new(FakeEngine::default()))
}

fn name(text: &str) -> ImageName {
    ImageName::parse(text).unwrap()
}

fn image(id: &str, created_at: Timestamp) -> EngineImage {
    EngineImage {
        id: id.to_owned(),
        created_at: Some(created_at),
        ..EngineImage::default()
    }
}

impl World {
    fn made(&self) -> BTreeSet<String> {
        self.ledger.made().into_keys().collect()
    }

    /// As a launcher finds it that is started after a crash.
    async fn after_a_crash(&self) -> Ledger {
        let ledger = ledger(&self.store);
        ledger.load().await.unwrap();
        ledger
    }
}

#[tokio::test]
async fn what_a_build_found_in_the_cache_is_whose_it_was() {
    let world = world();
    let began = Timestamp::now();
    let before = began - SignedDuration::from_secs(1);
    let app = name("team/app");
    let found = image("sha256:found", before);
    world.ledger.built(&app, &found, began, &[]).await.unwrap();
    world.ledger.named(&app, "sha256:found").await;
    assert!(world.made().is_empty());

    let made = image("sha256:made", began);
    world.ledger.built(&app, &made, began, &[]).await.unwrap();
    world.ledger.named(&name("team/app:2"), "sha256:made").await;
    let known = world.after_a_crash().await.made();
    let names = &known["sha256:made"].names;
    assert_eq!(
        *names,
        ["docker.io/team/app:latest", "docker.io/team/app:2"]
    );
    assert_eq!(known.len(), 1);
}

#[tokio::test]
async fn what_was_there_before_a_pull_is_not_the_launchers() {
    let world = world();
    let app = name("team/app");
    let before = Before(HashSet::from(["sha256:there".to_owned()]));
    for id in ["sha256:there", "sha256:pulled"] {
        let pulled = world.ledger.pulled(&app, id, &before, Made::Pulled);
        pulled.await.unwrap();
    }
    assert_eq!(world.made(), BTreeSet::from(["sha256:pulled".to_owned()]));
}

#[tokio::test]
async fn what_is_gone_is_forgotten_for_good() {
    let world = world();
    let (app, before) = (name("app"), Before(HashSet::new()));
    for id in ["sha256:a", "sha256:b"] {
        let pulled = world.ledger.pulled(&app, id, &before, Made::Base);
        pulled.await.unwrap();
    }
    world.ledger.ran_image("i", "sha256:a").await;
    let instances = HashSet::from(["i".to_owned()]);
    let gone = ["sha256:b".to_owned()];
    world.ledger.forget(&gone, &instances).await.unwrap();
    let again = world.after_a_crash().await;
    assert_eq!(again.made().into_keys().collect::<Vec<_>>(), ["sha256:a"]);
    assert_eq!(again.ran().len(), 1);
    again.forget(&[], &HashSet::new()).await.unwrap();
    assert!(again.ran().is_empty(), "the instance is gone");
}

#[tokio::test]
async fn the_images_of_an_instance_are_remembered_once_each_the_newest_first() {
    let world = world();
    for id in ["a", "b", "b", "a", "c"] {
        world.ledger.ran_image("i", id).await;
    }
    assert_eq!(world.after_a_crash().await.ran()[0].images, ["c", "a", "b"]);
}
