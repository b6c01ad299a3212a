//! Which documents and fields the queries of live collections show, and who pays for it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ddp_server::ejson::Value;
use ddp_server::live::{Collection, Query};
use ddp_server::{Error, Server, Subscription, fields, live};
use serde_json::json;
use support::{Client, Running};

/// A server that publishes one query of the collection `docs`.
async fn publishing(view: Collection, query: fn(&Collection) -> Query) -> Running {
    let server = Server::builder()
        .publish("docs", move |_: Subscription, _: Vec<Value>| {
            let documents = query(&view);
            async { Ok::<_, Error>(documents) }
        })
        .build();
    Running::start(server).await
}

/// What comes until a mark, in short.
async fn heard(client: &mut Client) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let message = client.recv().await;
        if message["id"] == "mark" {
            return lines;
        }
        let word = |key: &str| message[key].as_str().unwrap_or_default();
        let (fields, cleared) = (&message["fields"], &message["cleared"]);
        let line = format!("{} {} {fields} {cleared}", word("msg"), word("id"));
        lines.push(line.replace(" null", ""));
    }
}

#[tokio::test]
async fn documents_enter_and_leave_a_query() {
    let (docs, view) = live::collection("docs");
    docs.set("a", fields! { "list": "home" });
    docs.set("b", fields! { "list": "work" });
    let running = publishing(view, |view| view.find().equals("list", "home")).await;
    let mut client = running.connected().await;
    let initial = client.subscribe("docs").await;
    assert_eq!(initial.len(), 2, "{initial:?}");
    assert_eq!(initial[0]["id"], "a");
    docs.set("b", fields! { "list": "work", "n": 1 });
    docs.set("b", fields! { "list": "home", "n": 1 });
    docs.set("b", fields! { "list": "home", "n": 2 });
    docs.set("a", fields! { "list": "work" });
    docs.set("a", fields! { "list": "none" });
    assert!(docs.remove("a"));
    assert!(docs.remove("b"));
    docs.set("mark", fields! { "list": "home" });
    assert_eq!(
        heard(&mut client).await,
        [
            r#"added b {"list":"home","n":1}"#,
            r#"changed b {"n":2}"#,
            "removed a",
            "removed b",
        ]
    );
}

