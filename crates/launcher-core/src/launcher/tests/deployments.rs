//! Releases that take the place of others, replicas, and waiting until an app answers.

use super::*;
use crate::{
    DeployOptions, DeploymentStatus, EnvironmentChange, ReleaseStatus, Role,
    engine::Engine,
    health::{Health, HealthKind},
    store::Kind,
};
use futures_util::{FutureExt, future::BoxFuture};

impl World {
    fn deployment(&self, id: &str) -> Deployment {
        self.heard.deployments.lock()[id].clone()
    }

    async fn ended(&self, deployment: &str) -> Deployment {
        self.until("the deployment is over", |w| {
            w.deployment(deployment).status.is_final()
        })
        .await;
        self.deployment(deployment)
    }

    /// The releases of an instance by their status, oldest first.
    fn releases(&self, instance: &str) -> Vec<(String, ReleaseStatus)> {
        let all = self.heard.releases.lock();
        let own = all.values().filter(|release| release.instance == instance);
        own.map(|release| (release.id.clone(), release.status))
            .collect()
    }

    async fn set(&self, id: &str, name: &'static str, value: &'static str) -> String {
        let change = move |env: &Environment| {
            let mut env = env.clone();
            env.insert(name.into(), value.into());
            env
        };
        self.launcher
            .set_environment(id, Box::new(change))
            .await
            .unwrap()
    }

    fn ports(&self, id: &str) -> Vec<u16> {
        self.view(id)
            .observed
            .containers
            .iter()
            .filter_map(|line| line.port)
            .collect()
    }
}

#[tokio::test]
async fn a_launch_can_wait_until_the_app_answers_or_for_nothing() {
    let world = World::new().await;
    let ready = LaunchOptions {
        wait: Wait::Ready,
        ..options("app", &[])
    };
    let id = world.launcher.launch(ready.clone()).await.unwrap();
    assert_eq!(world.view(&id).observed.health, Health::Healthy);

    world.engine.fail("create");
    let nothing = LaunchOptions {
        wait: Wait::None,
        ..options("app", &[])
    };
    world.launcher.launch(nothing).await.expect("recorded");
    world.engine.heal();

    world.apps.be_silent_after(0);
    let start_period = Duration::ZERO;
    let health = HealthSettings {
        start_period,
        ..HealthSettings::default()
    };
    let error = world
        .launcher
        .launch(LaunchOptions { health, ..ready })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
    assert_eq!(
        world.records().await.unwrap().len(),
        2,
        "nothing is left of it"
    );
}

#[tokio::test]
async fn what_does_not_get_ready_is_told_with_the_reason() {
    let world = World::new().await;
    world.apps.be_silent_after(0);
    let id = world
        .launcher
        .launch(options("app", &["a.test"]))
        .await
        .unwrap();
    let routes = crate::routing::routes(&world.view(&id));
    assert_eq!(routes[0].page, Some(crate::routing::Page::Starting));
    let timeout = Some(Duration::from_millis(50));
    let error = world.launcher.await_ready(&id, timeout).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("not ready within 50 ms: connection refused"),
        "{text}"
    );
    world.apps.heal();
    world.launcher.await_ready(&id, None).await.unwrap();
    world.launcher.stop_instance(&id).await.unwrap();
    let error = world.launcher.await_ready(&id, None).await.unwrap_err();
    assert!(
        error.to_string().starts_with("the app instance is stopped"),
        "{error}"
    );
}

#[tokio::test]
async fn an_instance_has_as_many_containers_as_it_is_scaled_to() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let first = world.view(&id).observed.container_id;
    world.launcher.scale(&id, 3).await.unwrap();
    let view = world.view(&id);
    let replicas: Vec<u32> = view
        .observed
        .containers
        .iter()
        .map(|line| line.replica)
        .collect();
    assert_eq!(replicas, [0, 1, 2]);
    assert_eq!(view.observed.container_id, first, "that of the first");
    assert_eq!(view.observed.port, view.observed.containers[0].port);

    world.apps.be_busy(world.ports(&id)[2], true);
    world.launcher.scale(&id, 1).await.unwrap();
    world
        .until("one serves, another is busy", |w| {
            let view = w.view(&id);
            let roles: Vec<Role> = view
                .observed
                .containers
                .iter()
                .map(|line| line.role)
                .collect();
            roles == [Role::Serving, Role::Leaving]
        })
        .await;
    world.apps.be_busy(world.ports(&id)[1], false);
    world.until("one runs", |w| w.ports(&id).len() == 1).await;
    for wrong in [0, 101] {
        let error = world.launcher.scale(&id, wrong).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "an app instance has from 1 to 100 replicas"
        );
    }
}

