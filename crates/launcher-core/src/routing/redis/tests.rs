//! Against a real Redis, one for each test.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use redis::aio::MultiplexedConnection;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;
use crate::{
    SiteOptions,
    routing::{Page, RouteBoard, RouteDocument, UpstreamDocument, UpstreamState},
};

/// Ends a test that would never end.
const DEADLINE: Duration = Duration::from_secs(60);

struct Redis {
    process: Child,
    port: u16,
    directory: TempDir,
}

impl Redis {
    async fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let directory = tempfile::tempdir().unwrap();
        let process = spawn(port, &directory);
        let redis = Self {
            process,
            port,
            directory,
        };
        redis.answers().await;
        redis
    }

    fn server(&self) -> RedisServer {
        RedisServer::at(&format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }

    async fn answers(&self) {
        let answering = async {
            while self.server().connect().await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DEADLINE, answering).await.unwrap();
    }

    async fn connection(&self) -> MultiplexedConnection {
        self.server().connect().await.unwrap()
    }

    async fn list(&self, hostname: &str) -> Vec<String> {
        let mut all = redis::cmd("LRANGE");
        all.arg(format!("frontend:{hostname}")).arg(0).arg(-1);
        all.query_async(&mut self.connection().await).await.unwrap()
    }

    async fn list_becomes(&self, hostname: &str, expected: &[&str]) {
        let becoming = async {
            while self.list(hostname).await != expected {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let became = timeout(DEADLINE, becoming).await;
        assert!(became.is_ok(), "{:?}", self.list(hostname).await);
    }

    async fn does(&self, words: &[&str]) {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let mut connection = self.connection().await;
        let done = command.query_async::<redis::Value>(&mut connection);
        done.await.unwrap();
    }

    async fn keys(&self) -> Vec<String> {
        let mut keys = redis::cmd("KEYS");
        let mut connection = self.connection().await;
        let keys = keys.arg("*").query_async(&mut connection);
        let mut keys: Vec<String> = keys.await.unwrap();
        keys.sort();
        keys
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// With nothing in it.
    async fn restart_after_crash(&mut self) {
        self.process = spawn(self.port, &self.directory);
        self.answers().await;
    }

    fn crash(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

fn spawn(port: u16, directory: &TempDir) -> Child {
    let port = port.to_string();
    let flags = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ];
    let started = Command::new("redis-server")
        .args(flags)
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .spawn();
    started.expect("redis-server is installed (Debian: redis-server)")
}

struct Mirror {
    board: Arc<RouteBoard>,
    state: tokio::sync::watch::Receiver<Reachable>,
    task: JoinHandle<()>,
}

impl Mirror {
    fn of(redis: &Redis, launcher: &str) -> Self {
        let board = Arc::new(RouteBoard::default());
        let mirror = RedisMirror::new(redis.server(), Arc::clone(&board), launcher);
        let state = mirror.state();
        let task = tokio::spawn(async move { match mirror.run().await {} });
        board.started();
        Self { board, state, task }
    }

    fn serves(&self, hostname: &str, instance: &str, ports: &[u16]) {
        self.board
            .replace(instance, vec![route(hostname, instance, ports)], true);
    }

    async fn becomes(&mut self, is_good: bool) {
        let becoming = self.state.wait_for(|state| state.is_ok() == is_good);
        timeout(DEADLINE, becoming).await.unwrap().unwrap();
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn route(hostname: &str, instance: &str, ports: &[u16]) -> RouteDocument {
    let upstream = |port: &u16| UpstreamDocument {
        host: "10.0.0.1".to_owned(),
        port: *port,
        state: UpstreamState::Serving,
        release: 1,
    };
    RouteDocument {
        hostname: hostname.to_owned(),
        instance_id: instance.to_owned(),
        upstreams: ports.iter().map(upstream).collect(),
        page: ports.is_empty().then_some(Page::Stopped),
        progress: None,
        options: SiteOptions::default(),
        is_default: false,
    }
}

fn follow(redis: &Redis) -> RouteTables {
    let follower = RedisFollower::new(redis.server());
    let tables = follower.tables();
    tokio::spawn(async move { match follower.run().await {} });
    tables
}

async fn table_becomes(tables: &mut RouteTables, expected: &[RouteDocument]) {
    let becoming = tables.wait_for(|table| table.as_deref().is_some_and(|t| t == expected));
    let became = timeout(DEADLINE, becoming).await.is_ok();
    assert!(became, "{:?}", tables.borrow());
}

#[tokio::test]
async fn redis_has_each_route_as_hipache_reads_it() {
    let redis = Redis::start().await;
    let mirror = Mirror::of(&redis, "launcher");
    mirror.serves("a.test", "todos", &[1, 2]);
    redis
        .list_becomes(
            "a.test",
            &["todos", "http://10.0.0.1:1", "http://10.0.0.1:2"],
        )
        .await;
    // Told again, and with another port as after a restart.
    mirror.serves("a.test", "todos", &[1, 2]);
    redis.does(&["SADD", "dead:a.test", "0"]).await;
    mirror.serves("a.test", "todos", &[3]);
    redis
        .list_becomes("a.test", &["todos", "http://10.0.0.1:3"])
        .await;
    mirror.serves("*.b.test", "todos2", &[4]);
    redis
        .list_becomes("*.b.test", &["todos2", "http://10.0.0.1:4"])
        .await;
    mirror.serves("c.test/docs", "todos3", &[5]);
    mirror.serves("a.test", "todos", &[]);
    redis.list_becomes("a.test", &["todos"]).await;
    let expected = [
        "frontend:*.b.test",
        "frontend:a.test",
        "launcher:routes",
        "launcher:routes:launcher",
    ];
    assert_eq!(redis.keys().await, expected);
    for instance in ["todos", "todos2", "todos3"] {
        mirror.board.remove(instance);
    }
    redis.list_becomes("a.test", &[]).await;
    redis.list_becomes("*.b.test", &[]).await;
    assert_eq!(redis.keys().await, ["launcher:routes"]);
}

#[tokio::test]
async fn redis_keeps_what_others_wrote() {
    let redis = Redis::start().await;
    let foreign = ["a.test", "other", "http://192.0.2.1:80"];
    redis
        .does(&[
            "RPUSH",
            "frontend:foreign.test",
            "other",
            "http://192.0.2.1:80",
        ])
        .await;
    redis.does(&["SET", "a.test", "no route"]).await;
    let mirror = Mirror::of(&redis, "launcher");
    mirror.serves("a.test", "todos", &[1]);
    redis
        .list_becomes("a.test", &["todos", "http://10.0.0.1:1"])
        .await;
    mirror.serves("b.test", "notes", &[2]);
    redis
        .list_becomes("b.test", &["notes", "http://10.0.0.1:2"])
        .await;
    // Somebody takes the hostname over just before it is removed here.
    mirror.task.abort();
    redis.does(&["DEL", "frontend:a.test"]).await;
    redis
        .does(&["RPUSH", "frontend:a.test", foreign[1], foreign[2]])
        .await;
    drop(mirror);
    let mirror = Mirror::of(&redis, "launcher");
    redis.list_becomes("b.test", &[]).await;
    assert_eq!(redis.list("a.test").await, foreign[1..]);
    assert_eq!(redis.list("foreign.test").await, foreign[1..]);
    assert_eq!(
        redis.keys().await,
        [
            "a.test",
            "frontend:a.test",
            "frontend:foreign.test",
            "launcher:routes"
        ]
    );
    drop(mirror);
}

#[tokio::test]
async fn redis_is_written_to_only_when_it_is_known_what_runs() {
    let redis = Redis::start().await;
    let before = Mirror::of(&redis, "launcher");
    before.serves("a.test", "todos", &[1]);
    redis
        .list_becomes("a.test", &["todos", "http://10.0.0.1:1"])
        .await;
    drop(before);
    let board = Arc::new(RouteBoard::default());
    let mirror = RedisMirror::new(redis.server(), Arc::clone(&board), "launcher");
    let mut state = mirror.state();
    board.replace("todos", vec![route("a.test", "todos", &[])], false);
    board.started();
    let task = tokio::spawn(async move { match mirror.run().await {} });
    // By the time that one which began later has written, this one could have, too.
    let mut later = Mirror::of(&redis, "another");
    later.serves("b.test", "notes", &[2]);
    later.becomes(true).await;
    redis
        .list_becomes("b.test", &["notes", "http://10.0.0.1:2"])
        .await;
    assert!(state.borrow().is_err());
    assert_eq!(redis.list("a.test").await.len(), 2);
    board.replace("todos", vec![route("a.test", "todos", &[1])], true);
    timeout(DEADLINE, state.wait_for(Result::is_ok))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(redis.list("a.test").await.len(), 2);
    task.abort();
}

#[tokio::test]
async fn redis_that_was_killed_is_repaired_and_those_who_follow_it_go_on() {
    let mut redis = Redis::start().await;
    let mut mirror = Mirror::of(&redis, "launcher");
    mirror.serves("a.test", "todos", &[1]);
    let mut tables = follow(&redis);
    table_becomes(&mut tables, &[route("a.test", "todos", &[1])]).await;
    redis.crash();
    mirror.becomes(false).await;
    mirror.serves("b.test", "notes", &[2]);
    assert_eq!(tables.borrow().as_deref().unwrap().len(), 1);
    redis.restart_after_crash().await;
    mirror.becomes(true).await;
    redis
        .list_becomes("a.test", &["todos", "http://10.0.0.1:1"])
        .await;
    redis
        .list_becomes("b.test", &["notes", "http://10.0.0.1:2"])
        .await;
    let both = [
        route("a.test", "todos", &[1]),
        route("b.test", "notes", &[2]),
    ];
    table_becomes(&mut tables, &both).await;
}

#[tokio::test]
async fn redis_that_comes_back_empty_changes_nothing_for_those_who_follow_it() {
    let mut redis = Redis::start().await;
    let mirror = Mirror::of(&redis, "launcher");
    mirror.serves("a.test", "todos", &[1]);
    let follower = RedisFollower::new(redis.server());
    let (mut tables, mut state) = (follower.tables(), follower.state());
    tokio::spawn(async move { match follower.run().await {} });
    table_becomes(&mut tables, &[route("a.test", "todos", &[1])]).await;
    tables.mark_unchanged();
    drop(mirror);
    redis.crash();
    timeout(DEADLINE, state.wait_for(Result::is_err))
        .await
        .unwrap()
        .unwrap();
    redis.restart_after_crash().await;
    timeout(DEADLINE, state.wait_for(Result::is_ok))
        .await
        .unwrap()
        .unwrap();
    assert!(!tables.has_changed().unwrap(), "{:?}", tables.borrow());
}

#[tokio::test]
async fn redis_that_does_not_answer_holds_up_nobody_and_is_repaired() {
    let redis = Redis::start().await;
    let mut mirror = Mirror::of(&redis, "launcher");
    mirror.serves("a.test", "todos", &[1]);
    mirror.becomes(true).await;
    redis.signal(Signal::STOP);
    mirror.serves("a.test", "todos", &[2]);
    mirror.becomes(false).await;
    let why = mirror.state.borrow().clone().unwrap_err();
    assert_eq!(why, "it does not answer");
    redis.signal(Signal::CONT);
    redis
        .list_becomes("a.test", &["todos", "http://10.0.0.1:2"])
        .await;
    mirror.becomes(true).await;
}

#[tokio::test]
async fn redis_is_followed_also_where_only_others_write_hipaches_lists() {
    let redis = Redis::start().await;
    redis
        .does(&["CONFIG", "SET", "notify-keyspace-events", "Kgl"])
        .await;
    redis
        .does(&["RPUSH", "frontend:a.test", "todos", "http://10.0.0.1:1"])
        .await;
    let mut tables = follow(&redis);
    let plain = |hostname, instance, ports: &[u16]| {
        let mut route = route(hostname, instance, ports);
        route
            .upstreams
            .iter_mut()
            .for_each(|upstream| upstream.release = 0);
        route
    };
    table_becomes(&mut tables, &[plain("a.test", "todos", &[1])]).await;
    redis
        .does(&["RPUSH", "frontend:a.test", "http://10.0.0.1:2"])
        .await;
    table_becomes(&mut tables, &[plain("a.test", "todos", &[1, 2])]).await;
    let mirror = Mirror::of(&redis, "launcher");
    mirror.serves("b.test", "notes", &[3]);
    let both = [
        plain("a.test", "todos", &[1, 2]),
        route("b.test", "notes", &[3]),
    ];
    table_becomes(&mut tables, &both).await;
    mirror.board.remove("notes");
    table_becomes(&mut tables, &both[..1]).await;
    redis.does(&["DEL", "frontend:a.test"]).await;
    table_becomes(&mut tables, &[]).await;
}

#[tokio::test]
async fn redis_gives_no_password_away() {
    let redis = Redis::start().await;
    let url = format!("redis://someone:hunter2@127.0.0.1:{}", redis.port);
    let server = RedisServer::at(&url).unwrap();
    let refused = server.connect().await.err().unwrap();
    for text in [
        refused.to_string(),
        format!("{refused:?}"),
        format!("{server:?}"),
        server.to_string(),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    for bad in [
        "",
        "http://a",
        "rediss://a",
        "redis://a/x",
        "redis://:hunter2@",
    ] {
        let refused = RedisServer::at(bad).unwrap_err().to_string();
        assert!(!refused.contains("hunter2"), "{bad}");
    }
}
