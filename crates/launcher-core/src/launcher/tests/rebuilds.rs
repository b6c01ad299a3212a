//! New containers for instances that have one: asked for, and after a push.

use std::sync::Arc;

use futures_util::FutureExt;

use super::{World, options, site};
use crate::{
    ImageName, Status,
    engine::{Container, ContainerState},
};

fn name(text: &str) -> ImageName {
    ImageName::parse(text).unwrap()
}

/// The only container that runs, once there is only one.
async fn only(world: &World) -> Container {
    world
        .until("only one runs", |w| w.those_that_run().len() == 1)
        .await;
    world.those_that_run().remove(0)
}

/// The only container that there is.
fn alone(world: &World) -> Container {
    let [container] = &world.engine.all()[..] else {
        panic!("{:?}", world.engine.all());
    };
    container.clone()
}

impl World {
    fn those_that_run(&self) -> Vec<Container> {
        let mut all = self.engine.all();
        all.retain(|container| container.state == ContainerState::Running);
        all
    }

    /// How many calls of this kind the engine has had.
    fn count(&self, call: &str) -> usize {
        let calls = self.engine.calls();
        calls.iter().filter(|c| c.starts_with(call)).count()
    }

    async fn launched(&self, image: &str, auto_deploy: bool) -> String {
        let launch = crate::LaunchOptions {
            auto_deploy,
            ..options(image, &["a.test"])
        };
        self.launcher.launch(launch).await.unwrap()
    }

