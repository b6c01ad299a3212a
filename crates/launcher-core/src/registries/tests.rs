use std::sync::Arc;

use parking_lot::Mutex;

use super::{Attempt, NewRegistry, Registries, Registry, RegistryHost, Secret, Verb};
use crate::{
    Change, Error, ImageName, Observer,
    engine::fake::{FakeEngine, PASSWORD, PRIVATE, USER},
    store::{MemoryStore, Store},
};

#[derive(Default)]
struct Heard(Mutex<Vec<Option<Registry>>>);

impl Observer for Heard {
    fn changed(&self, change: Change<'_>) {
        if let Change::Registry(_, registry) = change {
            self.0.lock().push(registry.cloned());
        }
    }
}

struct World {
    heard: Arc<Heard>,
    store: Arc<dyn Store>,
    engine: FakeEngine,
    registries: Registries,
}

impl World {
    fn new() -> Self {
        let heard = Arc::new(Heard::default());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let engine = FakeEngine::default();
        let registries = Registries::new(
            Arc::clone(&store),
            Arc::new(engine.clone()),
            Arc::clone(&heard) as Arc<dyn Observer>,
        );
        Self {
            heard,
            store,
            engine,
            registries,
        }
    }
}

fn new(registry: &str, password: &str, verify: bool) -> NewRegistry {
    NewRegistry {
        registry: RegistryHost::parse(registry).unwrap(),
        username: USER.to_owned(),
        password: Secret::new(password),
        verify,
    }
}

fn image(text: &str) -> ImageName {
    ImageName::parse(text).unwrap()
}

#[tokio::test]
async fn credentials_are_for_the_images_of_their_registry_until_they_are_removed() {
    let World {
        registries,
        store,
        heard,
        ..
    } = World::new();
    let id = registries
        .add(new("Private.test:5000/", PASSWORD, true))
        .await
        .unwrap();
    let ours = image("private.test:5000/team/app:1");
    assert_eq!(
        registries.login_for(&ours).unwrap().password.reveal(),
        PASSWORD
    );
    assert_eq!(registries.login_for(&image("team/app")), None);

    let again = registries.add(new(PRIVATE, "other", false)).await.unwrap();
    assert_eq!(again, id, "they take the place of those before");
    assert_eq!(
        registries.login_for(&ours).unwrap().password.reveal(),
        "other"
    );
    assert_eq!(store.all::<Registry>().await.unwrap().len(), 1);

    registries.remove(PRIVATE).await.unwrap();
    assert!(matches!(
        registries.remove(&id).await,
        Err(Error::NoSuchRegistry)
    ));
    assert_eq!(registries.login_for(&ours), None);
    assert_eq!(heard.0.lock().last(), Some(&None));
}

#[tokio::test]
async fn credentials_that_the_registry_refuses_are_not_stored() {
    let world = World::new();
    let refused = world.registries.add(new(PRIVATE, "hunter2", true)).await;
    let Err(Error::CredentialsRefused(text)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        text,
        "the credentials were not stored: the registry private.test:5000 refused those of \"user\""
    );
    world.engine.fail("check_login");
    let failed = world.registries.add(new(PRIVATE, PASSWORD, true)).await;
    assert!(matches!(failed, Err(Error::NotCarriedOut(_))), "{failed:?}");
    assert!(world.registries.logins().is_empty());
}

#[tokio::test]
async fn they_survive_a_restart_and_their_use_is_remembered() {
    let world = World::new();
    world
        .registries
        .add(new(PRIVATE, PASSWORD, false))
        .await
        .unwrap();
    let again = Registries::new(
        Arc::clone(&world.store),
        Arc::new(world.engine.clone()),
        Arc::clone(&world.heard) as Arc<dyn Observer>,
    );
    again.load().await.unwrap();
    let login = again.login_for(&image("private.test:5000/app")).unwrap();
    let registry = RegistryHost::parse(PRIVATE).unwrap();
    let attempt = Attempt {
        verb: Verb::Pull,
        registry: &registry,
        image: None,
        username: Some(USER),
    };
    let heard = || world.heard.0.lock().last().cloned().flatten().unwrap();
    again
        .note_use(&login, Some(&attempt.refused("unauthorized")))
        .await;
    assert!(heard().error.is_some() && heard().last_used_at.is_none());
    again
        .note_use(&login, Some(&attempt.refused("connection refused")))
        .await;
    assert!(
        heard().error.is_some(),
        "that tells nothing of the credentials"
    );
    again.note_use(&login, None).await;
    assert!(heard().error.is_none() && heard().last_used_at.is_some());
    assert!(!format!("{:?}", world.heard.0.lock()).contains(PASSWORD));
}

#[test]
fn each_of_dockers_refusals_is_a_sentence() {
    let registry = RegistryHost::parse("registry.test:5000").unwrap();
    let name = image("registry.test:5000/app:1");
    let sentence = |username, text: &str| {
        let attempt = Attempt {
            verb: Verb::Pull,
            registry: &registry,
            image: Some(&name),
            username,
        };
        attempt.refused(text).reason().to_owned()
    };
    for (username, text, expected) in [
        (
            None,
            "Head \"http://registry.test:5000/v2/app/manifests/1\": no basic auth credentials",
            "wants credentials, of which none are stored; registry/add",
        ),
        (
            Some("me"),
            "Head \"http://registry.test:5000/v2/app/manifests/1\": unauthorized: authentication required",
            "refused it to the credentials of \"me\"; registry/add",
        ),
        (
            None,
            "pull access denied for app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
            "no such repository, or wants credentials",
        ),
        (
            None,
            "manifest for registry.test:5000/app:1 not found: manifest unknown: manifest unknown",
            "no image of this name with this tag or digest",
        ),
        (
            None,
            "Get \"https://registry.test:5000/v2/\": http: server gave HTTP response to HTTPS client",
            "speaks plain HTTP where",
        ),
        (
            None,
            "Get \"https://registry.test:5000/v2/\": x509: certificate signed by unknown authority",
            "does not trust the certificate of the registry registry.test:5000: certificate signed by unknown authority",
        ),
        (
            None,
            "Get \"https://registry.test:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused",
            "cannot be reached: connection refused",
        ),
        (
            None,
            "Get \"https://registry.test:5000/v2/\": dial tcp: lookup registry.test: no such host",
            "cannot be reached: no such host",
        ),
        (
            None,
            "toomanyrequests: You have reached your pull rate limit.",
            "rate limit is reached (no credentials were used",
        ),
        (
            None,
            "no matching manifest for linux/amd64 in the manifest list entries",
            "not for this machine's architecture",
        ),
        (None, "unexpected EOF", "broke off"),
        (
            None,
            r#"Get "http://registry.test:5000/v2/": net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0-x""#,
            "what answers at registry.test:5000 is no registry: it speaks no HTTP",
        ),
        (
            None,
            r#"Get "http://registry.test:5000/v2/": net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01\x00\x02\x02""#,
            "speaks HTTPS where the Docker engine expects plain HTTP",
        ),
        (
            None,
            "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
            "no space is left on the engine's disk",
        ),
        (None, "something else", "something else"),
    ] {
        let said = sentence(username, text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}
