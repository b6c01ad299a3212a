//! Plays conversations that were recorded with Meteor's own server, and compares what ours says.
//!
//! Messages must come in the recorded order. Only `result` may move among the others: clients
//! accept it before or after `updated`, and Meteor itself lets the next message's answers in
//! between. For one method the order of the two is that of the recording.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/recording.rs"]
mod recording;
mod support;

use std::time::Duration;

use ddp_server::{Config, Heartbeat};
use recording::{Names, Recording, Step};
use serde_json::{Value, json};
use support::{Client, Frame, Options, Running, soon};

/// Conversations that must go as recorded.
const SUPPORTED: &[&str] = &[
    "accounts-errors",
    "accounts-password",
    "before-connect",
    "binary-frame",
    "client-address-headers",
    "connect-client-prefers-pre2",
    "connect-no-support",
    "connect-ok",
    "connect-pre1-ping-is-bad-request",
    "connect-pre2",
    "connect-support-not-strings",
    "connect-twice",
    "connect-unknown-version",
    "connect-version-not-in-support",
    "connect-with-old-session",
    "ejson-bad-input",
    "ejson-echo",
    "heartbeat-answered",
    "heartbeat-timeout",
    "http-forwarded-count--1",
    "http-forwarded-count-1",
    "http-forwarded-count-3",
    "malformed-frames",
    "malformed-method",
    "mergebox-two-subs",
    "method-collection-write",
    "method-errors",
    "method-queue-blocking",
    "method-results",
    "mongo-ids",
    "ping",
    "random-seed",
    "rate-limit-login",
    "same-method-id-twice",
    "server-closes-connection",
    "setUserId-reruns-subs",
    "strategy-NO_MERGE",
    "strategy-NO_MERGE_NO_HISTORY",
    "sub-basic",
    "sub-duplicate-id",
    "sub-empty-never",
    "sub-errors",
    "sub-ready-late",
];

/// Conversations that are no single WebSocket's, and what they are about.
const OTHERS: &[(&str, &str)] = &[
    ("sockjs-http-endpoints", "SockJS over HTTP"),
    ("subprotocol-and-deflate", "handshakes"),
    ("websocket-path-variants", "handshakes"),
];

/// Where we mean to answer otherwise than Meteor, or the file does not hold what was sent.
fn amend(name: &str, steps: &mut Vec<Step>) {
    match name {
        // Meteor never answers a ping whose id is a number; it throws internally.
        "ping" => {
            let unanswered = position(steps, r#"{"msg":"ping","id":5}"#);
            steps.insert(
                unanswered + 1,
                Step::Recv(json!({ "msg": "pong", "id": 5 })),
            );
        }
        // Meteor gives back EJSON in a refused message as what it was decoded to.
        "malformed-method" => {
            let Some(Step::Recv(last)) = steps.last_mut() else {
                panic!("no last message")
            };
            last["offendingMessage"]["params"][0] = json!({ "$date": 0 });
        }
        // What was sent was 1e400, which a JSON file cannot hold.
        "ejson-echo" => {
            let infinite = position(
                steps,
                r#"{"msg":"method","id":"28","method":"echoOne","params":[null]}"#,
            );
            steps[infinite] = Step::Text(
                r#"{"msg":"method","id":"28","method":"echoOne","params":[1e400]}"#.into(),
            );
        }
        name if name.starts_with("accounts-") => settle_users(steps),
        _ => {}
    }
}

/// Meteor sends a user's document after the answer of the login, and takes it away for a moment
/// when the same user logs in again. Ours comes before, once.
fn settle_users(steps: &mut Vec<Step>) {
    let is = |step: &Step, msg: &str| matches!(step, Step::Recv(it) if it["msg"] == msg);
    for at in 0..steps.len() {
        if is(&steps[at], "added") {
            let added = steps.remove(at);
            let updated = steps[..at].iter().rposition(|step| is(step, "updated"));
            steps.insert(updated.unwrap(), added);
        }
    }
    let flaps = |pair: &[Step]| is(&pair[0], "removed") && is(&pair[1], "added");
    while let Some(at) = steps.windows(2).position(flaps) {
        steps.drain(at..at + 2);
    }
}

fn position(steps: &[Step], text: &str) -> usize {
    let found = steps
        .iter()
        .position(|step| matches!(step, Step::Text(sent) if sent == text));
    found.unwrap_or_else(|| panic!("nobody sends {text}"))
}

/// The headers that the recorded client opened its connection with.
fn headers(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "client-address-headers" => &[
            ("x-forwarded-for", "1.2.3.4, 5.6.7.8"),
            ("x-real-ip", "9.9.9.9"),
            ("user-agent", "ua"),
            ("accept-language", "en"),
            ("cookie", "secret=1"),
            ("authorization", "Basic secret"),
        ],
        name if name.starts_with("http-forwarded-count") => {
            &[("x-forwarded-for", "1.2.3.4 ,5.6.7.8")]
        }
        _ => &[],
    }
}

fn options(recording: &Recording) -> Options {
    let is_set = |name| recording.env.get(name).is_some_and(|value| value == "1");
    Options {
        universal: is_set("UNIVERSAL"),
        accounts: is_set("ACCOUNTS"),
        clear_errors: is_set("CLEAR_ERRORS"),
    }
}