#[tokio::test]
async fn fields_that_are_not_shown_cause_no_message() {
    let (docs, view) = live::collection("docs");
    let running = publishing(view, |view| view.find().exclude(["secret"])).await;
    let mut client = running.connected().await;
    client.subscribe("docs").await;
    docs.set("a", fields! { "text": "x", "secret": 1 });
    docs.set("a", fields! { "text": "x", "secret": 2 });
    docs.set("a", fields! { "text": "y" });
    docs.set("mark", fields! {});
    assert_eq!(
        heard(&mut client).await,
        [r#"added a {"text":"x"}"#, r#"changed a {"text":"y"}"#]
    );
}

#[tokio::test]
async fn a_filter_may_look_at_fields_that_are_not_shown() {
    let (docs, view) = live::collection("docs");
    let query = |view: &Collection| {
        let due = view.find().filter(|fields| fields.contains_key("due"));
        due.include(["text"])
    };
    let running = publishing(view, query).await;
    let mut client = running.connected().await;
    client.subscribe("docs").await;
    docs.set("a", fields! { "text": "x", "due": 1 });
    assert!(docs.update("a", |fields| {
        fields.shift_remove("due");
    }));
    docs.set("mark", fields! { "due": 1 });
    assert_eq!(
        heard(&mut client).await,
        [r#"added a {"text":"x"}"#, "removed a"]
    );
}

#[tokio::test]
async fn the_same_query_is_observed_once() {
    let (docs, view) = live::collection("docs");
    let observed = view.clone();
    let running = publishing(view, |view| {
        let named = view.find().filter_named("small", |fields| fields.len() < 3);
        named.equals("list", "home").include(["list"])
    })
    .await;
    let mut clients = vec![running.connected().await, running.connected().await];
    for client in &mut clients {
        client.subscribe("docs").await;
    }
    assert_eq!((observed.observers(), observed.observed_queries()), (2, 1));
    docs.set("mark", fields! { "list": "home" });
    for client in &mut clients {
        assert!(heard(client).await.is_empty());
        client.send(&json!({ "msg": "unsub", "id": "docs" })).await;
        client.recv_until("nosub").await;
    }
    assert_eq!((observed.observers(), observed.observed_queries()), (0, 0));
}

#[tokio::test]
async fn queries_for_one_document_end_with_their_subscribers() {
    let (docs, view) = live::collection("docs");
    let observed = view.clone();
    let running = publishing(view, |view| view.find_one("mark")).await;
    let mut client = running.connected().await;
    client.subscribe("docs").await;
    docs.set("other", fields! {});
    docs.set("mark", fields! {});
    assert!(heard(&mut client).await.is_empty());
    assert_eq!(observed.observed_queries(), 1);
    client.send(&json!({ "msg": "unsub", "id": "docs" })).await;
    client.recv_until("nosub").await;
    assert_eq!(observed.observed_queries(), 0);
}

#[tokio::test]
async fn a_filter_that_panics_ends_only_its_own_query() {
    let (docs, view) = live::collection("docs");
    let (all, observed) = (view.clone(), view.clone());
    let server = Server::builder()
        .publish("panics", move |_: Subscription, _: Vec<Value>| {
            let bad = view
                .find()
                .filter(|fields| fields["n"] == Value::Number(1.0));
            async { Ok::<_, Error>(bad) }
        })
        .publish("all", move |_: Subscription, _: Vec<Value>| {
            let all = all.find();
            async { Ok::<_, Error>(all) }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    client.subscribe("all").await;
    client.subscribe("panics").await;
    docs.set("without-n", fields! {});
    let mut both = [client.recv().await, client.recv().await];
    both.sort_by_key(|message| message["msg"] == "nosub");
    assert_eq!(both[0]["msg"], "added");
    assert_eq!(both[1]["id"], "panics");
    assert_eq!(both[1]["error"]["error"], 500);
    assert_eq!(observed.observed_queries(), 1);
    client
        .send(&json!({ "msg": "sub", "id": "again", "name": "panics" }))
        .await;
    let nosub = client.recv().await;
    assert_eq!(
        (&nosub["id"], &nosub["error"]["error"]),
        (&json!("again"), &json!(500))
    );
    docs.set("mark", fields! { "n": 1 });
    assert!(heard(&mut client).await.is_empty());
}

#[tokio::test]
async fn who_comes_later_gets_the_newest_version() {
    let (docs, view) = live::collection("docs");
    docs.set("a", fields! { "n": 1, "secret": 1 });
    docs.set("b", fields! { "n": 1 });
    let running = publishing(view, |view| view.find().exclude(["secret"])).await;
    let mut first = running.connected().await;
    first.subscribe("docs").await;
    docs.set("a", fields! { "n": 2, "secret": 1 });
    docs.set("c", fields! { "n": 3 });
    assert!(docs.remove("b"));
    let mut second = running.connected().await;
    let documents = second.subscribe("docs").await;
    let seen: Vec<_> = documents[..2]
        .iter()
        .map(|it| (&it["id"], &it["fields"]))
        .collect();
    assert_eq!(
        seen,
        [
            (&json!("a"), &json!({ "n": 2 })),
            (&json!("c"), &json!({ "n": 3 }))
        ]
    );
    assert_eq!(documents.len(), 3);
}

#[tokio::test]
async fn a_method_s_writes_come_before_its_updated() {
    let (docs, view) = live::collection("docs");
    let all = view.clone();
    let server = Server::builder()
        .publish("docs", move |_, ()| {
            let all = all.find();
            async { Ok(all) }
        })
        .method("write", move |_, ()| {
            docs.set("a", fields! { "n": 1 });
            let count = view.len();
            async move { Ok(count) }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    client.subscribe("docs").await;
    client
        .send(&json!({ "msg": "method", "id": "m", "method": "write" }))
        .await;
    let heard = client.recv_until("result").await;
    let kinds: Vec<_> = heard.iter().map(|message| message["msg"].clone()).collect();
    assert_eq!(kinds, ["added", "updated", "result"]);
    assert_eq!(heard[2]["result"], 1);
}