#[tokio::test]
async fn a_deployment_is_told_step_by_step_and_can_be_taken_back() {
    let world = World::new().await;
    let id = world
        .launcher
        .launch(options("app", &["a.test"]))
        .await
        .unwrap();
    let old_image = world.view(&id).observed.image_id;
    let newer = world.engine.rename("app:latest");

    // The same image, whatever has its name now.
    let deployment = world.set(&id, "COLOUR", "blue").await;
    let done = world.ended(&deployment).await;
    assert_eq!(done.status, DeploymentStatus::Succeeded, "{done:?}");
    let steps: Vec<DeploymentStatus> = done.steps.iter().map(|step| step.status).collect();
    assert!(
        steps.is_sorted() && steps.contains(&DeploymentStatus::Draining),
        "{done:?}"
    );
    assert_eq!(world.view(&id).observed.image_id, old_image);
    assert_eq!(world.launcher.environment(&id).unwrap()["COLOUR"], "blue");

    let deployment = world
        .launcher
        .deploy(&id, DeployOptions::default())
        .await
        .unwrap();
    world.ended(&deployment).await;
    assert_eq!(world.view(&id).observed.image_id, Some(newer));

    world
        .launcher
        .add_hostname(&id, hostname("b.test"), None)
        .await
        .unwrap();
    let first = world.releases(&id)[0].0.clone();
    let deployment = world.launcher.rollback(&id, &first).await.unwrap();
    world.ended(&deployment).await;
    let view = world.view(&id);
    assert_eq!(view.observed.image_id, old_image);
    assert_eq!(view.record.hostnames, [site("a.test")]);
    assert!(!view.record.env.contains_key("COLOUR"));
    let statuses: Vec<ReleaseStatus> = world
        .releases(&id)
        .into_iter()
        .map(|(_, status)| status)
        .collect();
    use ReleaseStatus::{Current, Superseded};
    assert_eq!(statuses, [Superseded, Superseded, Superseded, Current]);

    let last = world.releases(&id)[2].0.clone();
    let differs = world.launcher.diff_releases(&first, &last).unwrap();
    let fields: Vec<&str> = differs.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["imageId", "hostnames", "env.COLOUR"]);
    assert!(world.launcher.rollback(&id, "none").await.is_err());
}

#[tokio::test]
async fn a_release_that_does_not_answer_changes_nothing_for_visitors() {
    let world = World::new().await;
    let start_period = Duration::ZERO;
    let health = HealthSettings {
        start_period,
        ..HealthSettings::default()
    };
    let launch = LaunchOptions {
        health,
        replicas: 2,
        ..options("app", &["a.test"])
    };
    let id = world.launcher.launch(launch).await.unwrap();
    world.launcher.await_ready(&id, None).await.unwrap();
    let before = crate::routing::routes(&world.view(&id));
    let ports = world.ports(&id);
    world.apps.be_silent_after(*ports.iter().max().unwrap());
    let deployment = world.set(&id, "SECRET_KEY", "x").await;
    let failed = world.ended(&deployment).await;
    assert_eq!(failed.status, DeploymentStatus::Failed);
    assert_eq!(failed.probe.as_deref(), Some("connection refused"));
    let error = failed.error.unwrap();
    assert!(error.contains("did not become ready"), "{error}");
    assert_eq!(crate::routing::routes(&world.view(&id)), before);
    world
        .until("the new ones are gone", |w| w.engine.all().len() == 2)
        .await;
    assert!(
        !world
            .launcher
            .environment(&id)
            .unwrap()
            .contains_key("SECRET_KEY")
    );
    assert_eq!(world.releases(&id)[1].1, ReleaseStatus::Failed);
    let told = world.view(&id).observed.deploy_error;
    assert!(told.is_some());
    let world = world.restarted().await;
    assert_eq!(world.view(&id).observed.deploy_error, told);
    let deployment = world.set(&id, "A", "1").await;
    world.ended(&deployment).await;
    assert_eq!(world.view(&id).observed.deploy_error, None);
    let world = world.restarted().await;
    assert_eq!(world.view(&id).observed.deploy_error, None, "that is over");
}

