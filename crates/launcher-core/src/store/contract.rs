//! What every store promises, as one test body.

use jiff::Timestamp;

use super::Store;
use crate::{
    AppInstance, Environment, Image, ImageName, Limits, Run, SiteAddress, Wanted,
    app_instance::Rollout,
    health::HealthSettings,
    stats::{DAY, MovedBytes, StatsMinute},
};

/// Drives an empty store through everything that callers rely on.
///
/// # Panics
/// Where the store breaks a promise.
pub(crate) async fn store_contract(store: &dyn Store) {
    has_one_identity(store).await;
    keeps_instances(store).await;
    keeps_stats(store).await;
    remembers_removed_instances(store).await;
    forgets_stats(store).await;
    keeps_images(store).await;
    store
        .check_writable()
        .await
        .expect("an open store can be written to");
}

/// An instance with every field set, for tests.
#[must_use]
pub(crate) fn sample_instance(id: &str, minute: i64) -> AppInstance {
    let at = Timestamp::from_second(1_700_000_000 + 60 * minute).expect("a valid time");
    AppInstance {
        id: id.to_owned(),
        image: ImageName::parse("team/app:1").expect("a valid name"),
        env: Environment::from([
            (
                "MONGO_URL".to_owned(),
                "mongodb://u:p\u{1F511}@db/app".to_owned(),
            ),
            ("A".to_owned(), "line\nbreak \"quoted\" $(x)".to_owned()),
        ]),
        hostnames: vec![
            SiteAddress::parse("a.test")
                .expect("a valid hostname")
                .into(),
        ],
        maintenance: false,
        host: Some("10.0.0.1".to_owned()),
        created_at: at,
        wanted: Wanted::Running {
            past: vec![Run {
                container: "c".to_owned(),
                started_at: at,
            }],
            restart: true,
        },
        wish: 9_007_199_254_740_993,
        generation: 9_007_199_254_740_993,
        image_id: Some("sha256:1".to_owned()),
        release: Some("r".to_owned()),
        rollout: Some(Rollout {
            deployment: "d".to_owned(),
            wish: 1,
            from: 0,
            from_release: None,
            before: Wanted::Stopped { kill: false },
            hostnames: None,
        }),
        replicas: 3,
        limits: Limits::default(),
        config: serde_json::from_value(serde_json::json!({"User": "node"})).expect("a config"),
        health: HealthSettings::default(),
        auto_deploy: true,
        given_up: None,
    }
}

async fn has_one_identity(store: &dyn Store) {
    let id = store.launcher_id().await.expect("an id");
    assert!(!id.is_empty());
    assert_eq!(store.launcher_id().await.expect("an id"), id);
}

async fn keeps_instances(store: &dyn Store) {
    let (first, second) = (sample_instance("one", 1), sample_instance("two", 2));
    store.put(&first).await.expect("written");
    store.put(&second).await.expect("written");
    assert_eq!(
        store.all::<AppInstance>().await.expect("read"),
        [first.clone(), second.clone()]
    );

    let changed = AppInstance {
        wanted: Wanted::Stopped { kill: true },
        hostnames: Vec::new(),
        maintenance: false,
        host: None,
        ..first
    };
    store.put(&changed).await.expect("replaced");
    assert_eq!(
        store.all::<AppInstance>().await.expect("read"),
        [changed, second],
        "order is kept"
    );
}

/// Of the instances `one` and `two`, for a day.
async fn keeps_stats(store: &dyn Store) {
    let alone = StatsMinute {
        memory_bytes: u64::MAX / 4,
        pids: 3,
        containers: 1,
        ..StatsMinute::default()
    };
    let full = StatsMinute {
        cpu: Some(12.5),
        memory_limit_bytes: 9,
        moved: Some(MovedBytes {
            network_received: 1,
            network_sent: 2,
            block_read: 3,
            block_written: 4,
        }),
        open_connections: Some(5),
        ..alone
    };
    let of = |id: &str, stats| (id.to_owned(), stats);
    let write = async |minute, stats| store.add_stats(minute, stats).await.expect("written");
    write(100, vec![of("one", alone), of("nobody", alone)]).await;
    write(101, vec![of("one", alone), of("two", full)]).await;
    write(101, vec![of("one", full)]).await;
    let one = store.stats("one", 0).await.expect("read");
    assert_eq!(one, [(100, alone), (101, full)]);
    let recent = store.stats("one", 101).await.expect("read");
    assert_eq!(recent, [(101, full)]);
    assert_eq!(store.stats("nobody", 0).await.expect("read"), []);

    write(100 + DAY + 1, vec![of("one", alone)]).await;
    let one = store.stats("one", 0).await.expect("read");
    assert_eq!(one, [(101, full), (100 + DAY + 1, alone)]);
}

async fn forgets_stats(store: &dyn Store) {
    assert_eq!(store.stats("one", 0).await.expect("read"), []);
    assert_eq!(store.stats("two", 0).await.expect("read").len(), 1);
}

async fn remembers_removed_instances(store: &dyn Store) {
    assert!(!store.was_removed("one").await.expect("read"));
    store
        .remove_instance("one", Timestamp::UNIX_EPOCH)
        .await
        .expect("removed");
    store
        .remove_instance("one", Timestamp::UNIX_EPOCH)
        .await
        .expect("removed twice");
    assert!(store.was_removed("one").await.expect("read"));
    assert!(!store.was_removed("two").await.expect("read"));
    let left: Vec<String> = store
        .all::<AppInstance>()
        .await
        .expect("read")
        .into_iter()
        .map(|i| i.id)
        .collect();
    assert_eq!(left, ["two"]);
}

async fn keeps_images(store: &dyn Store) {
    let name = ImageName::parse("app").expect("a valid name");
    let building = Image {
        created_at: Timestamp::UNIX_EPOCH,
        source_url: Some("http://a.test/app.tar.gz".to_owned()),
        build_began: Some(Timestamp::UNIX_EPOCH),
        layers: vec!["0123456789ab".to_owned()],
        step_container: Some("ba9876543210".to_owned()),
        ..Image::new("img".to_owned(), name)
    };
    store.put(&building).await.expect("written");
    let ready = Image {
        image_id: Some("sha256:1".to_owned()),
        ..building
    };
    store.put(&ready).await.expect("replaced");
    assert_eq!(store.get("img").await.expect("read"), Some(ready.clone()));
    assert_eq!(store.all::<Image>().await.expect("read"), vec![ready]);
    store.remove::<Image>("img").await.expect("removed");
    store.remove::<Image>("img").await.expect("removed twice");
    assert_eq!(store.all::<Image>().await.expect("read"), []);
    assert_eq!(store.get::<Image>("img").await.expect("read"), None);
}
