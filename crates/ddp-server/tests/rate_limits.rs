//! How clients that ask too often are told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use ddp_server::Server;
use ddp_server::rate_limit::{Match, Rule};
use serde_json::json;
use support::Running;

const LONG: Duration = Duration::from_secs(3600);

fn server() -> ddp_server::Builder {
    Server::builder()
        .method("m", |_, ()| async { Ok(true) })
        .method("login", |ctx, (user,): (String,)| async move {
            ctx.set_user_id(Some(&user))
        })
        .publish("p", |sub, ()| async move {
            sub.ready();
            Ok(())
        })
}

#[tokio::test]
async fn a_call_too_many_is_answered_in_meteors_words() {
    let per_connection = Rule::methods(2, LONG).connection_id(Match::any());
    let running = Running::start(server().rate_limit(per_connection).build()).await;
    let (mut client, mut other) = (running.connected().await, running.connected().await);
    for _ in 0..2 {
        assert_eq!(client.call("m", json!([])).await["result"], true);
    }
    client
        .send(&json!({ "msg": "method", "id": "x", "method": "m" }))
        .await;
    assert_eq!(client.recv().await["msg"], "updated");
    let error = &client.recv().await["error"];
    assert_eq!(error["error"], "too-many-requests");
    let wait = error["details"]["timeToReset"].as_u64().unwrap();
    assert!((1..=3_600_000).contains(&wait), "{wait}");
    let seconds = wait.div_ceil(1000);
    let reason = format!(
        "Error, too many requests. Please slow down. You must wait {seconds} seconds before trying again."
    );
    assert_eq!(error["reason"], reason);
    assert_eq!(other.call("m", json!([])).await["result"], true);
    assert_eq!(running.server.metrics().rate_limited, 1);
}

#[tokio::test]
async fn a_rule_can_be_taken_back() {
    let running = Running::start(server().build()).await;
    let mut client = running.connected().await;
    let rule = running
        .server
        .rate_limiter()
        .add(Rule::methods(0, LONG).name("m"));
    assert_eq!(
        client.call("m", json!([])).await["error"]["error"],
        "too-many-requests"
    );
    assert!(running.server.rate_limiter().remove(rule));
    assert_eq!(client.call("m", json!([])).await["result"], true);
}

#[tokio::test]
async fn a_subscription_too_many_is_refused_but_a_login_does_not_count() {
    let running = Running::start(server().rate_limit(Rule::subscriptions(2, LONG)).build()).await;
    let mut client = running.connected().await;
    let sub = |id: &str| json!({ "msg": "sub", "id": id, "name": "p" });
    client.send(&sub("a")).await;
    assert_eq!(client.recv().await["subs"], json!(["a"]));
    let set = json!({ "msg": "method", "id": "m", "method": "login", "params": ["ada"] });
    client.send(&set).await;
    assert_eq!(client.recv_until("result").await[0]["subs"], json!(["a"]));
    client.send(&sub("b")).await;
    assert_eq!(client.recv().await["subs"], json!(["b"]));
    client.send(&sub("c")).await;
    let nosub = client.recv().await;
    assert_eq!(
        (&nosub["msg"], &nosub["id"]),
        (&json!("nosub"), &json!("c"))
    );
    assert_eq!(nosub["error"]["error"], "too-many-requests");
    // it does not hold up what comes after it
    assert_eq!(client.call("m", json!([])).await["result"], true);
}

#[tokio::test]
async fn a_rule_may_look_at_the_user() {
    let of_ada = Rule::methods(0, LONG).name("m").user_id("ada");
    let running = Running::start(server().rate_limit(of_ada).build()).await;
    let mut client = running.connected().await;
    assert_eq!(client.call("m", json!([])).await["result"], true);
    client.call("login", json!(["ada"])).await;
    assert_eq!(
        client.call("m", json!([])).await["error"]["error"],
        "too-many-requests"
    );
}
