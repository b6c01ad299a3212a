//! Logs of the fake engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{AppLogEntry, LogOptions, LogSink, LogWatch, Logs, last_lines};
use crate::{
    Change, Environment, Error, Observer,
    deployments::Deployments,
    engine::{
        ContainerSpec, Engine, EngineError, LABEL_INSTANCE, LABEL_OWNER, LogStream,
        fake::FakeEngine,
    },
    ids::random_id,
    instances::Instances,
    releases::Releases,
    store::{MemoryStore, Store, contract::sample_instance},
};

const ALL: LogOptions = LogOptions {
    tail: 1_000,
    since: None,
    container: None,
    stream: None,
};

struct Nobody;

impl Observer for Nobody {
    fn changed(&self, _change: Change<'_>) {}
}

/// Logs of an instance `i`.
struct Kit {
    engine: FakeEngine,
    instances: Arc<Instances>,
    logs: Logs,
}

impl Kit {
    async fn new() -> Self {
        let engine = FakeEngine::default();
        let store = Arc::new(MemoryStore::default());
        let store: Arc<dyn Store> = store;
        let releases = Arc::new(Releases::new(Arc::clone(&store), Arc::new(Nobody)));
        let deployments = Arc::new(Deployments::new(Arc::clone(&store), Arc::new(Nobody)));
        let host = "127.0.0.1".into();
        let instances = Instances::new(
            store,
            Arc::new(Nobody),
            releases,
            deployments,
            Arc::default(),
            host,
        );
        let instances = Arc::new(instances);
        instances.add(sample_instance("i", 1)).await.unwrap();
        let logs = Logs::new(
            Arc::new(engine.clone()),
            Arc::clone(&instances),
            "owner".into(),
        );
        Self {
            engine,
            instances,
            logs,
        }
    }

    async fn watch(&self, options: &LogOptions) -> (Arc<Seen>, LogWatch) {
        let seen = Arc::new(Seen::default());
        let sink: Arc<dyn LogSink> = seen.clone();
        let watch = self.logs.watch("i", options, sink).await.unwrap();
        (seen, watch)
    }

    /// The launcher looks at the instance's containers.
    async fn look(&self) {
        let containers = self.engine.containers("owner", Some("i")).await.unwrap();
        self.instances.see_first("i", containers);
    }
}

/// What one who watches has been told.
#[derive(Default)]
struct Seen {
    entries: Mutex<BTreeMap<String, AppLogEntry>>,
    told: Notify,
}

impl LogSink for Seen {
    fn lines(&self, entries: &[AppLogEntry]) {
        let by_id = entries
            .iter()
            .map(|entry| (entry.id.clone(), entry.clone()));
        self.entries.lock().extend(by_id);
        self.told.notify_one();
    }
}

impl Seen {
    fn texts(&self) -> Vec<String> {
        let entries = self.entries.lock();
        entries
            .values()
            .map(|entry| entry.line.text.clone())
            .collect()
    }

    async fn until(&self, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        loop {
            let texts = self.texts();
            if is_so(&texts) {
                return texts;
            }
            self.told.notified().await;
        }
    }

    async fn last(&self, text: &str) -> Vec<String> {
        self.until(|texts| texts.last().is_some_and(|last| last == text))
            .await
    }

