//! What happens without anybody asking for it, and what an earlier launcher left.

use super::*;

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
        prober: Arc::new(Apps::default()),
        traffic: Arc::new(Apps::default()),
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