    async fn deployed(&self, instance: &str, before: &Container) {
        self.until("there is another container", |w| {
            let view = w.view(instance);
            view.observed.container_id.as_ref() != Some(&before.id) && w.those_that_run().len() == 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_rebuild_is_a_new_container_of_the_newest_image_under_the_same_id() {
    let world = World::new().await;
    let id = world.launched("app", false).await;
    let old = only(&world).await;
    let newest = world.engine.rename("app:latest");
    world.launcher.rebuild_instance(&id).await.unwrap();
    let new = only(&world).await;
    assert_ne!(new.id, old.id);
    assert_eq!(new.image_id, newest);
    assert_eq!(new.state, ContainerState::Running);
    let view = world.view(&id);
    assert_eq!(view.observed.container_id.as_ref(), Some(&new.id));
    assert_eq!(view.observed.port, new.host_port);
    assert_eq!(view.record.hostnames, [site("a.test")]);
    let calls = world.engine.calls();
    let place = |call: String| calls.iter().position(|c| *c == call).unwrap();
    assert!(
        place(format!("start {}", new.id)) < place(format!("signal {} SIGTERM", old.id)),
        "the old one goes on until the new one runs: {calls:?}"
    );
    assert_eq!(*world.heard.statuses.lock(), ["creating", "running"]);

    world.launcher.rebuild_instance(&id).await.unwrap();
    assert_ne!(only(&world).await.id, new.id, "also of the same image");
}

#[tokio::test]
async fn of_a_rebuild_that_fails_nothing_is_left_and_the_old_container_goes_on() {
    for what in ["create", "start", "end at once"] {
        let world = World::new().await;
        let id = world.launched("app", false).await;
        let old = only(&world).await;
        match what {
            "end at once" => world.engine.be_feeble(),
            call => world.engine.fail(call),
        }
        let error = world.launcher.rebuild_instance(&id).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.ends_with("the app instance goes on as it was"),
            "{text}"
        );
        let view = world.view(&id);
        assert_eq!(view.observed.deploy_error, Some(text));
        assert_eq!(view.observed.status, Status::Running);
        world.engine.heal();
        world
            .until("only the old one is there", |w| {
                w.engine.all() == [old.clone()]
            })
            .await;
        world.launcher.restart_instance(&id).await.unwrap();
        assert_eq!(only(&world).await.id, old.id, "{what}");
        world.launcher.rebuild_instance(&id).await.unwrap();
        assert_ne!(only(&world).await.id, old.id, "{what}");
        assert_eq!(world.view(&id).observed.deploy_error, None);
    }
}

#[tokio::test]
async fn a_rebuild_that_fails_after_a_crash_is_given_up_as_well() {
    for was_running in [true, false] {
        let world = World::new().await;
        let id = world.launched("app", false).await;
        if !was_running {
            world.launcher.stop_instance(&id).await.unwrap();
        }
        let old = alone(&world);
        match was_running {
            true => world.engine.be_feeble(),
            false => world.engine.fail("create"),
        }
        let launcher = Arc::clone(&world.launcher);
        let mut rebuild = Box::pin(launcher.rebuild_instance(&id));
        assert!((&mut rebuild).now_or_never().is_none());
        drop(rebuild);
        drop(launcher);
        let world = world.restarted().await;
        world
            .until("it is given up", |w| {
                let given_up = w.view(&id).observed.deploy_error.is_some();
                given_up && w.engine.all() == [old.clone()]
            })
            .await;
        let status = world.view(&id).observed.status;
        assert_eq!(status == Status::Running, was_running);
        world.engine.heal();
        world.launcher.rebuild_instance(&id).await.unwrap();
        assert_ne!(only(&world).await.id, old.id);
    }
}

#[tokio::test]
async fn a_rebuild_starts_what_is_stopped_unless_it_fails() {
    let world = World::new().await;
    let id = world.launched("app", false).await;
    world.launcher.stop_instance(&id).await.unwrap();
    let old = alone(&world);
    world.engine.fail("create");
    world.launcher.rebuild_instance(&id).await.unwrap_err();
    world
        .until("it is stopped", |w| {
            w.view(&id).observed.status == Status::Stopped
        })
        .await;
    assert_eq!(alone(&world), old);
    world.engine.heal();
    world.launcher.rebuild_instance(&id).await.unwrap();
    assert_ne!(only(&world).await.id, old.id);
    assert_eq!(world.view(&id).observed.status, Status::Running);
}

#[tokio::test]
async fn a_stop_during_a_rebuild_wins() {
    let world = World::new().await;
    let id = world.launched("app", false).await;
    world
        .apps
        .be_silent_after(world.view(&id).observed.port.unwrap());
    let launcher = &world.launcher;
    let (rebuilt, stopped) = tokio::join!(launcher.rebuild_instance(&id), async {
        world.until("both run", |w| w.engine.all().len() == 2).await;
        launcher.kill_instance(&id).await
    });
    stopped.unwrap();
    let text = rebuilt.unwrap_err().to_string();
    assert!(text.contains("was asked to do something else"), "{text}");
    assert!(world.those_that_run().is_empty());
}

#[tokio::test]
async fn a_rebuild_that_was_cut_off_is_completed_by_the_next_launcher() {
    let world = World::new().await;
    let id = world.launched("app", false).await;
    let old = only(&world).await;
    world.engine.be_stubborn();
    let launcher = Arc::clone(&world.launcher);
    let cut_off = {
        let id = id.clone();
        tokio::spawn(async move { launcher.rebuild_instance(&id).await })
    };
    world
        .until("both run", |w| {
            w.engine.all().iter().all(|c| c.host_port.is_some()) && w.engine.all().len() == 2
        })
        .await;
    cut_off.abort();
    let world = world.restarted().await;
    world.deployed(&id, &old).await;
}

#[tokio::test]
async fn a_push_pulls_and_replaces_where_that_is_wanted() {
    let world = World::new().await;
    let id = world.launched("pullable", true).await;
    let mut other = options("pullable", &[]);
    other.image = name("pullable:latest");
    let untouched = world.launcher.launch(other).await.unwrap();
    let before = world.view(&id).observed;
    let (hook, secret) = world.launcher.hooks().create(None).await.unwrap();
    assert_eq!(world.launcher.hooks().find(&secret), Some(hook.clone()));

    let pushed = name("docker.io/library/pullable:latest");
    world.engine.publish("pullable:latest");
    world.launcher.pushed(&hook, &[pushed]);
    world
        .until("it has the new image", |w| {
            let now = w.view(&id).observed;
            now.image_id != before.image_id && w.those_that_run().len() == 2
        })
        .await;
    assert_eq!(world.view(&id).record.hostnames, [site("a.test")]);
    assert_eq!(world.view(&untouched).observed.image_id, before.image_id);
    assert!(world.heard.hooks.lock()[&hook].last_push_at.is_some());
}

#[tokio::test]
async fn a_push_of_what_runs_already_replaces_nothing() {
    let world = World::new().await;
    world.launched("pullable", true).await;
    let old = only(&world).await;
    // What follows the first is over when the second is pulled.
    for pulls in [2, 3] {
        world.launcher.pushed("hook", &[name("pullable")]);
        world
            .until("it is pulled", |w| w.count("pull") == pulls)
            .await;
    }
    assert_eq!(only(&world).await, old);
}

#[tokio::test]
async fn a_push_of_something_else_does_nothing() {
    let world = World::new().await;
    world.launched("pullable", true).await;
    for other in ["pullable:2", "a.test/library/pullable", "team/pullable"] {
        world.launcher.pushed("hook", &[name(other)]);
    }
    world.launcher.shutdown().await;
    assert_eq!(world.count("pull"), 1);
}

#[tokio::test]
async fn pushes_in_quick_succession_are_one_or_two_pulls() {
    let world = World::new().await;
    world.launched("pullable", false).await;
    for _ in 0..50 {
        world.launcher.pushed("hook", &[name("pullable")]);
    }
    world
        .until("it is pulled twice more", |w| w.count("pull") == 3)
        .await;
    world.launcher.shutdown().await;
    assert_eq!(world.count("pull"), 3);
}

#[tokio::test]
async fn a_pull_that_fails_is_told_and_changes_nothing() {
    let world = World::new().await;
    let id = world.launched("pullable", true).await;
    let old = only(&world).await;
    world.engine.fail("pull");
    world.launcher.pushed("hook", &[name("pullable")]);
    world
        .until("it is told", |w| {
            w.view(&id).observed.deploy_error.is_some()
        })
        .await;
    let text = world.view(&id).observed.deploy_error.unwrap();
    assert!(text.contains("pullable cannot be pulled"), "{text}");
    assert_eq!(only(&world).await, old);
}

#[tokio::test]
async fn a_stopped_instance_gets_its_new_container_when_it_is_started() {
    let world = World::new().await;
    let id = world.launched("pullable", true).await;
    world.launcher.stop_instance(&id).await.unwrap();
    let old = alone(&world);
    world.engine.publish("pullable:latest");
    world.launcher.pushed("hook", &[name("pullable")]);
    world
        .until("it is to be renewed", |w| w.view(&id).record.generation > 0)
        .await;
    assert_eq!(alone(&world), old);
    world.launcher.start_instance(&id).await.unwrap();
    assert_ne!(only(&world).await.image_id, old.image_id);
}

#[tokio::test]
async fn hooks_are_kept_and_removed() {
    let world = World::new().await;
    let named = Some("Docker Hub".to_owned());
    let (id, secret) = world.launcher.hooks().create(named).await.unwrap();
    let world = world.restarted().await;
    let hooks = world.launcher.hooks();
    assert_eq!(hooks.find(&secret), Some(id.clone()));
    assert_eq!(hooks.find("guess"), None);
    hooks.remove(&id).await.unwrap();
    assert_eq!(hooks.find(&secret), None);
    assert!(world.heard.hooks.lock().is_empty());
    let again = hooks.remove(&id).await.unwrap_err();
    assert_eq!(again.to_string(), format!("No hook has ID {id}"));
    for _ in 0..crate::hooks::MAX_HOOKS {
        hooks.create(None).await.unwrap();
    }
    assert!(matches!(
        hooks.create(None).await,
        Err(crate::Error::TooManyHooks(_))
    ));
}
