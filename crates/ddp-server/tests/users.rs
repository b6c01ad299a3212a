//! Who is logged in, and what changes with it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};

use ddp_server::ejson::Value;
use ddp_server::{Builder, Config, Server, fields, live};
use serde_json::json;
use support::{Client, Options, Running};

fn with_users(builder: Builder) -> Builder {
    builder
        .method("setUserId", |ctx, (id,): (Option<String>,)| async move {
            ctx.set_user_id(id.as_deref())?;
            Ok(ctx.user_id().as_deref().map(str::to_owned))
        })
        .method("userId", |ctx, ()| async move {
            Ok(ctx.user_id().as_deref().map(str::to_owned))
        })
}

async fn start(builder: Builder) -> (Running, Client) {
    let running = Running::start(with_users(builder).build()).await;
    let client = running.connected().await;
    (running, client)
}

#[tokio::test]
async fn the_user_is_known_to_later_methods() {
    let (_running, mut client) = start(Server::builder()).await;
    assert!(
        client
            .call("userId", json!([]))
            .await
            .get("result")
            .is_none()
    );
    assert_eq!(
        client.call("setUserId", json!(["ada"])).await["result"],
        "ada"
    );
    assert_eq!(client.call("userId", json!([])).await["result"], "ada");
    client.call("setUserId", json!([null])).await;
    assert!(
        client
            .call("userId", json!([]))
            .await
            .get("result")
            .is_none()
    );
}

#[tokio::test]
async fn after_unblock_the_user_cannot_be_set() {
    let builder = Server::builder().method("late", |ctx, ()| async move {
        ctx.unblock();
        ctx.set_user_id(Some("ada"))
    });
    let (_running, mut client) = start(builder).await;
    assert_eq!(client.call("late", json!([])).await["error"]["error"], 500);
    assert!(
        client
            .call("userId", json!([]))
            .await
            .get("result")
            .is_none()
    );
}

#[tokio::test]
async fn a_subscription_is_stopped_with_the_user_it_had() {
    let stopped = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&stopped);
    let builder = Server::builder().publish("record", move |sub, ()| {
        let (seen, user) = (Arc::clone(&seen), sub.user_id().map(str::to_owned));
        sub.on_stop(move || seen.lock().unwrap().push(user));
        sub.ready();
        async { Ok(()) }
    });
    let (_running, mut client) = start(builder).await;
    client.subscribe("record").await;
    client.call("setUserId", json!(["ada"])).await;
    client.call("setUserId", json!(["bob"])).await;
    assert_eq!(*stopped.lock().unwrap(), [None, Some("ada".to_owned())]);
}

#[tokio::test]
async fn a_query_follows_the_user_in_one_difference() {
    let (docs, view) = live::collection("docs");
    docs.set("all", fields! { "for": "both" });
    docs.set("a", fields! { "for": "ada" });
    docs.set("b", fields! { "for": "bob" });
    let builder = Server::builder().publish("mine", move |sub, ()| {
        let user = sub.user_id().unwrap_or_default().to_owned();
        let mine = view.find().filter_named(format!("for {user}"), move |doc| {
            [Value::from("both"), Value::from(&user)].contains(&doc["for"])
        });
        async { Ok(mine) }
    });
    let (_running, mut client) = start(builder).await;
    client.subscribe("mine").await;
    client.call("setUserId", json!(["ada"])).await;
    let set = json!({ "msg": "method", "id": "m", "method": "setUserId", "params": ["bob"] });
    client.send(&set).await;
    let heard = client.recv_until("result").await;
    let kinds: Vec<_> = heard.iter().map(|message| message["msg"].clone()).collect();
    assert_eq!(kinds, ["removed", "added", "ready", "updated", "result"]);
    assert_eq!(
        (&heard[0]["id"], &heard[1]["id"]),
        (&json!("a"), &json!("b"))
    );
    docs.set("a", fields! { "for": "ada", "n": 1 });
    docs.set("b", fields! { "for": "bob", "n": 1 });
    let changed = client.recv().await;
    assert_eq!(
        (&changed["id"], &changed["fields"]),
        (&json!("b"), &json!({ "n": 1 }))
    );
}

#[tokio::test]
async fn a_subscription_that_fails_for_the_new_user_says_so_before_the_difference() {
    let running = Running::test_service(Config::default()).await;
    let mut client = running.connected().await;
    client.subscribe("byUserErr").await;
    let set = json!({ "msg": "method", "id": "m", "method": "setUserId", "params": ["ada"] });
    client.send(&set).await;
    let heard = client.recv_until("result").await;
    let kinds: Vec<_> = heard.iter().map(|message| message["msg"].clone()).collect();
    assert_eq!(kinds, ["nosub", "removed", "removed", "updated", "result"]);
    assert_eq!(heard[0]["error"]["error"], 412);
}

#[tokio::test]
async fn a_login_changes_nothing_for_other_connections() {
    let options = Options {
        accounts: true,
        ..Options::default()
    };
    let running = Running::test_service_with(Config::default(), options).await;
    let (mut first, mut second) = (running.connected().await, running.connected().await);
    let ada = json!([{ "username": "ada", "password": "secret" }]);
    let token = first.call("createUser", ada).await["result"]["token"].clone();
    assert!(token.is_string());
    let who = second.call("whoami", json!([])).await;
    assert_eq!(who["result"]["userId"], json!(null));
    let resumed = second.call("login", json!([{ "resume": token }])).await;
    assert_eq!(
        (&resumed["result"]["type"], &resumed["result"]["token"]),
        (&json!("resume"), &token)
    );
}

#[tokio::test]
async fn other_clients_are_logged_out_by_removing_their_tokens() {
    let options = Options {
        accounts: true,
        ..Options::default()
    };
    let running = Running::test_service_with(Config::default(), options).await;
    let (mut first, mut second) = (running.connected().await, running.connected().await);
    let ada = json!([{ "username": "ada", "password": "secret" }]);
    let token = first.call("createUser", ada).await["result"]["token"].clone();
    second.call("login", json!([{ "resume": token }])).await;
    let configuration = "meteor.loginServiceConfiguration";
    first.subscribe(configuration).await;
    first
        .send(&json!({ "msg": "method", "id": "new", "method": "getNewToken" }))
        .await;
    assert_eq!(first.recv().await["subs"], json!([configuration]));
    let new = first.recv_until("result").await.pop().unwrap();
    assert_ne!(new["result"]["token"], token);
    assert!(new["result"].get("type").is_none());
    assert!(
        first
            .call("removeOtherTokens", json!([]))
            .await
            .get("result")
            .is_none()
    );
    assert_eq!(second.next_until_closed().await, Some(1000));
    let again = first.call("login", json!([{ "resume": token }])).await;
    assert_eq!(again["error"]["error"], 403);
    let kept = first
        .call("login", json!([{ "resume": new["result"]["token"] }]))
        .await;
    assert_eq!(kept["result"]["type"], "resume");
}
