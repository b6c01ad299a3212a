//! What every client gets without asking, and what a running server begins to offer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ddp_server::{Config, Error, Server, fields, live};
use serde_json::json;
use support::{Options, Running};

#[tokio::test]
async fn a_universal_publication_comes_with_the_connection() {
    let options = Options {
        universal: true,
        ..Options::default()
    };
    let running = Running::test_service_with(Config::default(), options).await;
    let mut client = running.connected().await;
    let document = json!({ "hello": "world", "userId": null });
    let added = client.recv().await;
    assert_eq!(
        (&added["collection"], &added["fields"]),
        (&json!("universal"), &document)
    );
    let set = json!({ "msg": "method", "id": "m", "method": "setUserId", "params": ["ada"] });
    client.send(&set).await;
    let heard = client.recv_until("result").await;
    assert_eq!(heard[0]["msg"], "changed");
    assert_eq!(heard[0]["fields"], json!({ "userId": "ada" }));
    assert!(
        heard.iter().all(|message| message["msg"] != "ready"),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_universal_publication_that_comes_later_is_for_those_who_are_there() {
    let (docs, view) = live::collection("docs");
    docs.set("a", fields! {});
    let running = Running::start(Server::builder().build()).await;
    let mut client = running.connected().await;
    let mut not_connected = running.client().await;
    running.server.publish_universal(move |_| {
        let all = view.find();
        async { Ok(all) }
    });
    assert_eq!(client.recv().await["id"], "a");
    let connect = json!({ "msg": "connect", "version": "1", "support": ["1"] });
    not_connected.send(&connect).await;
    assert_eq!(not_connected.recv().await["msg"], "connected");
    assert_eq!(not_connected.recv().await["id"], "a");
}

#[tokio::test]
async fn a_universal_publication_that_fails_is_not_told() {
    let server = Server::builder()
        .publish_universal(|sub| async move {
            sub.added("docs", "a", fields! {});
            Err::<(), _>(Error::new(403, "Access denied"))
        })
        .publish_universal(|sub| async move {
            assert!(sub.id().is_some(), "this test wants a panic");
            Ok(())
        })
        .method("works", |_, ()| async { Ok(true) })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    assert_eq!(client.recv().await["msg"], "added");
    assert_eq!(client.recv().await["msg"], "removed");
    assert_eq!(client.call("works", json!([])).await["result"], true);
}

#[tokio::test]
async fn methods_and_publications_may_come_while_the_server_runs() {
    let running = Running::start(Server::builder().build()).await;
    let mut client = running.connected().await;
    assert_eq!(client.call("late", json!([])).await["error"]["error"], 404);
    running.server.method("late", |_, ()| async { Ok("here") });
    running.server.publish("late", |sub, ()| async move {
        sub.ready();
        Ok(())
    });
    assert_eq!(client.call("late", json!([])).await["result"], "here");
    client.subscribe("late").await;
}

#[tokio::test]
async fn meteors_own_tests_find_their_publications_at_run_time() {
    let running = Running::test_service(Config::default()).await;
    let mut client = running.connected().await;
    client.call("livedata/setup", json!(["x"])).await;
    client.subscribe("pub1x").await;
    client.subscribe("pub2x").await;
    let go = |name| json!({ "msg": "method", "id": "m", "method": name, "params": ["x"] });
    client.send(&go("livedata/pub1go")).await;
    let heard = client.recv_until("result").await;
    assert_eq!(
        (&heard[0]["msg"], &heard[2]["result"]),
        (&json!("added"), &json!(1))
    );
    client.send(&go("livedata/pub2go")).await;
    let heard = client.recv_until("result").await;
    assert_eq!(
        (&heard[0]["msg"], &heard[2]["result"]),
        (&json!("changed"), &json!(2))
    );
    for name in ["runtimeUniversalSubCreation", "testOverlappingSubs"] {
        let token = json!([format!("token of {name}")]);
        client
            .send(&json!({ "msg": "method", "id": "m", "method": name, "params": token }))
            .await;
        let heard = client.recv_until("updated").await;
        assert_eq!(heard[0]["msg"], "added", "{heard:?}");
        assert_eq!(json!([heard[0]["id"]]), token);
        assert!(
            heard.iter().all(|message| message["msg"] != "removed"),
            "{heard:?}"
        );
        client.recv_until("result").await;
    }
}