#[tokio::test]
async fn the_newer_of_two_deployments_counts() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    world.launcher.await_ready(&id, None).await.unwrap();
    world
        .apps
        .be_silent_after(world.view(&id).observed.port.unwrap());
    let first = world.set(&id, "A", "1").await;
    world
        .until("it waits", |w| {
            w.deployment(&first).status == DeploymentStatus::Waiting
        })
        .await;
    world.apps.heal();
    let second = world.set(&id, "B", "2").await;
    assert_eq!(
        world.ended(&first).await.status,
        DeploymentStatus::Superseded
    );
    assert_eq!(
        world.ended(&second).await.status,
        DeploymentStatus::Succeeded
    );
    let env = world.launcher.environment(&id).unwrap();
    assert!(env.contains_key("A") && env.contains_key("B"));
}

#[tokio::test]
async fn what_is_wished_after_a_switch_goes_on_from_the_new_release() {
    let deploy: fn(&World, &str) -> BoxFuture<'static, ()> = |w, id| {
        let (launcher, id) = (Arc::clone(&w.launcher), id.to_owned());
        let options = DeployOptions::default();
        async move { drop(launcher.deploy(&id, options).await.unwrap()) }.boxed()
    };
    let stop: fn(&World, &str) -> BoxFuture<'static, ()> = |w, id| {
        let (launcher, id) = (Arc::clone(&w.launcher), id.to_owned());
        async move { launcher.stop_instance(&id).await.unwrap() }.boxed()
    };
    for wish in [deploy, stop] {
        let world = World::new().await;
        let id = world.launcher.launch(options("app", &[])).await.unwrap();
        world.launcher.await_ready(&id, None).await.unwrap();
        let port = world.view(&id).observed.port.unwrap();
        world.apps.be_silent_after(port);
        let first = world.set(&id, "A", "1").await;
        world
            .until("it waits", |w| {
                w.deployment(&first).status == DeploymentStatus::Waiting
            })
            .await;
        // It serves, but that cannot be written down yet.
        world.store.refuse(Kind::Instance);
        world.apps.heal();
        world
            .until("it serves", |w| {
                w.view(&id).observed.carried_out == w.view(&id).record.wish
            })
            .await;
        assert!(world.view(&id).record.rollout.is_some(), "not written down");
        world.store.heal();
        wish(&world, &id).await;
        assert_eq!(
            world.ended(&first).await.status,
            DeploymentStatus::Succeeded,
            "it has served"
        );
        assert!(world.view(&id).record.env.contains_key("A"));
        let (oldest, status) = world.releases(&id)[0].clone();
        assert_eq!(status, ReleaseStatus::Superseded);
        let following = world.launcher.release(&oldest).unwrap().number;
        assert!(world.view(&id).record.generation > following);
    }
}

#[tokio::test]
async fn what_serves_is_looked_after_while_an_image_is_pulled() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    world.launcher.await_ready(&id, None).await.unwrap();
    let old = world.container();
    world.engine.stall();
    let deploy = DeployOptions {
        image: Some(ImageName::parse(PULLABLE).unwrap()),
        ..DeployOptions::default()
    };
    let deployment = world.launcher.deploy(&id, deploy).await.unwrap();
    world
        .until("it is pulled", |w| {
            w.deployment(&deployment).status == DeploymentStatus::Pulling
        })
        .await;
    world.engine.crash(&old);
    world
        .until("it serves again", |w| {
            let observed = w.view(&id).observed;
            w.starts() == 2 && observed.health == Health::Healthy
        })
        .await;
    assert_eq!(world.container(), old);
    assert_eq!(world.view(&id).observed.containers[0].restarts, 1);
    assert_eq!(
        world.deployment(&deployment).status,
        DeploymentStatus::Pulling
    );
    world.engine.go_on();
    let done = world.ended(&deployment).await;
    assert_eq!(done.status, DeploymentStatus::Succeeded, "{done:?}");
    let texts = done.steps.iter().map(|step| step.text.as_str());
    let started = texts.filter(|text| text.contains("was started"));
    assert_eq!(started.count(), 1, "that of the new one: {done:?}");
}

#[tokio::test]
async fn each_container_is_asked_as_its_own_release_has_it() {
    let asking = |path: &str| HealthSettings {
        kind: HealthKind::Http,
        path: Some(path.into()),
        ..HealthSettings::default()
    };
    let world = World::new().await;
    let launch = LaunchOptions {
        health: asking("/old"),
        ..options("app", &[])
    };
    let id = world.launcher.launch(launch).await.unwrap();
    world.launcher.await_ready(&id, None).await.unwrap();
    let old = world.view(&id).observed.port.unwrap();
    world.apps.be_silent_after(old);
    let deploy = DeployOptions {
        health: Some(asking("/new")),
        ..DeployOptions::default()
    };
    let deployment = world.launcher.deploy(&id, deploy).await.unwrap();
    world
        .until("both run", |w| {
            w.deployment(&deployment).status == DeploymentStatus::Waiting
        })
        .await;
    let world = world.restarted().await;
    world
        .until("both are asked", |w| {
            let mut ports = w.engine.all().into_iter().filter_map(|c| c.host_port);
            ports.all(|port| !w.apps.asked(port).is_empty())
        })
        .await;
    assert_eq!(world.apps.asked(old), ["/old"]);
    world.ended(&deployment).await;
}

