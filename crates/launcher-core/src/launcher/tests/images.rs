//! The list of images.

use super::*;
use crate::{
    ImageStatus,
    engine::{Engine, Transfer, TransferNews, fake::pullable_by_digest},
    ids::id_of,
};

impl World {
    fn image(&self, name: &str) -> Option<Image> {
        let images = self.heard.images.lock();
        images.values().find(|i| i.name.as_str() == name).cloned()
    }

    fn in_use(&self, name: &str) -> usize {
        self.image(name).map_or(0, |image| image.in_use)
    }

    async fn listed(&self, name: &str) -> Image {
        self.until(name, |w| w.image(name).is_some()).await;
        self.image(name).unwrap()
    }
}

fn transfer(name: &str) -> Transfer {
    Transfer {
        name: name.to_owned(),
        login: None,
        output: Arc::new(|_: TransferNews<'_>| {}),
    }
}

fn name(text: &str) -> ImageName {
    ImageName::parse(text).unwrap()
}

#[tokio::test]
async fn what_the_engine_has_is_listed_by_each_of_its_names() {
    let world = World::new().await;
    let app = world
        .image("app:latest")
        .expect("listed when the launcher has started");
    assert_eq!(app.id, id_of("docker.io/library/app:latest"));
    assert_eq!(app.status, ImageStatus::Ready);
    assert_eq!(app.in_use, 0);

    world.engine.tag("app:latest", "r.test:5000/team/app:1");
    let alias = world.listed("r.test:5000/team/app:1").await;
    assert_eq!(alias.image_id, app.image_id);
    assert_ne!(alias.id, app.id);

    world.engine.pull(transfer(PULLABLE)).await.unwrap();
    let pulled = world.listed(PULLABLE).await;
    assert!(pulled.digest.unwrap().starts_with("sha256:"));
    world.engine.tag(PULLABLE, "app:latest");
    world
        .until("the name stands for the other image", |w| {
            w.image("app:latest").unwrap().image_id == pulled.image_id
        })
        .await;
    assert_eq!(world.image("app:latest").unwrap().id, app.id);

    world
        .engine
        .remove_image(&alias.name.with_tag())
        .await
        .unwrap();
    world
        .until("it vanishes", |w| {
            w.image("r.test:5000/team/app:1").is_none()
        })
        .await;
    assert_eq!(
        world.heard.images.lock().len(),
        2,
        "what has no name is not listed"
    );
}

#[tokio::test]
async fn what_was_tagged_just_now_can_be_removed_by_its_name() {
    let world = World::new().await;
    world.engine.tag("app:latest", "app:tagged");
    world.launcher.remove_image("app:tagged").await.unwrap();
    assert!(
        !world
            .launcher
            .image_exists(&name("app:tagged"))
            .await
            .unwrap()
    );
    let unknown = world.launcher.remove_image("app:tagged").await;
    assert!(matches!(unknown, Err(Error::UnknownImage(_))));
}

#[tokio::test]
async fn hundreds_of_images_are_listed_without_a_question_each_and_not_stored() {
    let engine = FakeEngine::default();
    for number in 0..500 {
        engine.tag("app:latest", &format!("app:{number}"));
    }
    engine.fail("image");
    let world = World::with(engine, Arc::default()).await;
    assert_eq!(world.heard.images.lock().len(), 501);
    let stored: Vec<Image> = (&*world.store as &dyn Store).all().await.unwrap();
    assert_eq!(stored, []);
}

#[tokio::test]
async fn an_image_keeps_its_id_and_the_name_that_it_was_asked_for_by() {
    let world = World::new().await;
    let id = world.launcher.add_image(&name("pullable")).await.unwrap();
    assert_eq!(world.image("pullable").unwrap().id, id);
    let in_full = name(PULLABLE);
    assert_eq!(world.launcher.add_image(&in_full).await.unwrap(), id);

    let world = world.restarted().await;
    assert_eq!(world.image("pullable").expect("as asked for").id, id);
    world.launcher.remove_image(&id).await.unwrap();
    assert_eq!(world.image("pullable"), None);
    world
        .launcher
        .ensure_image(&id)
        .await
        .expect("pulled again");
    assert_eq!(world.image("pullable").unwrap().id, id);
    let pulls = world.engine.calls();
    let pulls = pulls
        .iter()
        .filter(|call| call.starts_with("pull "))
        .count();
    assert_eq!(pulls, 2);
}

#[tokio::test]
async fn by_its_digest_only_an_image_is_listed_that_was_asked_for_by_it() {
    let digest = pullable_by_digest();
    let engine = FakeEngine::default();
    engine.pull(transfer(&digest)).await.unwrap();
    let world = World::with(engine, Arc::default()).await;
    assert!(world.image("app:latest").is_some());
    assert_eq!(
        world.image(&digest),
        None,
        "it could as well have lost its tag"
    );
    let opened = |w: &World| w.engine.calls().iter().any(|call| call == "events ");
    world.until("the stream is open", opened).await;
    world.engine.pull(transfer(&digest)).await.unwrap();
    world.listed(&digest).await;

    let id = world.launcher.add_image(&name(&digest)).await.unwrap();
    let world = world.restarted().await;
    let listed = world.image(&digest).unwrap();
    assert_eq!(listed.id, id);
    assert!(digest.ends_with(&listed.digest.unwrap()));
    assert_eq!(
        world.launcher.image_status(&name(&digest)).await.unwrap(),
        Some(ImageStatus::Ready)
    );
    world.launcher.remove_image(&digest).await.unwrap();
    assert_eq!(world.image(&digest), None);
}

#[tokio::test]
async fn what_the_events_did_not_tell_the_next_listing_tells() {
    let world = World::new().await;
    let streams = |w: &World| w.engine.calls().iter().filter(|c| *c == "events ").count();
    world.until("the stream is open", |w| streams(w) == 1).await;
    world.engine.tag("app:latest", "app:1");
    world.listed("app:1").await;
    world.engine.fail("images");
    world.engine.remove_tag("app:1");
    world.engine.lose_events();
    world
        .until("the stream is open again", |w| streams(w) == 2)
        .await;
    assert!(
        world.image("app:1").is_some(),
        "an engine that is away has what it had"
    );
    world.engine.heal();
    world.engine.lose_events();
    world
        .until("it vanishes", |w| w.image("app:1").is_none())
        .await;
}

#[tokio::test]
async fn instances_are_counted_at_once() {
    let world = World::new().await;
    world.engine.tag("app:latest", "alias:1");
    let first = world.launcher.launch(options("app", &[])).await.unwrap();
    assert_eq!(world.in_use("app"), 1, "before the launch returns");
    let second = world
        .launcher
        .launch(options("app:latest", &[]))
        .await
        .unwrap();
    assert_eq!(world.in_use("app"), 2);
    world
        .until("what runs counts by any name", |w| w.in_use("alias:1") == 2)
        .await;
    world.launcher.stop_instance(&first).await.unwrap();
    assert_eq!(world.in_use("app"), 2, "it is wanted all the same");

    let world = world.restarted().await;
    assert_eq!(world.in_use("app"), 2);
    assert_eq!(world.in_use("alias:1"), 2);
    world.launcher.remove_instance(&first).await.unwrap();
    world.launcher.remove_instance(&second).await.unwrap();
    assert_eq!((world.in_use("app"), world.in_use("alias:1")), (0, 0));
}

#[tokio::test]
async fn an_image_in_use_is_not_removed() {
    let world = World::new().await;
    world.engine.tag("app:latest", "alias:1");
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    world.launcher.stop_instance(&id).await.unwrap();
    for image in ["app", "alias:1"] {
        let refused = world.launcher.remove_image(image).await.unwrap_err();
        assert!(refused.is_callers(), "{refused}");
        assert!(refused.to_string().contains(&id), "{refused}");
    }
    world.launcher.remove_instance(&id).await.unwrap();
    world.launcher.remove_image("alias:1").await.unwrap();
    assert_eq!(world.image("alias:1"), None);
    assert!(world.image("app").is_some(), "by its other name it stays");
    world
        .launcher
        .remove_image(&id_of("docker.io/library/app:latest"))
        .await
        .unwrap();
    assert!(world.engine.images().await.unwrap().is_empty());
    assert!(world.heard.images.lock().is_empty());
    let unknown = world.launcher.remove_image("app").await.unwrap_err();
    assert_eq!(unknown.to_string(), "No image has ID app");
}

#[tokio::test]
async fn an_image_that_is_being_pulled_is_not_removed() {
    let world = World::new().await;
    world.engine.stall();
    let pullable = name("pullable");
    let (add, ()) = tokio::join!(world.launcher.add_image(&pullable), async {
        world
            .until("it is being pulled", |w| {
                w.image("pullable")
                    .is_some_and(|i| i.status == ImageStatus::Pulling)
            })
            .await;
        let status = world.launcher.image_status(&pullable).await.unwrap();
        assert_eq!(status, Some(ImageStatus::Pulling));
        assert!(!world.launcher.image_exists(&pullable).await.unwrap());
        // A listing does not take it away.
        world.engine.tag("app:latest", "app:1");
        world.listed("app:1").await;
        let refused = world.launcher.remove_image("pullable").await.unwrap_err();
        assert!(
            refused.is_callers() && refused.to_string().contains("being pulled"),
            "{refused}"
        );
        world.engine.go_on();
    });
    let id = add.unwrap();
    assert_eq!(world.image("pullable").unwrap().id, id);
    assert_eq!(
        world.launcher.image_status(&name("none")).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_launch_and_a_removal_at_once_leave_an_instance_that_runs_or_none() {
    let mut launched = 0;
    for _ in 0..30 {
        let world = World::new().await;
        let launcher = &world.launcher;
        let (launch, removal) = tokio::join!(
            launcher.launch(options("app", &[])),
            launcher.remove_image("app")
        );
        let there = world.engine.image("app:latest").await.unwrap().is_some();
        match launch {
            Ok(id) => {
                launched += 1;
                assert!(there && removal.is_err(), "{removal:?}");
                assert_eq!(world.view(&id).observed.status, Status::Running);
            }
            Err(error) => {
                assert!(!there && removal.is_ok(), "{error}");
                assert!(error.to_string().contains("cannot be pulled"), "{error}");
                assert!(world.engine.all().is_empty() && world.heard.now.lock().is_empty());
            }
        }
    }
    // Whoever came first; of both kinds the wish for an instance is not lost for ever.
    assert!(launched <= 30);
}

#[tokio::test]
async fn what_is_removed_while_it_is_launched_is_pulled_again() {
    for _ in 0..30 {
        let world = World::new().await;
        let launcher = &world.launcher;
        launcher.add_image(&name("pullable")).await.unwrap();
        let (launch, _) = tokio::join!(
            launcher.launch(options("pullable", &[])),
            launcher.remove_image("pullable")
        );
        let id = launch.expect("launched from whatever is there then");
        assert_eq!(world.view(&id).observed.status, Status::Running);
        assert_eq!(world.in_use("pullable"), 1);
    }
}

#[tokio::test]
async fn only_so_many_builds_and_pulls_can_wait() {
    let world = World::new().await;
    world.engine.stall();
    let pull = |number| {
        world
            .launcher
            .pull_image(&name(&format!("pullable:{number}")))
    };
    for number in 0..100 {
        pull(number).unwrap();
    }
    let refused = pull(100).unwrap_err();
    assert!(refused.is_callers(), "{refused:?}");
    assert!(
        refused.to_string().starts_with("100 builds, pulls"),
        "{refused}"
    );
    world.engine.go_on();
    world.launcher.end_builds().await;
}
