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

#[tokio::test(start_paused = true)]
async fn a_quick_look_finds_what_no_event_has_told_of() {
    let world = World::new().await;
    world.launcher.launch(options("app", &[])).await.unwrap();
    world.engine.vanish(&world.container(), true);
    // Sooner than the next thorough look.
    world.until("it runs again", |w| w.starts() == 2).await;
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
async fn containers_of_another_launcher_are_left_alone() {
    let world = World::new().await;
    world.launcher.launch(options("app", &[])).await.unwrap();
    let others = world.engine.all();
    world.launcher.shutdown().await;
    let engine = world.engine;
    let world = World::with(engine, Arc::default()).await;
    world.launcher.launch(options("app", &[])).await.unwrap();
    assert!(others.iter().all(|c| world.engine.all().contains(c)));
    assert_eq!(world.records().await.unwrap().len(), 1);
}

impl World {
    /// The same engine under a launcher of the same id that knows nothing.
    async fn forgetful(self) -> Self {
        let id = self.store.launcher_id().await.unwrap();
        self.launcher.shutdown().await;
        Self::with(self.engine, Arc::new(MemoryStore::of(&id))).await
    }
}

#[tokio::test]
async fn an_instance_whose_record_was_lost_is_adopted_as_it_runs() {
    let world = World::new().await;
    let env = Environment::from([("COLOUR".to_owned(), "blue=green".to_owned())]);
    let launch = LaunchOptions {
        env,
        replicas: 2,
        auto_deploy: true,
        config: config(&serde_json::json!({"Labels": {"team": "a"}, "User": "node"})),
        ..options("app", &["a.test", "b.test"])
    };
    let id = world.launcher.launch(launch).await.unwrap();
    let (before, record) = (world.engine.all(), world.view(&id).record);
    let world = world.forgetful().await;
    let view = world.view(&id);
    assert_eq!(
        view.observed.status,
        Status::Running,
        "from the first moment on"
    );
    let adopted = AppInstance {
        release: record.release.clone(),
        ..AppInstance::clone(&view.record)
    };
    assert_eq!(adopted, *record);
    world.launcher.await_ready(&id, None).await.unwrap();
    assert_eq!(world.engine.all(), before, "nothing was done to them");

    world.launcher.stop_instance(&id).await.unwrap();
    let world = world.forgetful().await;
    let view = world.view(&id);
    assert_eq!(view.record.wanted, crate::Wanted::Stopped { kill: false });
    assert_eq!(
        (view.observed.status, view.record.replicas),
        (Status::Stopped, 2)
    );
    world.launcher.remove_instance(&id).await.unwrap();
    assert!(world.engine.all().is_empty());
    let world = world.restarted().await;
    assert!(
        world.records().await.unwrap().is_empty(),
        "and stays removed"
    );
}

#[tokio::test]
async fn a_hostname_that_somebody_else_was_given_stays_with_them() {
    let world = World::new().await;
    let lost = world
        .launcher
        .launch(options("app", &["a.test"]))
        .await
        .unwrap();
    let id = world.store.launcher_id().await.unwrap();
    world.launcher.shutdown().await;
    let (engine, store) = (world.engine, Arc::new(MemoryStore::of(&id)));
    engine.fail("containers");
    let world = World::with(engine, store).await;
    let other = LaunchOptions {
        wait: Wait::None,
        ..options("app", &["a.test"])
    };
    let other = world.launcher.launch(other).await.unwrap();
    world.engine.heal();
    world
        .until("it is adopted", |w| w.heard.now.lock().contains_key(&lost))
        .await;
    assert!(world.view(&lost).record.hostnames.is_empty());
    assert_eq!(world.view(&other).record.hostnames, [site("a.test")]);
}

#[tokio::test]
async fn a_container_that_does_not_tell_what_it_was_is_left_alone() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    world.engine.forget_label(crate::engine::LABEL_RECORD);
    let before = world.engine.all();
    let world = world.forgetful().await;
    assert!(!world.heard.now.lock().contains_key(&id));
    assert_eq!(world.engine.all(), before);
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
