//! Conversations that `docs/ddp.md` tells of, each as what is said and heard.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use ddp_server::{Config, Server};
use serde_json::{Value, json};
use support::{Client, Options, Running};
use tokio::sync::Notify;

/// Something that the client says, or that it must hear.
enum Line {
    Say(Value),
    Hear(Value),
}

use Line::{Hear, Say};

/// A method that runs to its end, with what it causes before.
fn call(name: &str, params: &Value, causes: &[Value]) -> Vec<Line> {
    let mut lines = vec![Say(
        json!({ "msg": "method", "id": "m", "method": name, "params": params }),
    )];
    lines.extend(causes.iter().cloned().map(Hear));
    lines.push(Hear(json!({ "msg": "updated", "methods": ["m"] })));
    lines.push(Hear(json!({ "msg": "result", "id": "m" })));
    lines
}

async fn client() -> (Running, Client) {
    let running = Running::test_service(Config::default()).await;
    let client = running.connected().await;
    (running, client)
}

async fn play(client: &mut Client, lines: Vec<Line>) {
    for line in lines {
        match line {
            Say(message) => client.send(&message).await,
            Hear(message) => assert_eq!(client.recv().await, message),
        }
    }
}

fn sub(id: &str, name: &str, params: &Value) -> Line {
    Say(json!({ "msg": "sub", "id": id, "name": name, "params": params }))
}

fn ready(id: &str) -> Line {
    Hear(json!({ "msg": "ready", "subs": [id] }))
}

