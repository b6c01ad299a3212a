//! What every engine promises, as one test body, run on the fake one and on Docker.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use jiff::{SignedDuration, Timestamp};

use super::{
    BuildLimits, BuildOutput, BuildSpec, Container, ContainerSpec, ContainerState, DockerEngine,
    Engine, EngineError, Event, ImageUser, LABEL_INSTANCE, LABEL_OWNER, LABEL_RELEASE,
    LABEL_REPLICA, ListedContainer, ListedImage, LogPiece, LogQuery, LogStream, Transfer,
    TransferNews, container_name, fake::FakeEngine,
};
use crate::{Environment, ids::random_id};

const PATIENCE: Duration = Duration::from_secs(60);
/// Of an image with nothing but a program that says something and waits.
const DOCKERFILE: &str = "FROM scratch\nCOPY busybox name /\nCMD [\"/busybox\", \"sh\", \"-c\", \
     \"/busybox echo said; /busybox echo sighed >&2; exec /busybox sleep 600\"]\n";

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    engine_contract(&FakeEngine::default()).await;
}

#[tokio::test]
async fn docker_keeps_the_contract() {
    let docker = DockerEngine::new(None).unwrap();
    engine_contract(&docker).await;
}

/// One image and one container through their whole lives, under an owner that nobody else has.
async fn engine_contract(engine: &dyn Engine) {
    assert!(!engine.version().await.unwrap().is_empty());
    let machine = engine.machine().await.unwrap();
    assert!(machine.memory_bytes > 0 && machine.cpus > 0, "{machine:?}");
    let image = build_image(engine).await;
    let owner = random_id();
    let mut events = engine.events(&owner).await.unwrap();
    let spec = ContainerSpec {
        config: config(),
        ..spec(&owner, &image)
    };

    let id = is_created_once(engine, &spec, &owner).await;
    is_made_as_it_was_said(engine, &id).await;
    lists_images(engine, &spec, &owner).await;
    is_started(engine, &owner, &id).await;
    tells_of_events(&mut events).await;
    belongs_to_its_owner(engine, &owner).await;
    tells_what_is_used(engine, &id).await;
    let log = followed(engine, &owner, &id).await;
    is_ended(engine, &owner, &id).await;
    keeps_its_log(engine, &id, log).await;
    is_removed(engine, &owner, &id).await;
    tells_of_its_disk(engine, &image).await;
    removes_an_image(engine, &image).await;
    misses_what_is_not_there(engine).await;
}

async fn build_image(engine: &dyn Engine) -> String {
    build_image_with(engine, DOCKERFILE).await
}

/// An image whose Dockerfile says this, and whose context is [`context`].
pub(super) async fn build_image_with(engine: &dyn Engine, dockerfile: &str) -> String {
    let name = format!("launcher-test-{}:latest", random_id().to_lowercase());
    assert_eq!(engine.image(&name).await.unwrap(), None);
    let build = BuildSpec {
        name: name.clone(),
        context: stream::iter([Ok(context_with(&name, dockerfile))]).boxed(),
        logins: Vec::new(),
        labels: BTreeMap::from([(LABEL_OWNER.to_owned(), "somebody".to_owned())]),
        limits: BuildLimits {
            memory_bytes: 3 << 30,
            cpus: 0.5,
            time: PATIENCE,
        },
        began: engine.machine().await.unwrap().time,
        output: Arc::new(|_: BuildOutput<'_>| {}),
    };
    engine.build(build).await.unwrap();
    let image = engine.image(&name).await.unwrap().unwrap();
    assert!(image.id.starts_with("sha256:"), "{}", image.id);
    name
}

/// A context for an image without a base, which nobody else has: Debian's `busybox-static` and a name
/// are all that is in it.
pub(super) fn context(name: &str) -> Bytes {
    context_with(name, DOCKERFILE)
}

fn context_with(name: &str, dockerfile: &str) -> Bytes {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        tar.append_data(&mut header, path, content).unwrap();
    };
    let busybox = std::fs::read("/bin/busybox").expect("Debian's busybox-static is installed");
    add("busybox", 0o755, &busybox);
    add("name", 0o644, name.as_bytes());
    add("Dockerfile", 0o644, dockerfile.as_bytes());
    tar.into_inner().unwrap().into()
}

