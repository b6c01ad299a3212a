//! What is told of each request in the access log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{self, Write};
use std::sync::Arc;

use launcher_proxy::{AccessLog, AccessLogFormat, Config, Route, RouteTable, Site};
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::*;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log that is written to memory.
struct Log {
    log: AccessLog,
    memory: Memory,
    stop: oneshot::Sender<()>,
    writing: JoinHandle<()>,
}

impl Log {
    fn begin(format: AccessLogFormat, with_query: bool) -> Self {
        let (log, writer) = AccessLog::new(format, with_query);
        let memory = Memory::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let output = Box::new(memory.clone());
        let open = || Err(io::ErrorKind::NotFound.into());
        let writing = writer.run(output, open, async { drop(stopped.await) });
        Self {
            log,
            memory,
            stop,
            writing: tokio::spawn(writing),
        }
    }

    fn config(&self) -> Config {
        Config {
            access_log: Some(self.log.clone()),
            ..Config::default()
        }
    }

    /// The lines, when the proxy and then the writer have ended.
    async fn lines(self, world: World) -> Vec<String> {
        patiently(world.stop()).await.unwrap();
        drop(self.stop);
        patiently(self.writing).await.unwrap();
        let text = String::from_utf8(self.memory.0.lock().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(str::to_owned).collect()
    }

    async fn documents(self, world: World) -> Vec<Value> {
        let lines = self.lines(world).await;
        let read = lines.iter().map(|line| serde_json::from_str(line).unwrap());
        read.collect()
    }
}

/// What all of `names` are in `document`.
fn these(document: &Value, names: &[&str]) -> Value {
    let named = names
        .iter()
        .map(|name| ((*name).to_owned(), document[*name].clone()));
    Value::Object(named.collect())
}

/// Answers each request, whose body it reads, with `hello`.
async fn hello() -> std::net::SocketAddr {
    upstream(|mut wire| async move {
        while let Some(head) = wire.head_or_end().await {
            let length = header(&head, "content-length").map_or(0, |it| it.parse().unwrap());
            wire.text(length).await;
            let body = if head.starts_with("HEAD") {
                ""
            } else {
                "hello"
            };
            let head = "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n";
            wire.send(&format!("{head}{body}")).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_line_of_json_says_all_of_a_request() {
    let log = Log::begin(AccessLogFormat::Json, false);
    let fine = hello().await;
    let table = RouteTable::builder().route("*.a.test/docs", to(fine));
    let world = World::with_config(log.config(), table.build()).await;
    let mut wire = world.connect().await;
    wire.ask(
        "POST /docs/x?token=hunter2 HTTP/1.1\r\nHost: B.a.test:80\r\nContent-Length: 3\r\n\
         User-Agent: a \"b\"\r\nReferer: http://c.test/d?token=hunter2#hunter2\r\n\r\nabc",
    )
    .await;
    drop(wire);
    let documents = log.documents(world).await;
    assert!(!format!("{documents:?}").contains("hunter2"));
    let [document] = &documents[..] else {
        panic!("{documents:?}");
    };
    let names: Vec<_> = document.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "time",
            "client",
            "method",
            "host",
            "path",
            "protocol",
            "status",
            "bytesIn",
            "bytesOut",
            "durationMs",
            "upstream",
            "site",
            "referrer",
            "userAgent",
            "refusal"
        ]
    );
    let mut document = document.clone();
    let time = document["time"].take().as_str().unwrap().to_owned();
    assert_eq!(
        (time.len(), &time[10..11], &time[23..]),
        (24, "T", "Z"),
        "{time}"
    );
    assert!(time.parse::<jiff::Timestamp>().is_ok());
    assert!(document["durationMs"].take().as_f64().is_some());
    assert_eq!(
        document,
        json!({
            "time": null, "client": "127.0.0.1", "method": "POST", "host": "B.a.test:80", "path": "/docs/x",
            "protocol": "HTTP/1.1", "status": 201, "bytesIn": 3, "bytesOut": 5, "durationMs": null,
            "upstream": fine.to_string(), "site": "*.a.test/docs", "referrer": "http://c.test/d",
            "userAgent": "a \"b\"", "refusal": null,
        })
    );
}

#[tokio::test]
async fn queries_are_there_for_those_who_want_them() {
    let log = Log::begin(AccessLogFormat::Json, true);
    let world = World::with_config(log.config(), table("a.test", hello().await)).await;
    let request = "GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\nReferer: http://c.test/?d=2\r\n\r\n";
    world.connect().await.ask(request).await;
    let documents = log.documents(world).await;
    assert_eq!(documents[0]["path"], "/x?y=1");
    assert_eq!(documents[0]["referrer"], "http://c.test/?d=2");
}

#[tokio::test]
async fn a_combined_line_is_one_line_whatever_a_client_sends() {
    let log = Log::begin(AccessLogFormat::Combined, false);
    let table = RouteTable::builder()
        .route("a.test", to(hello().await))
        .route("a.test/x", Route::unavailable("stopped"));
    let world = World::with_config(log.config(), table.build()).await;
    let mut wire = world.connect().await;
    wire.send_bytes(
        b"HEAD http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\nReferer: \"\\\t\r\n\
          User-Agent: x\" 200 \xff\xc3\xa4\r\n\r\n",
    )
    .await;
    wire.head().await;
    let agent = "u".repeat(1025);
    let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: {agent}\r\n\r\n");
    wire.ask(&request).await;
    drop(wire);
    let lines = log.lines(world).await;
    let after_time = |line: &str| {
        let (client, rest) = line.split_once(" - - [").unwrap();
        let (time, rest) = rest.split_once("] ").unwrap();
        assert_eq!((client, time.len()), ("127.0.0.1", 26), "{line}");
        assert!(
            time.ends_with(" +0000") && time.as_bytes()[2] == b'/',
            "{line}"
        );
        rest.to_owned()
    };
    let rest: Vec<_> = lines.iter().map(|line| after_time(line)).collect();
    assert_eq!(
        rest[0],
        r#""HEAD /x HTTP/1.1" 503 - "\x22\x5C" "x\x22 200 \xFF\xC3\xA4""#
    );
    let cut = format!(r#""GET / HTTP/1.1" 201 5 "-" "{}…""#, &agent[1..]);
    assert_eq!(rest[1..], [cut]);
}

#[tokio::test]
async fn who_is_refused_is_told_of_as_well() {
    let log = Log::begin(AccessLogFormat::Json, false);
    let nobody = nobody().await;
    let table = RouteTable::builder()
        .route("a.test", Route::unavailable("stopped"))
        .route("b.test", to(nobody));
    let world = World::with_config(log.config(), table.build()).await;
    let mut wire = world.connect().await;
    let page = wire.ask(&get("/")).await.body.len();
    wire.send("HEAD / HTTP/1.1\r\nHost: c.test\r\n\r\n\0\r\n\r\n")
        .await;
    assert_eq!(
        [status(&wire.head().await), status(&wire.head().await)],
        [404, 400]
    );
    drop(wire);
    let mut wire = world.connect().await;
    wire.ask("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n").await;
    wire.ask("GET /z HTTP/1.1\r\nHost: a b\r\n\r\n").await;
    let mut other = world.connect().await;
    other.ask("nonsense\r\n\r\n").await;
    let mut large = world.connect().await;
    large
        .send(&format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(101)))
        .await;
    large.send("\r\n").await;
    large.head().await;
    world.until(|stats| stats.open_connections == 0).await;
    let refused: u64 = world
        .traffic()
        .refusals
        .iter()
        .map(|(_, count)| count)
        .sum();
    assert_eq!(refused, 7, "{:?}", world.traffic().refusals);
    let documents = log.documents(world).await;
    let names = ["host", "path", "status", "upstream", "site", "refusal"];
    let told: Vec<_> = documents.iter().map(|it| these(it, &names)).collect();
    let line = |host, path, status, upstream: Option<String>, site, refusal| json!({"host": host, "path": path, "status": status, "upstream": upstream, "site": site, "refusal": refusal});
    let none = None::<&str>;
    let expected = [
        line(
            Some("a.test"),
            Some("/"),
            503,
            None,
            Some("a.test"),
            "not-running",
        ),
        line(
            Some("c.test"),
            Some("/"),
            404,
            None,
            none,
            "unknown-hostname",
        ),
        line(none, none, 400, None, none, "bad-request"),
        line(
            Some("b.test"),
            Some("/"),
            502,
            Some(nobody.to_string()),
            Some("b.test"),
            "bad-gateway",
        ),
        line(none, Some("/z"), 400, None, none, "bad-request"),
        line(none, none, 400, None, none, "bad-request"),
        line(none, none, 431, None, none, "headers-too-large"),
    ];
    assert_eq!(told, expected);
    let bytes = [&documents[0]["bytesOut"], &documents[1]["bytesOut"]];
    assert_eq!(bytes, [&json!(page), &json!(0)]);
}

#[tokio::test]
async fn a_client_whose_head_does_not_end_has_a_line() {
    let log = Log::begin(AccessLogFormat::Json, false);
    let config = Config {
        header_read: std::time::Duration::from_millis(30),
        ..log.config()
    };
    let world = World::with_config(config, RouteTable::default()).await;
    let mut wire = world.connect().await;
    wire.send("GET / HT").await;
    wire.answer().await;
    let documents = log.documents(world).await;
    let told = these(&documents[0], &["client", "method", "status", "refusal"]);
    let expected =
        json!({"client": "127.0.0.1", "method": null, "status": 408, "refusal": "head-too-slow"});
    assert_eq!((told, documents.len()), (expected, 1));
}

#[tokio::test]
async fn an_upgraded_connection_is_told_of_when_it_has_ended() {
    let log = Log::begin(AccessLogFormat::Json, false);
    let switching = upstream(|mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            .await;
        let said = wire.text(4).await;
        wire.send(&said.repeat(2)).await;
        wire.head_or_end().await;
    });
    let world = World::with_config(log.config(), table("a.test", switching.await)).await;
    let mut upgraded = world.connect().await;
    upgraded
        .send("GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        .await;
    assert_eq!(status(&upgraded.head().await), 101);
    upgraded.send("ping").await;
    assert_eq!(upgraded.text(8).await, "pingping");
    world
        .connect()
        .await
        .ask("GET /later HTTP/1.1\r\nHost: b.test\r\n\r\n")
        .await;
    drop(upgraded);
    world.until(|stats| stats.upgraded == 0).await;
    let documents = log.documents(world).await;
    let names = ["path", "status", "bytesIn", "bytesOut"];
    let told: Vec<_> = documents.iter().map(|it| these(it, &names)).collect();
    assert_eq!(told[0]["path"], "/later");
    let expected = json!({"path": "/ws", "status": 101, "bytesIn": 4, "bytesOut": 8});
    assert_eq!(told[1..], [expected]);
}

#[tokio::test]
async fn a_client_that_does_not_wait_has_a_line() {
    let log = Log::begin(AccessLogFormat::Json, false);
    let silent = upstream(|mut wire| async move {
        wire.head().await;
        wire.head_or_end().await;
    })
    .await;
    let config = Config {
        half_closed_request: std::time::Duration::from_millis(10),
        ..log.config()
    };
    let world = World::with_config(config, table("a.test", silent)).await;
    let mut wire = world.connect().await;
    wire.send(&get("/slow")).await;
    world.until_open(silent, (1, 0)).await;
    drop(wire);
    world.until_open(silent, (0, 0)).await;
    let documents = log.documents(world).await;
    let told = these(&documents[0], &["path", "status", "upstream", "refusal"]);
    let expected =
        json!({"path": "/slow", "status": 499, "upstream": silent.to_string(), "refusal": null});
    assert_eq!((told, documents.len()), (expected, 1));
}

#[tokio::test]
async fn the_client_is_the_visitor_whom_a_trusted_proxy_names() {
    let log = Log::begin(AccessLogFormat::Json, false);
    let config = Config {
        trusted_proxies: "127.0.0.1".parse().unwrap(),
        ..log.config()
    };
    let world = World::with_config(config, RouteTable::default()).await;
    let mut wire = world.connect().await;
    for host in ["a.test", "a b"] {
        wire.ask(&format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 2001:db8::7\r\n\r\n"
        ))
        .await;
    }
    let documents = log.documents(world).await;
    let clients: Vec<_> = documents.iter().map(|it| &it["client"]).collect();
    assert_eq!(clients, ["2001:db8::7", "2001:db8::7"]);
}

#[tokio::test]
async fn secrets_in_paths_are_not_told_even_of_who_is_refused() {
    let log = Log::begin(AccessLogFormat::Json, true);
    let config = Config {
        client_requests: Some(1),
        ..log.config()
    };
    let site = Site::new(to(hello().await)).with_secret_paths();
    let table = RouteTable::builder().site("a.test", site).build();
    let world = World::with_config(config, table).await;
    let mut wire = world.connect().await;
    let mut statuses = Vec::new();
    while !statuses.contains(&429) {
        statuses.push(wire.ask(&get("/hooks/hunter2?hunter2")).await.status());
    }
    let documents = log.documents(world).await;
    assert_eq!(documents.len(), statuses.len());
    for document in documents {
        assert_eq!(
            (&document["path"], &document["site"]),
            (&json!("/hooks/…"), &json!("a.test"))
        );
    }
}
