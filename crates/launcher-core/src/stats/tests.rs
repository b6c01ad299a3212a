//! What is told of containers of the fake engine.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{AppStats, DAY, Stats, StatsHour, StatsMinute, StatsWatch, history::Samples};
use crate::{
    Change, Environment, Error, Observer, OpenConnections, Traffic,
    deployments::Deployments,
    engine::{
        ContainerSpec, ContainerStats, Engine, LABEL_INSTANCE, LABEL_OWNER, fake::FakeEngine,
    },
    ids::random_id,
    instances::Instances,
    releases::Releases,
    store::{MemoryStore, Store, contract::sample_instance},
};

const LEFT: Duration = Duration::from_secs(60);

/// What observers know now, and what containers are asked for.
#[derive(Default)]
struct Known {
    stats: Mutex<BTreeMap<String, AppStats>>,
    hours: Mutex<BTreeMap<String, StatsHour>>,
    changed: Notify,
}

impl Observer for Known {
    fn changed(&self, change: Change<'_>) {
        match change {
            Change::Stats(id, stats) => enter(&self.stats, id, stats),
            Change::StatsHour(id, hour) => enter(&self.hours, id, hour),
            _ => return,
        }
        self.changed.notify_one();
    }
}

fn enter<T: Clone>(known: &Mutex<BTreeMap<String, T>>, id: &str, now: Option<&T>) {
    let mut known = known.lock();
    match now {
        Some(now) => drop(known.insert(id.to_owned(), now.clone())),
        None => drop(known.remove(id)),
    }
}

struct Visitors;

impl Traffic for Visitors {
    fn open(&self, _host: &str, port: u16) -> OpenConnections {
        OpenConnections {
            requests: usize::from(port > 0),
            websockets: 2,
            sessions: 0,
        }
    }
}

/// Instances that run.
struct Kit {
    engine: FakeEngine,
    known: Arc<Known>,
    store: Arc<MemoryStore>,
    instances: Arc<Instances>,
    stats: Arc<Stats>,
    containers: HashMap<String, String>,
}

impl Kit {
    async fn with(names: &[&str]) -> Self {
        let (engine, store) = (FakeEngine::default(), Arc::new(MemoryStore::default()));
        let known = Arc::new(Known::default());
        let releases = Arc::new(Releases::new(store.clone(), known.clone()));
        let deployments = Arc::new(Deployments::new(store.clone(), known.clone()));
        let host = "127.0.0.1".into();
        let instances = Instances::new(
            store.clone(),
            known.clone(),
            releases,
            deployments,
            Arc::default(),
            host,
        );
        let instances = Arc::new(instances);
        let stats = Arc::new(Stats {
            engine: Arc::new(engine.clone()),
            instances: Arc::clone(&instances),
            store: store.clone(),
            observer: known.clone(),
            traffic: Arc::new(Visitors),
            watched: Mutex::default(),
        });
        let mut kit = Self {
            engine,
            known,
            store,
            instances,
            stats,
            containers: HashMap::new(),
        };
        for name in names {
            let mut record = sample_instance(name, 1);
            record.hostnames.clear();
            kit.instances.add(record).await.unwrap();
            let id = kit.run(name).await;
            kit.containers.insert((*name).to_owned(), id);
        }
        kit
    }