pub(super) fn spec(owner: &str, image: &str) -> ContainerSpec {
    let instance = random_id();
    ContainerSpec {
        name: container_name(&instance, 7, 2),
        image: image.to_owned(),
        env: Environment::from([("A".to_owned(), "1".to_owned())]),
        labels: BTreeMap::from([
            (LABEL_INSTANCE.to_owned(), instance),
            (LABEL_RELEASE.to_owned(), "7".to_owned()),
            (LABEL_REPLICA.to_owned(), "2".to_owned()),
            (LABEL_OWNER.to_owned(), owner.to_owned()),
        ]),
        app_port: 8080,
        bind_ip: Ipv4Addr::LOCALHOST.into(),
        limits: crate::Limits::default(),
        config: crate::ContainerConfig::default(),
    }
}

/// Of a caller who would like to have the launcher's labels.
fn config() -> crate::ContainerConfig {
    let labels = serde_json::json!({"team": "a", LABEL_OWNER: "other", LABEL_REPLICA: "9"});
    let body = serde_json::json!({
        "Labels": labels,
        "Hostname": "called-so",
        "HostConfig": {
            "ShmSize": 1_048_576,
            "Memory": 33_554_432,
            "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
            "AutoRemove": true,
        },
    });
    serde_json::from_value(body).unwrap()
}

/// What the caller says, and beside it what the launcher says, or needs.
async fn is_made_as_it_was_said(engine: &dyn Engine, id: &str) {
    let inspected = engine.inspect(id).await.unwrap();
    let (config, host) = (&inspected["Config"], &inspected["HostConfig"]);
    assert_eq!(config["Hostname"], "called-so");
    assert_eq!(
        (&config["Labels"]["team"], &config["Labels"][LABEL_REPLICA]),
        (&"a".into(), &"2".into())
    );
    let env = config["Env"].as_array().unwrap();
    assert!(env.contains(&"A=1".into()), "{env:?}");
    assert_eq!(host["ShmSize"], 1_048_576);
    assert_eq!(
        (&host["Memory"], &host["MemorySwap"]),
        (&33_554_432.into(), &33_554_432.into())
    );
    let ulimits = host["Ulimits"].as_array().unwrap();
    let names: Vec<_> = ulimits.iter().map(|limit| limit["Name"].clone()).collect();
    assert_eq!(names, ["core", "nofile"]);
    assert_eq!(
        (&host["AutoRemove"], &host["CapDrop"][0]),
        (&false.into(), &"ALL".into())
    );
    assert_eq!(host["LogConfig"]["Config"]["max-size"], "10000000");
    assert_eq!(host["PortBindings"]["8080/tcp"][0]["HostIp"], "127.0.0.1");
}

async fn is_created_once(engine: &dyn Engine, spec: &ContainerSpec, owner: &str) -> String {
    let id = engine.create(spec).await.unwrap();
    let again = engine.create(spec).await;
    assert!(matches!(again, Err(EngineError::Conflict(_))), "{again:?}");
    let container = only(engine, owner).await;
    assert_eq!(container.id, id);
    assert_eq!(container.instance, spec.labels[LABEL_INSTANCE]);
    assert_eq!((container.generation, container.replica), (7, 2));
    let image = engine.image(&spec.image).await.unwrap().unwrap();
    assert_eq!(container.image_id, image.id);
    assert_eq!(container.state, ContainerState::Created);
    assert_eq!((container.started_at, container.host_port), (None, None));
    id
}

/// With its name, who uses it, and what is known of it otherwise.
async fn lists_images(engine: &dyn Engine, spec: &ContainerSpec, owner: &str) {
    let alone = engine.image(&spec.image).await.unwrap().unwrap();
    let listed = listed(engine, &spec.image).await.unwrap();
    assert_eq!(listed.id, alone.id);
    assert_eq!(listed.names, [spec.image.as_str()]);
    assert_eq!(listed.size_bytes, alone.size_bytes);
    assert_eq!(
        (listed.digests, listed.labels),
        (alone.digests, alone.labels)
    );
    let second = |time: Option<Timestamp>| time.map(Timestamp::as_second);
    assert_eq!(second(listed.created_at), second(alone.created_at));
    let user = ImageUser {
        container: spec.name.clone(),
        owner: Some(owner.to_owned()),
        instance: Some(spec.labels[LABEL_INSTANCE].clone()),
    };
    assert_eq!(listed.users, [user]);
    let refused = engine.remove_image(&spec.image).await;
    assert!(
        matches!(refused, Err(EngineError::Conflict(_))),
        "a container needs it: {refused:?}"
    );
}

