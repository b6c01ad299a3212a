//! What callers wish of instances that there are, one after another and at the same time.

use super::*;

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
async fn an_end_that_somebody_asked_for_is_no_reason_why_an_app_is_not_ready() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    world.launcher.stop_instance(&id).await.unwrap();
    let error = world.launcher.await_ready(&id, None).await.unwrap_err();
    let Error::NotReady { reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(reason, "the app instance is stopped");
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
async fn hostnames_are_added_once_and_freed() {
    let world = World::new().await;
    let one = world.launcher.launch(options("app", &[])).await.unwrap();
    let two = world.launcher.launch(options("app", &[])).await.unwrap();
    let launcher = &world.launcher;
    launcher
        .add_hostname(&one, hostname("a.test"), None)
        .await
        .unwrap();
    launcher
        .add_hostname(&one, hostname("A.test"), None)
        .await
        .unwrap();
    assert_eq!(world.view(&one).record.hostnames, [site("a.test")]);
    let taken = launcher.add_hostname(&two, hostname("a.test"), None).await;
    assert!(
        matches!(taken, Err(Error::HostnameTaken { .. })),
        "{taken:?}"
    );
    launcher
        .remove_hostname(&one, &hostname("a.test"))
        .await
        .unwrap();
    launcher
        .add_hostname(&two, hostname("a.test"), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn of_two_callers_who_want_one_hostname_one_gets_it() {
    let world = World::new().await;
    let one = world.launcher.launch(options("app", &[])).await.unwrap();
    let two = world.launcher.launch(options("app", &[])).await.unwrap();
    let (first, second) = tokio::join!(
        world.launcher.add_hostname(&one, hostname("a.test"), None),
        world.launcher.add_hostname(&two, hostname("a.test"), None),
    );
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
}
