//! How methods and publications are written, and what clients see of their failures.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ddp_server::ejson::{Date, Value};
use ddp_server::{ClientSafe as _, Error, Server, fields, live, object};
use serde::{Deserialize, Serialize};
use serde_json::json;
use support::{Client, Running};

#[derive(Serialize, Deserialize)]
struct Task {
    text: String,
    due: Date,
}

async fn client(server: Server) -> (Running, Client) {
    let running = Running::start(server).await;
    let client = running.connected().await;
    (running, client)
}

#[tokio::test]
async fn arguments_and_results_are_rust_types() {
    let server = Server::builder()
        .method("add", |_, (a, b): (f64, f64)| async move { Ok(a + b) })
        .method("later", |_, (task, ms): (Task, Option<i64>)| async move {
            let due = Date::from_millis(task.due.millis().unwrap_or(0) + ms.unwrap_or(1));
            Ok(Task { due, ..task })
        })
        .method(
            "any",
            |_, params: Vec<Value>| async move { Ok(params.len()) },
        )
        .build();
    let (_running, mut client) = client(server).await;
    assert_eq!(client.call("add", json!([1, 2.5])).await["result"], 3.5);
    assert_eq!(client.call("add", json!([1, 2, 3])).await["result"], 3);
    let task = |ms: i64| json!({ "text": "x", "due": { "$date": ms } });
    assert_eq!(
        client.call("later", json!([task(5)])).await["result"],
        task(6)
    );
    assert_eq!(
        client.call("later", json!([task(5), 2])).await["result"],
        task(7)
    );
    assert_eq!(client.call("any", json!([1, "x", null])).await["result"], 3);
    for (name, params) in [
        ("add", json!([1])),
        ("add", json!([1, "2"])),
        ("later", json!([{ "text": "x" }])),
    ] {
        let error = &client.call(name, params).await["error"];
        assert_eq!(
            (&error["error"], &error["reason"]),
            (&json!(400), &json!("Match failed"))
        );
    }
}

#[tokio::test]
async fn methods_and_publications_are_written_in_a_line() {
    let (tasks, view) = live::collection("tasks");
    tasks.set("milk", fields! { "list": "home" });
    #[rustfmt::skip]
    #[allow(unused_variables, reason = "as one begins to write")]
    let server = Server::builder()
        .method("add", |ctx, (a, b): (f64, f64)| async move { Ok(a + b) })
        .method("login", |ctx, (id,): (String,)| async move { ctx.set_user_id(Some(&id)) })
        .method("who", |ctx, ()| async move { ctx.unblock(); Ok(ctx.user_id()) })
        .publish("tasks", move |ctx, (list,): (String,)| { let tasks = view.find().equals("list", list); async { Ok(tasks) } })
        .publish("mine", |ctx, ()| async move { ctx.added("mine", "a", fields! { "by": ctx.user_id() }); ctx.ready(); Ok(()) })
        .build();
    let (_running, mut client) = client(server).await;
    assert_eq!(client.call("add", json!([1, 2])).await["result"], 3);
    client.call("login", json!(["ada"])).await;
    assert_eq!(client.call("who", json!([])).await["result"], "ada");
    let mine = client.subscribe("mine").await;
    assert_eq!(mine[0]["fields"], json!({ "by": "ada" }));
    let home = json!({ "msg": "sub", "id": "s", "name": "tasks", "params": ["home"] });
    client.send(&home).await;
    assert_eq!(client.recv().await["id"], "milk");
}

#[tokio::test]
async fn a_subscription_whose_arguments_do_not_fit_is_refused() {
    let (tasks, view) = live::collection("tasks");
    tasks.set("a", fields! { "list": "home" });
    tasks.set("b", fields! { "list": "work" });
    let server = Server::builder()
        .publish("tasks", move |_, (list,): (String,)| {
            let on_list = view.find().equals("list", list);
            async move { Ok(on_list) }
        })
        .build();
    let (_running, mut client) = client(server).await;
    let sub = |id, params| json!({ "msg": "sub", "id": id, "name": "tasks", "params": params });
    client.send(&sub("bad", json!([5]))).await;
    let nosub = client.recv().await;
    assert_eq!(
        (&nosub["msg"], &nosub["id"]),
        (&json!("nosub"), &json!("bad"))
    );
    assert_eq!(nosub["error"]["error"], 400);
    client.send(&sub("good", json!(["work"]))).await;
    assert_eq!(client.recv().await["id"], "b");
    assert_eq!(client.recv().await["subs"], json!(["good"]));
}

#[tokio::test]
async fn clients_see_only_errors_that_are_meant_for_them() {
    let number = |text: &str| text.parse::<u8>();
    let server = Server::builder()
        .method("meant", |_, ()| async {
            let details = object! { "more": 1 };
            Err::<(), _>(Error::new("mine", "My reason").details(details))
        })
        .method("foreign", move |_, (text,): (String,)| async move {
            Ok(number(&text)?)
        })
        .method("shown", move |_, (text,): (String,)| async move {
            number(&text).client_safe(422)
        })
        .method("protocol", |_, ()| async {
            let refused = Err::<(), _>(ddp_protocol::Error::new(403, "Access denied"));
            Ok(refused?)
        })
        .build();
    let (_running, mut client) = client(server).await;
    let meant = client.call("meant", json!([])).await;
    assert_eq!(meant["error"]["details"], json!({ "more": 1 }));
    assert_eq!(client.call("foreign", json!(["7"])).await["result"], 7);
    for (name, params, message) in [
        ("meant", json!([]), "My reason [mine]"),
        ("foreign", json!(["x"]), "Internal server error [500]"),
        ("shown", json!(["x"]), "invalid digit found in string [422]"),
        ("protocol", json!([]), "Access denied [403]"),
    ] {
        assert_eq!(client.call(name, params).await["error"]["message"], message);
    }
}