#[tokio::test]
async fn what_is_said_right_after_connect_is_served() {
    let running = Running::test_service(Config::default()).await;
    let mut client = running.client().await;
    client
        .send(&json!({ "msg": "connect", "version": "1", "support": ["1"] }))
        .await;
    client
        .send(&json!({ "msg": "sub", "id": "s", "name": "empty" }))
        .await;
    client
        .send(&json!({ "msg": "method", "id": "m", "method": "nothing" }))
        .await;
    assert_eq!(client.recv().await["msg"], "connected");
    play(
        &mut client,
        vec![
            ready("s"),
            Hear(json!({ "msg": "updated", "methods": ["m"] })),
            Hear(json!({ "msg": "result", "id": "m" })),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_publication_holds_up_what_comes_after_it() {
    let (_running, mut client) = client().await;
    let fields = json!({ "ms": 20 });
    let (collection, id) = ("slowthings", "s20");
    let mut lines = vec![
        sub("a", "asyncReady", &json!([20])),
        Say(json!({ "msg": "method", "id": "m", "method": "nothing" })),
    ];
    lines.push(Hear(
        json!({ "msg": "added", "collection": collection, "id": id, "fields": fields }),
    ));
    lines.push(ready("a"));
    lines.push(Hear(json!({ "msg": "updated", "methods": ["m"] })));
    lines.push(Hear(json!({ "msg": "result", "id": "m" })));
    play(&mut client, lines).await;
}

#[tokio::test]
async fn a_publication_that_unblocks_can_wait_for_what_comes_after_it() {
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let server = Server::builder()
        .publish("held", move |sub, ()| {
            let released = Arc::clone(&released);
            async move {
                sub.unblock();
                released.notified().await;
                sub.ready();
                Ok(())
            }
        })
        .method("release", move |_, ()| {
            release.notify_one();
            async { Ok(()) }
        })
        .build();
    let running = Running::start(server).await;
    let mut client = running.connected().await;
    client
        .send(&json!({ "msg": "sub", "id": "s", "name": "held" }))
        .await;
    assert!(
        client
            .call("release", json!([]))
            .await
            .get("error")
            .is_none()
    );
    assert_eq!(client.recv().await["subs"], json!(["s"]));
}

#[tokio::test]
async fn names_that_javascript_objects_have_are_not_offered() {
    let (_running, mut client) = client().await;
    for name in ["toString", "constructor", "hasOwnProperty", "__proto__"] {
        let error = &client.call(name, json!([])).await["error"];
        assert_eq!(error["error"], 404, "{name}");
        assert_eq!(client.recv().await["msg"], "updated");
        client
            .send(&json!({ "msg": "sub", "id": "s", "name": name }))
            .await;
        assert_eq!(client.recv().await["error"]["error"], 404, "{name}");
        client.send(&json!({ "msg": name })).await;
        assert_eq!(client.recv().await["reason"], "Bad request", "{name}");
    }
}

#[tokio::test]
async fn malformed_subscriptions_do_not_wedge_the_queue() {
    let (_running, mut client) = client().await;
    for bad in [
        json!({ "msg": "sub", "name": "empty" }),
        json!({ "msg": "sub", "id": 5, "name": "empty" }),
        json!({ "msg": "sub", "id": "s" }),
        json!({ "msg": "sub", "id": "s", "name": "empty", "params": {} }),
    ] {
        client.send(&bad).await;
        let error = client.recv().await;
        assert_eq!(error["reason"], "Malformed subscription", "{bad}");
        assert_eq!(error["offendingMessage"], bad);
    }
    client.send(&json!({ "msg": "unsub" })).await;
    assert_eq!(client.recv().await, json!({ "msg": "nosub" }));
    client.send(&json!({ "msg": "unsub", "id": 5 })).await;
    assert_eq!(client.recv().await["msg"], "nosub");
    client.subscribe("empty").await;
}

#[tokio::test]
async fn every_kind_of_value_arrives_as_ejson() {
    let (_running, mut client) = client().await;
    let result = &client.call("special", json!([])).await["result"];
    for (field, value) in [
        ("date", json!({ "$date": 0 })),
        ("invalidDate", json!({ "$date": null })),
        ("binary", json!({ "$binary": "AQID" })),
        ("inf", json!({ "$InfNaN": 1 })),
        ("negInf", json!({ "$InfNaN": -1 })),
        ("nan", json!({ "$InfNaN": 0 })),
        ("negZero", json!(0)),
        ("escaped", json!({ "$escape": { "$date": 5 } })),
        ("notEscaped", json!({ "$date": 5, "more": 1 })),
        (
            "oid",
            json!({ "$type": "oid", "$value": "0123456789abcdef01234567" }),
        ),
        ("regexp", json!({ "$regexp": "a\\/b+", "$flags": "gi" })),
        ("array", json!([1, null, {}])),
        ("nested", json!({ "deep": { "date": { "$date": 1 } } })),
    ] {
        assert_eq!(result[field], value, "{field}");
    }
    let published = client.subscribe("fieldsTypes").await;
    assert_eq!(&published[0]["fields"], result);
}

#[tokio::test]
async fn null_is_an_argument_and_what_is_left_out_is_none() {
    let (_running, mut client) = client().await;
    client.subscribe("tasks").await;
    let id = client.call("insertTask", json!(["x"])).await["result"].clone();
    let mut told = async |params: Value| {
        let call = json!({ "msg": "method", "id": "m", "method": "setField", "params": params });
        client.send(&call).await;
        client.recv_until("result").await.swap_remove(0)
    };
    assert_eq!(
        told(json!([id, "due", null])).await["fields"],
        json!({ "due": null })
    );
    assert_eq!(told(json!([id, "due"])).await["cleared"], json!(["due"]));
    let slow = client.call("slow", json!([0, null])).await;
    assert_eq!(slow.get("result"), Some(&Value::Null));
    let slow = client.call("slow", json!([])).await;
    assert_eq!((slow.get("result"), slow.get("error")), (None, None));
}

#[tokio::test]
async fn without_merging_a_document_is_added_once_and_removed_with_its_last_subscription() {
    let (_running, mut client) = client().await;
    let open = |tag: &str, fields: Value| {
        sub(
            tag,
            "live",
            &json!([tag, [{ "c": "nmm", "id": "d", "f": fields }]]),
        )
    };
    let data = |msg: &str, fields: Value| {
        Hear(json!({ "msg": msg, "collection": "nmm", "id": "d", "fields": fields }))
    };
    let unsub = |id: &str| Say(json!({ "msg": "unsub", "id": id }));
    let nosub = |id: &str| Hear(json!({ "msg": "nosub", "id": id }));
    let changed = json!({ "msg": "changed", "collection": "nmm", "id": "d", "fields": { "x": 2 } });
    let mut lines = vec![
        open("A", json!({ "x": 1, "a": 1 })),
        data("added", json!({ "x": 1, "a": 1 })),
        ready("A"),
        open("B", json!({ "x": 1 })),
        data("changed", json!({ "x": 1 })),
        ready("B"),
    ];
    for _ in 0..2 {
        let params = json!(["A", "nmm", "d", { "x": 2 }]);
        lines.extend(call("pubChanged", &params, std::slice::from_ref(&changed)));
    }
    lines.extend([unsub("A"), nosub("A"), unsub("B")]);
    lines.push(Hear(
        json!({ "msg": "removed", "collection": "nmm", "id": "d" }),
    ));
    lines.push(nosub("B"));
    play(&mut client, lines).await;
}

#[tokio::test]
async fn a_field_that_is_cleared_shows_what_another_subscription_has() {
    let (_running, mut client) = client().await;
    let open = |tag: &str, fields: Value| {
        sub(
            tag,
            "live",
            &json!([tag, [{ "c": "m", "id": "d", "f": fields }]]),
        )
    };
    let mut lines = vec![
        open("A", json!({ "x": { "n": 1 } })),
        Hear(
            json!({ "msg": "added", "collection": "m", "id": "d", "fields": { "x": { "n": 1 } } }),
        ),
        ready("A"),
        open("B", json!({ "x": { "n": 1 }, "y": 1 })),
        Hear(json!({ "msg": "changed", "collection": "m", "id": "d", "fields": { "y": 1 } })),
        ready("B"),
    ];
    // the same value from another subscription is no change
    lines.extend(call("pubChanged", &json!(["A", "m", "d", {}, ["x"]]), &[]));
    lines.extend(call(
        "pubRemoved",
        &json!(["B", "m", "d"]),
        &[json!({ "msg": "changed", "collection": "m", "id": "d", "cleared": ["x", "y"] })],
    ));
    play(&mut client, lines).await;
}

#[tokio::test]
async fn what_meteors_own_client_tests_call_is_there() {
    let (_running, mut client) = client().await;
    let exception = |place: &str, intended: bool| json!([place, { "intended": intended }]);
    assert!(
        client
            .call("exception", exception("client", true))
            .await
            .get("error")
            .is_none()
    );
    let error = client.call("exception", exception("server", true)).await;
    assert_eq!(error["error"]["error"], 999);
    let error = client.call("exception", exception("both", false)).await;
    assert_eq!(error["error"]["error"], 500);
    for (name, balance) in [("alice", 100), ("bob", 50)] {
        let account = json!([{ "_id": name, "name": name, "balance": balance, "world": "w" }]);
        let inserted = client.call("/ledger/insertAsync", account).await;
        assert_eq!(inserted["result"], name);
    }
    client
        .send(&json!({ "msg": "sub", "id": "l", "name": "ledger", "params": ["w"] }))
        .await;
    assert_eq!(client.recv_until("ready").await.len(), 3);
    let transfer = json!(["w", "alice", "bob", 10]);
    client
        .send(
            &json!({ "msg": "method", "id": "t", "method": "ledger/transfer", "params": transfer }),
        )
        .await;
    let heard = client.recv_until("updated").await;
    assert_eq!(
        (&heard[0]["fields"], &heard[1]["fields"]),
        (&json!({ "balance": 90 }), &json!({ "balance": 60 }))
    );
    client.recv_until("result").await;
    for (params, code) in [
        (json!(["w", "alice", "bob", 100, true]), 409),
        (json!(["w", "x", "bob", 1]), 404),
    ] {
        assert_eq!(
            client.call("ledger/transfer", params).await["error"]["error"],
            code
        );
    }
    client.call("pushToArray", json!(["test", "xxx"])).await;
    assert_eq!(
        client.call("getArray", json!(["test"])).await["result"],
        json!(["xxx"])
    );
    let names = client.subscribe("publisherCloning").await;
    assert_eq!(names[1]["fields"], json!({ "x": { "y": 43 } }));
}

#[tokio::test]
async fn publications_of_meteors_own_client_tests_end_as_told() {
    let (_running, mut client) = client().await;
    let open = |name: &str, params: Value| json!({ "msg": "sub", "id": "s", "name": name, "params": params });
    for (option, code) in [
        ("stopInHandler", None),
        ("throwInHandler", Some(412)),
        ("errorInHandler", Some(412)),
        ("errorLater", Some(412)),
        ("dup", Some(500)),
        ("notCursor", Some(500)),
    ] {
        let sub = match option {
            "dup" | "notCursor" => open("multiPublish", json!([{ option: true }])),
            _ => open("publisherErrors", json!(["c", { option: true }])),
        };
        client.send(&sub).await;
        let nosub = client.recv_until("nosub").await.pop().unwrap();
        assert_eq!(nosub["error"]["error"].as_i64(), code, "{option}");
    }
    client
        .send(&open("multiPublish", json!([{ "normal": true }])))
        .await;
    assert_eq!(client.recv_until("ready").await.len(), 6);
    client.call("setUserId", json!(["1"])).await;
    let owned = client.subscribe("objectsWithUsers").await;
    let names: Vec<_> = owned[..owned.len() - 1]
        .iter()
        .map(|it| it["fields"].clone())
        .collect();
    assert_eq!(names.len(), 3);
    assert!(
        names
            .iter()
            .all(|fields| fields.get("ownerUserIds").is_none()),
        "{names:?}"
    );
}

#[tokio::test]
async fn waiting_can_be_ended_by_another_method() {
    let options = Options::default();
    let running = Running::test_service_with(Config::default(), options).await;
    let mut client = running.connected().await;
    let method = |id: &str, name: &str| json!({ "msg": "method", "id": id, "method": name, "params": ["t"] });
    client.send(&method("1", "delayedTrue")).await;
    client
        .send(&method("2", "makeDelayedTrueImmediatelyReturnFalse"))
        .await;
    let heard = client.recv_until("result").await;
    assert_eq!(heard.last().unwrap()["id"], "2");
    let heard = client.recv_until("result").await;
    assert_eq!(
        (&heard[1]["id"], &heard[1]["result"]),
        (&json!("1"), &json!(false))
    );
}