async fn listed(engine: &dyn Engine, name: &str) -> Option<ListedImage> {
    let images = engine.images().await.unwrap();
    images
        .into_iter()
        .find(|image| image.names.iter().any(|n| n == name))
}

/// All layers of an image, and what the engine has in all; an image that is discarded is told by the
/// layers that are gone.
async fn tells_of_its_disk(engine: &dyn Engine, image: &str) {
    let whole = engine.image(image).await.unwrap().unwrap();
    let ancestry = engine.ancestry().await.unwrap();
    assert!(ancestry.contains_key(&whole.id));
    let layers = engine.image_layers(&whole.id).await.unwrap();
    let size: u64 = layers.iter().map(|layer| layer.size_bytes).sum();
    assert_eq!(size, whole.size_bytes);
    // Docker counts for one at a time, and says so to others.
    let counted = engine.disk().await;
    let busy =
        matches!(&counted, Err(EngineError::Failed(text)) if text.contains("already running"));
    assert!(busy || counted.unwrap().images_bytes >= size);

    let second = build_image(engine).await;
    let id = engine.image(&second).await.unwrap().unwrap().id;
    let ancestry = engine.ancestry().await.unwrap();
    let gone = engine.discard_image(&id).await.unwrap();
    assert!(gone.contains(&id), "{gone:?}");
    assert_eq!(engine.image(&second).await, Ok(None));
    let again = engine.discard_image(&id).await;
    assert!(matches!(again, Err(EngineError::NotFound(_))), "{again:?}");
    // What it was built on stays until it is discarded as well.
    let mut built_on = ancestry[&id].as_ref();
    while let Some(id) = built_on {
        engine.discard_image(id).await.unwrap();
        built_on = ancestry[id].as_ref();
    }
}

async fn removes_an_image(engine: &dyn Engine, name: &str) {
    let listed_before = listed(engine, name).await.unwrap();
    assert_eq!(listed_before.users, []);
    engine.remove_image(name).await.unwrap();
    assert_eq!(listed(engine, name).await, None);
    assert_eq!(engine.image(&listed_before.id).await.unwrap(), None);
    let again = engine.remove_image(name).await;
    assert!(matches!(again, Err(EngineError::NotFound(_))), "{again:?}");
}

async fn is_started(engine: &dyn Engine, owner: &str, id: &str) {
    engine.start(id).await.unwrap();
    let container = only(engine, owner).await;
    assert_eq!(container.state, ContainerState::Running);
    assert!(
        container.started_at.is_some() && container.host_port.is_some(),
        "{container:?}"
    );

    engine.start(id).await.unwrap();
    assert_eq!(
        only(engine, owner).await,
        container,
        "a second start changes nothing"
    );
    assert!(engine.inspect(id).await.unwrap()["Id"].is_string());
}

async fn tells_of_events(events: &mut BoxStream<'static, Event>) {
    let told = tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
    assert!(
        matches!(told, Some(Event::Container { .. } | Event::Image)),
        "{told:?}"
    );
}