    async fn run(&self, instance: &str) -> String {
        let spec = ContainerSpec {
            name: random_id(),
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
        let id = self.engine.create(&spec).await.unwrap();
        self.engine.start(&id).await.unwrap();
        self.look(instance).await;
        id
    }

    async fn look(&self, instance: &str) {
        let containers = self.engine.containers("owner", Some(instance)).await;
        self.instances.see_first(instance, containers.unwrap());
    }

    async fn watch(&self, instance: &str) -> StatsWatch {
        self.stats.watch(instance).await.unwrap()
    }

    async fn until(&self, is_so: impl Fn(&BTreeMap<String, AppStats>) -> bool) {
        while !is_so(&self.known.stats.lock()) {
            self.known.changed.notified().await;
        }
    }

    fn asked(&self) -> usize {
        self.engine.stats_asked()
    }
}

fn used(second: i64, cpu_millis: u64, received: u64) -> ContainerStats {
    ContainerStats {
        at: jiff::Timestamp::from_second(second).unwrap(),
        cpu_nanos: cpu_millis * 1_000_000,
        network_received_bytes: received,
        memory_bytes: 7,
        ..ContainerStats::default()
    }
}

#[tokio::test(start_paused = true)]
async fn figures_are_told_while_somebody_watches() {
    let kit = Kit::with(&["i", "j"]).await;
    let id = &kit.containers["i"];
    kit.engine.set_stats(id, used(10, 1_000, 0));
    let (first, second) = (kit.watch("i").await, kit.watch("i").await);
    kit.until(|stats| stats.contains_key(id)).await;
    let stats = kit.known.stats.lock()[id].clone();
    assert_eq!((stats.instance.as_str(), stats.cpu), ("i", None));
    assert_eq!(stats.used.memory_bytes, 7);
    let open = stats.open.unwrap();
    assert_eq!((open.requests, open.websockets), (1, 2));

    kit.engine.set_stats(id, used(12, 2_000, 0));
    kit.until(|stats| stats[id].cpu == Some(50.0)).await;
    assert_eq!(kit.known.stats.lock().len(), 1, "nobody watches the other");

    drop(first);
    kit.engine.set_stats(id, used(14, 4_000, 0));
    kit.until(|stats| stats[id].cpu == Some(100.0)).await;
    drop(second);
    assert!(kit.known.stats.lock().is_empty());
    let asked = kit.asked();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(kit.asked(), asked, "nobody is asked any more");
    assert!(kit.stats.watched.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn figures_follow_the_containers() {
    let kit = Kit::with(&["i"]).await;
    let id = &kit.containers["i"];
    kit.engine.set_stats(id, used(10, 9_000, 0));
    let _watch = kit.watch("i").await;
    kit.until(|stats| stats.contains_key(id)).await;
    kit.engine.crash(id);
    kit.look("i").await;
    kit.until(BTreeMap::is_empty).await;
    kit.engine.set_stats(id, used(20, 9_500, 0));
    kit.engine.start(id).await.unwrap();
    kit.look("i").await;
    kit.until(|stats| stats.contains_key(id)).await;
    assert_eq!(kit.known.stats.lock()[id].cpu, None, "another run");
    kit.instances.forget("i").await.unwrap();
    kit.until(BTreeMap::is_empty).await;
    let gone = kit.stats.watch("i").await;
    assert!(matches!(gone, Err(Error::NoSuchInstance(_))));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_holds_up_nobody() {
    let kit = Kit::with(&["i", "j"]).await;
    kit.engine.stall();
    let _watch = kit.watch("i").await;
    let samples = kit.stats.keep_minute(100, LEFT, Samples::new()).await;
    assert!(samples.is_empty());
    assert_eq!(kit.store.stats("i", 0).await.unwrap(), []);
    kit.engine.go_on();
    kit.until(|stats| stats.contains_key(&kit.containers["i"]))
        .await;
}

#[tokio::test(start_paused = true)]
async fn each_minute_is_written_down_and_told() {
    let kit = Kit::with(&["i", "j"]).await;
    let set = |instance: &str, stats| kit.engine.set_stats(&kit.containers[instance], stats);
    set("i", used(6_010, 1_000, 100));
    let samples = kit.stats.keep_minute(100, LEFT, Samples::new()).await;
    assert_eq!(samples.len(), 2);
    let first = StatsMinute {
        memory_bytes: 7,
        containers: 1,
        open_connections: Some(3),
        ..StatsMinute::default()
    };
    assert_eq!(kit.store.stats("i", 0).await.unwrap(), [(100, first)]);

    set("i", used(6_070, 31_000, 400));
    let samples = kit.stats.keep_minute(101, LEFT, samples).await;
    let (_, second) = kit.store.stats("i", 101).await.unwrap()[0];
    assert_eq!(second.cpu, Some(50.0));
    assert_eq!(second.moved.unwrap().network_received, 300);

    kit.engine.crash(&kit.containers["j"]);
    kit.look("j").await;
    kit.stats.keep_minute(102, LEFT, samples).await;
    let minutes = async |instance| kit.store.stats(instance, 0).await.unwrap().len();
    assert_eq!((minutes("i").await, minutes("j").await), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn those_who_watch_have_the_hours_of_the_last_day() {
    let kit = Kit::with(&["i"]).await;
    let now = jiff::Timestamp::now().as_second() / 60;
    let old = StatsMinute {
        pids: 5,
        ..StatsMinute::default()
    };
    for minute in [now - DAY - 10, now - DAY + 1, now - 121, now - 120] {
        let stats = vec![("i".to_owned(), old)];
        kit.store.add_stats(minute, stats).await.unwrap();
    }
    let watch = kit.watch("i").await;
    let told = |kit: &Kit| -> Vec<i64> {
        let hours = kit.known.hours.lock();
        let minutes = |hour: &StatsHour| {
            let number = hour.hour;
            let minutes: Vec<i64> = hour.minutes.keys().map(|m| number * 60 + m).collect();
            minutes
        };
        hours.values().flat_map(minutes).collect()
    };
    assert_eq!(told(&kit), [now - DAY + 1, now - 121, now - 120]);
    assert!(kit.known.hours.lock().keys().all(|id| id.starts_with("i-")));

    kit.stats.keep_minute(now, LEFT, Samples::new()).await;
    assert_eq!(told(&kit).last(), Some(&now));
    kit.stats.keep_minute(now + 90, LEFT, Samples::new()).await;
    assert_eq!(told(&kit).first(), Some(&(now - 121)), "a day ago");
    drop(watch);
    assert!(kit.known.hours.lock().is_empty());
}