#[tokio::test]
async fn variables_are_made_from_those_of_the_moment() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let env: EnvironmentChange = Box::new(|now| {
        let mut env = now.clone();
        env.insert("B".into(), "2".into());
        env
    });
    let deploy = DeployOptions {
        env: Some(env),
        ..DeployOptions::default()
    };
    let (_, second) = tokio::join!(world.set(&id, "A", "1"), world.launcher.deploy(&id, deploy));
    world.ended(&second.unwrap()).await;
    let env = world.launcher.environment(&id).unwrap();
    assert!(env.contains_key("A") && env.contains_key("B"), "{env:?}");
}

#[tokio::test]
async fn a_stopped_instance_gets_its_release_when_it_is_started() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    world.launcher.stop_instance(&id).await.unwrap();
    let deployment = world.set(&id, "A", "1").await;
    assert_eq!(
        world.deployment(&deployment).status,
        DeploymentStatus::Succeeded
    );
    assert_eq!(world.starts(), 1);
    world.launcher.start_instance(&id).await.unwrap();
    assert_eq!(world.starts(), 2);
    assert_eq!(
        world.view(&id).observed.release,
        world.view(&id).record.generation
    );
}

#[tokio::test]
async fn of_a_removed_instance_no_releases_and_deployments_are_left() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let deployment = world.set(&id, "A", "1").await;
    world.ended(&deployment).await;
    world.launcher.remove_instance(&id).await.unwrap();
    assert!(world.heard.deployments.lock().is_empty());
    assert!(world.heard.releases.lock().is_empty());
    assert!(world.engine.all().is_empty());
}

#[tokio::test]
async fn a_program_that_crashes_is_told_and_started_again() {
    let world = World::new().await;
    world.engine.be_feeble();
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let most = Patience::default().most_restarts;
    assert!(most > 5);
    world
        .until("it is seen to have ended", |w| {
            w.view(&id).observed.exit.is_some()
        })
        .await;
    let exit = world.view(&id).observed.exit.unwrap();
    assert!(exit.next_try_at.is_some_and(|at| at > exit.at), "{exit:?}");
    world.engine.heal();
    world
        .until("it runs", |w| {
            w.view(&id).observed.health == Health::Healthy
        })
        .await;
    let line = world.view(&id).observed.containers[0].clone();
    assert!(line.restarts >= 1, "{line:?}");
}

#[tokio::test]
async fn requests_go_past_a_replica_that_does_not_answer() {
    let world = World::new().await;
    let settings = HealthSettings {
        start_period: Duration::ZERO,
        interval: Duration::from_secs(1),
        restart_after: Some(Duration::from_secs(1)),
        ..HealthSettings::default()
    };
    let launch = LaunchOptions {
        replicas: 2,
        health: settings,
        ..options("app", &["a.test"])
    };
    let id = world.launcher.launch(launch).await.unwrap();
    world.launcher.await_ready(&id, None).await.unwrap();
    let ports = world.ports(&id);
    world.apps.fall_silent(ports[0]);
    world
        .until("one is out of the route", |w| {
            let view = w.view(&id);
            let routed: Vec<_> = view
                .observed
                .containers
                .iter()
                .filter(|line| line.is_routed)
                .collect();
            view.observed.health == Health::Unhealthy
                && routed.iter().map(|line| line.port).eq([Some(ports[1])])
        })
        .await;
    world
        .until("it has been restarted", |w| {
            w.view(&id).observed.health == Health::Healthy && w.ports(&id)[0] != ports[0]
        })
        .await;
    assert_eq!(world.ports(&id)[1], ports[1], "the other one went on");
}