fn config(name: &str, recording: &Recording) -> Config {
    let mut config = Config::default();
    if let Some((interval, timeout)) = recording.env.get("HB").and_then(|hb| hb.split_once(',')) {
        let millis = |text: &str| Duration::from_millis(text.parse().unwrap());
        config.heartbeat = Heartbeat {
            interval: millis(interval),
            timeout: millis(timeout),
        };
    }
    // a busy machine must not be taken for a client that does not answer
    if name == "heartbeat-answered" {
        config.heartbeat.timeout = Duration::from_secs(20);
    }
    if let Some(count) = recording.env.get("HTTP_FORWARDED_COUNT") {
        config.http_forwarded_count = count.parse().unwrap();
    }
    config
}

#[tokio::test]
async fn conversations_go_as_with_meteor() {
    let mut failures = Vec::new();
    for name in SUPPORTED {
        if let Err(failure) = soon(name, replay(name)).await {
            failures.push(format!("{name}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_recording_is_listed() {
    let listed = SUPPORTED
        .iter()
        .copied()
        .chain(OTHERS.iter().map(|(name, _)| *name));
    let mut listed: Vec<String> = listed.map(|name| format!("{name}.json")).collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings");
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    listed.sort();
    files.sort();
    assert_eq!(listed, files);
}

async fn replay(name: &str) -> Result<(), String> {
    let mut recording = Recording::read(name);
    amend(name, &mut recording.steps);
    let (config, options) = (config(name, &recording), options(&recording));
    let running = Running::test_service_with(config, options).await;
    let open = || async {
        let opened = Client::open(running.address, "/websocket", headers(name)).await;
        opened.unwrap().0
    };
    let mut player = Player {
        client: open().await,
        names: Names::default(),
        closed: false,
    };
    let mut expected = Vec::new();
    for step in recording.steps {
        match step {
            Step::Text(text) => {
                player.expect(&mut expected).await?;
                let text = player.names.translate(&text);
                player.client.send_text(text).await;
            }
            Step::Binary(frame) => {
                player.expect(&mut expected).await?;
                player.client.send_binary(frame).await;
            }
            Step::NewConnection => {
                player.expect(&mut expected).await?;
                player.client = open().await;
            }
            Step::Recv(message) => expected.push(Frame::Message(message)),
            Step::Closed(code) => expected.push(Frame::Closed(Some(code))),
        }
    }
    player.expect(&mut expected).await?;
    player.expect_silence().await
}

struct Player {
    client: Client,
    names: Names,
    closed: bool,
}

impl Player {
    /// Takes as many messages as the recording has before the client speaks again.
    async fn expect(&mut self, expected: &mut Vec<Frame>) -> Result<(), String> {
        let mut got = Vec::new();
        for _ in expected.iter() {
            got.push(self.client.next().await);
        }
        self.closed = matches!(got.last(), Some(Frame::Closed(_)));
        let expected = std::mem::take(expected);
        self.compare(&expected, &got)
            .map_err(|why| format!("{why}\n  recorded: {expected:?}\n  ours:     {got:?}"))
    }

    fn compare(&mut self, expected: &[Frame], got: &[Frame]) -> Result<(), &'static str> {
        if pairs_in_order(expected) != pairs_in_order(got) {
            return Err("result and updated have changed places");
        }
        let (expected_results, expected): (Vec<_>, Vec<_>) =
            expected.iter().partition(|f| is_result(f));
        let (results, others): (Vec<_>, Vec<_>) = got.iter().partition(|frame| is_result(frame));
        let same = self.all_same(&expected_results, &results) && self.all_same(&expected, &others);
        if same {
            Ok(())
        } else {
            Err("other messages than recorded")
        }
    }

    fn all_same(&mut self, expected: &[&Frame], got: &[&Frame]) -> bool {
        let mut pairs = expected.iter().zip(got);
        expected.len() == got.len()
            && pairs.all(|pair| match pair {
                (Frame::Message(recorded), Frame::Message(ours)) => self.names.same(recorded, ours),
                (recorded, ours) => recorded == ours,
            })
    }

    /// Nothing may have been said beyond the recording.
    async fn expect_silence(&mut self) -> Result<(), String> {
        if self.closed {
            return Ok(());
        }
        let end = json!({ "msg": "method", "id": "the end", "method": "nothing", "params": [] });
        self.client.send(&end).await;
        match self.client.next().await {
            Frame::Message(message)
                if message == json!({ "msg": "updated", "methods": ["the end"] }) =>
            {
                Ok(())
            }
            more => Err(format!("more than was recorded: {more:?}")),
        }
    }
}

fn is_result(frame: &Frame) -> bool {
    matches!(frame, Frame::Message(message) if message["msg"] == "result")
}

/// The ids of the methods whose `updated` comes before their `result`.
fn pairs_in_order(frames: &[Frame]) -> Vec<&Value> {
    let messages = || {
        frames.iter().filter_map(|frame| match frame {
            Frame::Message(message) => Some(message),
            Frame::Closed(_) => None,
        })
    };
    let results = messages()
        .enumerate()
        .filter(|(_, message)| message["msg"] == "result");
    let after_updated = results.filter(|(at, result)| {
        messages()
            .take(*at)
            .any(|other| other["methods"][0] == result["id"])
    });
    after_updated.map(|(_, result)| &result["id"]).collect()
}
