//! Launching.

use super::*;

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