#[tokio::test]
async fn a_rollback_to_what_is_gone_fails_and_changes_nothing() {
    let world = World::new().await;
    let id = world.launcher.launch(options("app", &[])).await.unwrap();
    let old_image = world.view(&id).observed.image_id.unwrap();
    let newer = world.engine.rename("app:latest");
    let options = DeployOptions::default();
    let deployment = world.launcher.deploy(&id, options).await.unwrap();
    world.ended(&deployment).await;
    world
        .until("the old container has ended", |w| w.ports(&id).len() == 1)
        .await;
    for container in world.engine.all() {
        if container.image_id == old_image {
            world.engine.vanish(&container.id, false);
        }
    }
    world.engine.discard_image(&old_image).await.unwrap();

    let first = world.releases(&id)[0].0.clone();
    let deployment = world.launcher.rollback(&id, &first).await.unwrap();
    let failed = world.ended(&deployment).await;
    assert_eq!(failed.status, DeploymentStatus::Failed);
    let error = failed.error.unwrap();
    assert!(error.contains("is not on the engine any more"), "{error}");
    assert_eq!(world.view(&id).observed.image_id, Some(newer));
}

#[tokio::test]
async fn a_rollback_to_what_runs_keeps_the_hostnames_of_now() {
    let world = World::new().await;
    let launch = options("app", &["a.test"]);
    let id = world.launcher.launch(launch).await.unwrap();
    let added = hostname("b.test");
    world.launcher.add_hostname(&id, added, None).await.unwrap();
    let current = world.releases(&id)[0].0.clone();
    let deployment = world.launcher.rollback(&id, &current).await.unwrap();
    world.ended(&deployment).await;
    let names = world.view(&id).record.hostnames.clone();
    assert_eq!(names, [site("a.test"), site("b.test")]);
}

#[tokio::test]
async fn a_query_of_a_path_is_not_shown_by_a_comparison() {
    let world = World::new().await;
    let asking = |path: &str| HealthSettings {
        path: Some(path.into()),
        ..HealthSettings::default()
    };
    let launch = LaunchOptions {
        health: asking("/up?token=a"),
        ..options("app", &[])
    };
    let id = world.launcher.launch(launch).await.unwrap();
    let deploy = DeployOptions {
        health: Some(asking("/up?token=b")),
        ..DeployOptions::default()
    };
    let deployment = world.launcher.deploy(&id, deploy).await.unwrap();
    world.ended(&deployment).await;
    let releases = world.releases(&id);
    let differs = world
        .launcher
        .diff_releases(&releases[0].0, &releases[1].0)
        .unwrap();
    let [path] = differs.as_slice() else {
        panic!("{differs:?}");
    };
    assert_eq!(path.field, "health.path");
    assert!(path.is_secret && path.before.is_none() && path.after.is_none());
}

#[tokio::test]
async fn a_launch_that_waits_is_not_undone_when_somebody_else_stops_the_instance() {
    let world = World::new().await;
    world.apps.be_silent_after(0);
    let launch = LaunchOptions {
        wait: Wait::Ready,
        ..options("app", &[])
    };
    let starting = |world: &World| {
        let known = world.heard.now.lock();
        let starts = known
            .values()
            .find(|view| view.observed.health == Health::Starting);
        starts.map(|view| view.record.id.clone())
    };
    let stopping = async {
        world.until("it starts", |w| starting(w).is_some()).await;
        let id = starting(&world).unwrap();
        world.launcher.stop_instance(&id).await.unwrap();
        id
    };
    let (launched, stopped) = tokio::join!(world.launcher.launch(launch), stopping);
    assert_eq!(launched.unwrap(), stopped);
    assert_eq!(world.view(&stopped).observed.status, Status::Stopped);
}

#[tokio::test]
async fn what_is_said_in_dockers_words_is_part_of_a_release() {
    let world = World::new().await;
    let launch = LaunchOptions {
        config: config(&serde_json::json!({"User": "node", "Cmd": ["a"]})),
        ..options("app", &[])
    };
    let id = world.launcher.launch(launch).await.unwrap();
    let first = world.releases(&id)[0].0.clone();
    let other = DeployOptions {
        config: Some(config(&serde_json::json!({"User": "other"}))),
        ..DeployOptions::default()
    };
    let told = async |world: &World| {
        let info = world.launcher.container_info(&id, None).await.unwrap();
        (
            info["Config"]["User"].clone(),
            info["Config"]["Cmd"].clone(),
        )
    };
    let deployment = world.launcher.deploy(&id, other).await.unwrap();
    world.ended(&deployment).await;
    assert_eq!(
        told(&world).await,
        ("other".into(), serde_json::Value::Null)
    );
    world.launcher.rebuild_instance(&id).await.unwrap();
    assert_eq!(told(&world).await.0, "other");

    let world = world.restarted().await;
    let deployment = world.launcher.rollback(&id, &first).await.unwrap();
    world.ended(&deployment).await;
    assert_eq!(
        told(&world).await,
        ("node".into(), serde_json::json!(["a"]))
    );
}