    /// How many lines were shown, how many left out, and whether that is not certain.
    fn counts(&self) -> (u64, u64, bool) {
        let entries = self.entries.lock();
        let mut counts = (0, 0, false);
        for entry in entries.values() {
            match entry.dropped {
                None => counts.0 += 1,
                Some(dropped) => {
                    counts.1 += dropped.count;
                    counts.2 |= dropped.is_estimated;
                }
            }
        }
        counts
    }
}

/// A container that runs, and has written `said` and `sighed`.
async fn running(engine: &FakeEngine, instance: &str) -> String {
    let spec = ContainerSpec {
        name: format!("launcher-{instance}-{}", random_id()),
        image: "app:latest".into(),
        env: Environment::new(),
        labels: BTreeMap::from([
            (LABEL_INSTANCE.to_owned(), instance.to_owned()),
            (LABEL_OWNER.to_owned(), "owner".to_owned()),
        ]),
        app_port: 8080,
        limits: crate::Limits::default(),
        config: crate::ContainerConfig::default(),
        bind_ip: std::net::Ipv4Addr::LOCALHOST.into(),
    };
    let id = engine.create(&spec).await.unwrap();
    engine.start(&id).await.unwrap();
    id
}

#[tokio::test]
async fn the_last_lines_of_a_container_are_told() {
    let engine = FakeEngine::default();
    let id = running(&engine, "i").await;
    engine.write(&id, LogStream::Stderr, "x".repeat(3_000) + "\n");
    engine.write(&id, LogStream::Stdout, "no end");
    engine.crash(&id);
    let lines = last_lines(&engine, &id, 3).await.unwrap();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line.stream, line.text.len(), line.is_truncated))
        .collect();
    assert_eq!(
        seen,
        [
            (LogStream::Stderr, "sighed".len(), false),
            (LogStream::Stderr, 2_000, true),
            (LogStream::Stdout, "no end".len(), false),
        ]
    );
    for _ in 0..200 {
        engine.write(&id, LogStream::Stdout, "more\n");
    }
    assert_eq!(last_lines(&engine, &id, 1_000).await.unwrap().len(), 100);
    let none = last_lines(&engine, "nothing", 3).await;
    assert!(matches!(none, Err(EngineError::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn lines_are_followed_through_restarts_and_replacements() {
    let kit = Kit::new().await;
    let first = running(&kit.engine, "i").await;
    kit.engine.write(&first, LogStream::Stdout, "one\n");
    let (seen, _watch) = kit.watch(&ALL).await;
    assert_eq!(seen.texts(), ["said", "sighed", "one"]);
    kit.engine.write(&first, LogStream::Stdout, "two\n");
    seen.last("two").await;

    kit.engine.write(&first, LogStream::Stderr, "dying");
    kit.engine.crash(&first);
    kit.look().await;
    seen.last("dying").await;
    kit.engine.start(&first).await.unwrap();
    kit.engine.write(&first, LogStream::Stdout, "again\n");
    kit.look().await;
    seen.last("again").await;

    let second = running(&kit.engine, "i").await;
    kit.engine.write(&second, LogStream::Stdout, "second\n");
    kit.look().await;
    seen.last("second").await;
    kit.engine.write(&first, LogStream::Stdout, "both\n");
    seen.last("both").await;
    kit.engine.remove(&first).await.unwrap();
    kit.look().await;
    kit.engine.write(&second, LogStream::Stdout, "alone\n");
    let texts = seen.last("alone").await;
    let own = ["one", "two", "dying", "again", "second", "both", "alone"];
    let told: Vec<_> = texts
        .iter()
        .filter(|t| !t.starts_with('s') || *t == "second")
        .collect();
    assert_eq!(told, own);
    assert_eq!(texts.len(), own.len() + 6, "each start was seen: {texts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_last_container_wrote_is_there_though_it_has_ended() {
    let kit = Kit::new().await;
    let id = running(&kit.engine, "i").await;
    kit.engine.crash(&id);
    let (seen, _watch) = kit.watch(&ALL).await;
    assert_eq!(seen.texts(), ["said", "sighed"]);
    kit.engine.start(&id).await.unwrap();
    kit.look().await;
    seen.until(|texts| texts.len() == 4).await;
}

#[tokio::test(start_paused = true)]
async fn those_who_watch_share_the_work_and_have_their_own_options() {
    let kit = Kit::new().await;
    let id = running(&kit.engine, "i").await;
    let (all, first) = kit.watch(&ALL).await;
    let errors = LogOptions {
        stream: Some(LogStream::Stderr),
        ..ALL
    };
    let (errors_seen, second) = kit.watch(&errors).await;
    assert_eq!(errors_seen.texts(), ["sighed"]);
    let one = LogOptions { tail: 1, ..ALL };
    let (one_seen, third) = kit.watch(&one).await;
    assert_eq!(one_seen.texts(), ["sighed"]);
    let other = LogOptions {
        container: Some("other".into()),
        ..ALL
    };
    let (other_seen, fourth) = kit.watch(&other).await;
    assert!(other_seen.texts().is_empty());
    assert_eq!(kit.engine.followed(), 1);

    kit.engine.write(&id, LogStream::Stdout, "more\n");
    all.last("more").await;
    let ids = |seen: &Seen| -> BTreeSet<String> { seen.entries.lock().keys().cloned().collect() };
    assert!(ids(&one_seen).is_subset(&ids(&all)));
    let entry = all.entries.lock().values().last().unwrap().clone();
    assert!(ALL.wants(&entry) && one.wants(&entry));
    assert!(!errors.wants(&entry) && !other.wants(&entry));

    drop((first, second, third));
    assert_eq!(kit.engine.followed(), 1);
    drop(fourth);
    while kit.engine.followed() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_can_be_shown_is_left_out_and_counted() {
    let kit = Kit::new().await;
    let id = running(&kit.engine, "i").await;
    let (seen, _watch) = kit.watch(&ALL).await;
    for number in 0..40_000 {
        let stream = [LogStream::Stdout, LogStream::Stderr][number % 2];
        kit.engine.write(&id, stream, format!("line {number}\n"));
    }
    seen.last("line 39999").await;
    let (shown, left_out, is_estimated) = seen.counts();
    assert_eq!((shown + left_out, is_estimated), (40_002, false));
    assert!((5_000..15_000).contains(&shown), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_not_read_in_full_and_the_newest_lines_are_shown() {
    let kit = Kit::new().await;
    let id = running(&kit.engine, "i").await;
    let (seen, _watch) = kit.watch(&ALL).await;
    let text = "x".repeat(1_000);
    for number in 0..20_000 {
        let text = format!("{text} {number}\n");
        kit.engine.write(&id, LogStream::Stdout, text);
    }
    seen.until(|texts| texts.last().unwrap().ends_with(" 19999"))
        .await;
    let (shown, left_out, is_estimated) = seen.counts();
    assert!(is_estimated && left_out > 5_000, "{shown} {left_out}");
    assert!(shown < 5_000, "{shown}");
    kit.engine.write(&id, LogStream::Stdout, "quiet\n");
    seen.last("quiet").await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_is_an_error() {
    let kit = Kit::new().await;
    running(&kit.engine, "i").await;
    for call in ["containers", "logs"] {
        kit.engine.fail(call);
        let refused = kit.logs.watch("i", &ALL, Arc::new(Seen::default())).await;
        assert!(matches!(refused, Err(Error::Engine(_))), "{call}");
        kit.engine.heal();
    }
    let refused = kit.logs.watch("j", &ALL, Arc::new(Seen::default())).await;
    assert!(matches!(refused, Err(Error::NoSuchInstance(_))));
    let (seen, _watch) = kit.watch(&ALL).await;
    assert_eq!(seen.texts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_the_instance_was_removed_is_told() {
    let kit = Kit::new().await;
    let id = running(&kit.engine, "i").await;
    let (seen, _watch) = kit.watch(&ALL).await;
    kit.engine.write(&id, LogStream::Stdout, "farewell\n");
    kit.engine.remove(&id).await.unwrap();
    kit.instances.forget("i").await.unwrap();
    seen.last("farewell").await;
}
