//! What every engine promises of pulls, pushes and logins, as one test body, run on the fake one and
//! on Docker with a registry.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;

use super::{
    BuildOutput, BuildSpec, DockerEngine, Engine, EngineError, LayerState, RegistryLogin, Transfer,
    TransferNews,
    contract::context,
    fake::{FakeEngine, PASSWORD, PRIVATE, USER},
};
use crate::{
    ids::random_id,
    registries::{RegistryHost, Secret},
};

/// The user and password above, as `htpasswd -B` writes them.
const USERS: &str = "user:$2b$04$/5tSTleUkrSYvM2eHuTYg.4/wTVwWd0Uznnq/gNviwgq0/Bn4upm.\n";

#[tokio::test]
async fn the_fake_keeps_the_contract_of_transfers() {
    transfer_contract(&FakeEngine::default(), PRIVATE).await;
}

#[tokio::test]
async fn docker_keeps_the_contract_of_transfers() {
    let registry = Registry::start();
    let docker = DockerEngine::new(None).unwrap();
    transfer_contract(&docker, &registry.host).await;
}

/// Debian's `docker-registry` on loopback, which lets in one user.
struct Registry {
    host: String,
    server: Child,
    _folder: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let host = free.local_addr().unwrap().to_string();
        drop(free);
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("users"), USERS).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '{host}'}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            path("images"),
            path("users"),
        );
        std::fs::write(path("config.yml"), config).unwrap();
        let server = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's docker-registry is installed");
        while TcpStream::connect(&host).is_err() {
            std::thread::yield_now();
        }
        Self {
            host,
            server,
            _folder: folder,
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

/// An image's way to a registry and back.
async fn transfer_contract(engine: &dyn Engine, registry: &str) {
    let name = format!("{registry}/{}:1", random_id().to_lowercase());
    let right = login(registry, PASSWORD);
    checks_logins(engine, &right).await;
    let digest = is_pushed(engine, &name, &right).await;
    refuses(engine, &name, registry).await;

    engine.remove_image(&name).await.unwrap();
    assert_eq!(engine.image(&name).await.unwrap(), None);
    let repository = name.strip_suffix(":1").unwrap();
    for asked in [name.clone(), format!("{repository}@{digest}")] {
        is_pulled(engine, &asked, &right, &digest).await;
        engine.remove_image(&asked).await.unwrap();
    }
    does_not_find(engine, repository, &right).await;
}

fn login(registry: &str, password: &str) -> RegistryLogin {
    RegistryLogin {
        registry: RegistryHost::parse(registry).unwrap(),
        username: USER.to_owned(),
        password: Secret::new(password),
    }
}

async fn checks_logins(engine: &dyn Engine, right: &RegistryLogin) {
    engine.check_login(right).await.unwrap();
    let wrong = login(right.registry.as_str(), "hunter2~?>");
    let refused = engine.check_login(&wrong).await.unwrap_err().to_string();
    assert!(
        refused.contains("nauthorized") && !refused.contains("hunter2"),
        "{refused}"
    );
}

async fn is_pushed(engine: &dyn Engine, name: &str, right: &RegistryLogin) -> String {
    let machine = engine.machine().await.unwrap();
    let build = BuildSpec {
        name: name.to_owned(),
        context: stream::iter([Ok(context(name))]).boxed(),
        labels: std::collections::BTreeMap::new(),
        limits: crate::BuildSettings::default().limits(machine),
        began: machine.time,
        logins: vec![right.clone()],
        output: Arc::new(|_: BuildOutput<'_>| {}),
    };
    engine.build(build).await.unwrap();
    let layers = Layers::default();
    let digest = engine
        .push(layers.transfer(name, Some(right)))
        .await
        .unwrap();
    assert!(digest.starts_with("sha256:"), "{digest}");
    layers.are_all_done();
    digest
}

async fn refuses(engine: &dyn Engine, name: &str, registry: &str) {
    let wrong = login(registry, "hunter2~?>");
    for login in [None, Some(&wrong)] {
        let layers = Layers::default();
        for refused in [
            engine.pull(layers.transfer(name, login)).await,
            engine.push(layers.transfer(name, login)).await,
        ] {
            let Err(EngineError::Failed(text)) = refused else {
                panic!("{refused:?} with {login:?}");
            };
            let expected = match login {
                None => "no basic auth credentials",
                Some(_) => "unauthorized",
            };
            assert!(
                text.contains(expected) && !text.contains("hunter2"),
                "{text}"
            );
        }
    }
}

async fn is_pulled(engine: &dyn Engine, name: &str, right: &RegistryLogin, digest: &str) {
    let layers = Layers::default();
    let pulled = engine.pull(layers.transfer(name, Some(right))).await;
    assert_eq!(pulled.as_deref(), Ok(digest), "{name}");
    layers.are_all_done();
    let image = engine.image(name).await.unwrap().unwrap();
    assert!(
        image.digests.iter().any(|known| known.ends_with(digest)),
        "{image:?}"
    );
}

async fn does_not_find(engine: &dyn Engine, repository: &str, right: &RegistryLogin) {
    for name in [format!("{repository}:2"), format!("{repository}x:1")] {
        let layers = Layers::default();
        let pulled = engine.pull(layers.transfer(&name, Some(right))).await;
        assert!(
            matches!(
                pulled,
                Err(EngineError::NotFound(_) | EngineError::Failed(_))
            ),
            "{pulled:?}"
        );
        let pushed = engine.push(layers.transfer(&name, Some(right))).await;
        assert!(pushed.is_err(), "{pushed:?}");
    }
}

/// What was told of each layer last.
#[derive(Clone, Default)]
struct Layers(Arc<Mutex<std::collections::BTreeMap<String, LayerState>>>);

impl Layers {
    fn transfer(&self, name: &str, login: Option<&RegistryLogin>) -> Transfer {
        let layers = self.clone();
        let output = move |news: TransferNews<'_>| {
            if let TransferNews::Layer { id, state, .. } = news {
                layers.0.lock().insert(id.to_owned(), state);
            }
        };
        Transfer {
            name: name.to_owned(),
            login: login.cloned(),
            output: Arc::new(output),
        }
    }

    fn are_all_done(&self) {
        let layers = self.0.lock();
        assert!(!layers.is_empty());
        assert!(
            layers.values().all(|state| *state == LayerState::Done),
            "{layers:?}"
        );
    }
}