async fn belongs_to_its_owner(engine: &dyn Engine, owner: &str) {
    let container = only(engine, owner).await;
    let instance = container.instance.clone();
    let listed = ListedContainer {
        id: container.id,
        instance: container.instance,
        state: container.state,
    };
    assert_eq!(engine.listed_containers(owner).await.unwrap(), [listed]);
    assert_eq!(engine.listed_containers("other").await.unwrap(), []);
    assert_eq!(
        engine
            .containers(owner, Some(&instance))
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(engine.containers(owner, Some("other")).await.unwrap(), []);
    assert_eq!(engine.containers("other", None).await.unwrap(), []);
}

/// A container that sleeps has some memory and a process.
async fn tells_what_is_used(engine: &dyn Engine, id: &str) {
    let stats = engine.stats(id).await.unwrap().expect("it runs");
    assert!(stats.memory_bytes > 0 && stats.pids > 0, "{stats:?}");
    assert!(stats.memory_limit_bytes > stats.memory_bytes, "{stats:?}");
    assert!(stats.at > Timestamp::UNIX_EPOCH, "{stats:?}");
}

/// What it wrote after its start, and a stream that goes on.
async fn followed(engine: &dyn Engine, owner: &str, id: &str) -> Log {
    let query = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    let mut log = engine.logs(id, &query).await.unwrap();
    let mut pieces = Vec::new();
    while pieces.len() < 2 {
        let piece = tokio::time::timeout(PATIENCE, log.next()).await.unwrap();
        pieces.push(piece.unwrap().unwrap());
    }
    let started_at = only(engine, owner).await.started_at.unwrap();
    // Docker notes the start when the program may have written already.
    let about = started_at - SignedDuration::from_secs(5);
    assert!(pieces.iter().all(|piece| piece.at > about), "{pieces:?}");
    pieces.sort_by_key(|piece| piece.stream);
    assert_eq!(
        texts(&pieces),
        [
            (LogStream::Stdout, "said\n".into()),
            (LogStream::Stderr, "sighed\n".into())
        ]
    );
    log
}

type Log = BoxStream<'static, Result<LogPiece, EngineError>>;

fn texts(pieces: &[LogPiece]) -> Vec<(LogStream, String)> {
    let text = |piece: &LogPiece| String::from_utf8_lossy(&piece.bytes).into_owned();
    pieces
        .iter()
        .map(|piece| (piece.stream, text(piece)))
        .collect()
}

/// A log that was followed ends with the program; what was written can still be read.
async fn keeps_its_log(engine: &dyn Engine, id: &str, mut followed: Log) {
    let end = tokio::time::timeout(PATIENCE, followed.next()).await;
    assert_eq!(end.unwrap(), None);

    let read = async |query: LogQuery| -> Vec<LogPiece> {
        let log = engine.logs(id, &query).await.unwrap();
        log.try_collect().await.unwrap()
    };
    let all = read(LogQuery::default()).await;
    assert_eq!(all.len(), 2, "{all:?}");
    let last = LogQuery {
        tail: Some(1),
        ..LogQuery::default()
    };
    assert_eq!(read(last).await, all[1..]);
    let errors = LogQuery {
        stdout: false,
        follow: true,
        ..LogQuery::default()
    };
    assert_eq!(
        texts(&read(errors).await),
        [(LogStream::Stderr, "sighed\n".into())]
    );
    let since = |at| LogQuery {
        since: Some(at),
        ..LogQuery::default()
    };
    assert_eq!(read(since(all[1].at)).await, all[1..], "to the nanosecond");
    let after = all[1].at + SignedDuration::from_nanos(1);
    assert_eq!(read(since(after)).await, []);
}

async fn is_ended(engine: &dyn Engine, owner: &str, id: &str) {
    engine.signal(id, "SIGKILL").await.unwrap();
    let container = tokio::time::timeout(PATIENCE, ended(engine, owner))
        .await
        .unwrap();
    assert!(
        container.finished_at >= container.started_at,
        "{container:?}"
    );
    assert_eq!(container.host_port, None);
    assert_eq!(engine.stats(id).await, Ok(None));
    engine
        .signal(id, "SIGTERM")
        .await
        .expect("a container that does not run is left alone");
}

async fn ended(engine: &dyn Engine, owner: &str) -> Container {
    loop {
        let container = only(engine, owner).await;
        if container.state == ContainerState::Exited {
            return container;
        }
        tokio::task::yield_now().await;
    }
}

async fn is_removed(engine: &dyn Engine, owner: &str, id: &str) {
    engine
        .start(id)
        .await
        .expect("a container that ended can be started again");
    engine.remove(id).await.unwrap();
    assert_eq!(engine.containers(owner, None).await.unwrap(), []);
    engine
        .remove(id)
        .await
        .expect("one that is gone is left alone");
}

async fn misses_what_is_not_there(engine: &dyn Engine) {
    assert!(matches!(
        engine.inspect("nothing").await,
        Err(EngineError::NotFound(_))
    ));
    let stats = engine.stats("nothing").await;
    assert!(matches!(stats, Err(EngineError::NotFound(_))));
    let log = engine.logs("nothing", &LogQuery::default()).await;
    assert!(matches!(log.err(), Some(EngineError::NotFound(_))));
    assert!(matches!(
        engine.start("nothing").await,
        Err(EngineError::NotFound(_))
    ));
    assert_eq!(engine.image("nothing:latest").await, Ok(None));
    let transfer = || Transfer {
        name: "127.0.0.1:1/nothing:latest".to_owned(),
        login: None,
        output: Arc::new(|_: TransferNews<'_>| {}),
    };
    assert!(engine.pull(transfer()).await.is_err());
    assert!(engine.push(transfer()).await.is_err());
}

async fn only(engine: &dyn Engine, owner: &str) -> Container {
    let mut containers = engine.containers(owner, None).await.unwrap();
    assert_eq!(containers.len(), 1);
    containers.remove(0)
}
