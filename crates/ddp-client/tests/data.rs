//! Subscriptions, collections, reconnects and logins.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::Ordering;

use ddp_client::ejson::Fields;
use ddp_client::{
    Client, DocumentChange, Error, Event, Observer, ServerError, Status, Subscription, fields,
    object,
};
use support::{World, soon};

async fn subscribed(client: &Client, name: &str) -> Subscription {
    let sub = client.subscribe(name, ()).await.unwrap();
    soon("ready", sub.ready()).await.unwrap();
    sub
}

/// The next change, in short.
async fn next(changes: &mut Observer) -> String {
    let n = |fields: &Fields| fields["n"].as_f64().unwrap();
    match soon("a change", changes.next()).await {
        Some(DocumentChange::Added(document)) => {
            format!("+{} {}", document.id, n(&document.fields))
        }
        Some(DocumentChange::Changed { document, before }) => {
            format!("{} {}>{}", document.id, n(&before), n(&document.fields))
        }
        Some(DocumentChange::Removed(document)) => format!("-{}", document.id),
        None => "end".to_owned(),
    }
}

async fn connected(client: &Client) {
    let mut status = client.status();
    let connected = status.wait_for(|status| *status == Status::Connected);
    soon("a connection", connected).await.unwrap();
}

async fn lost(client: &Client) {
    let mut status = client.status();
    let lost = status.wait_for(|status| matches!(status, Status::Waiting { .. }));
    soon("the loss", lost).await.unwrap();
}

#[tokio::test]
async fn documents_come_change_and_go_with_the_subscription() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Task {
        _id: String,
        n: u32,
    }
    let (world, _running) = World::with_server().await;
    world.tasks.set("a", fields! { "n": 1 });
    let client = world.client().await;
    let sub = subscribed(&client, "tasks").await;
    assert!(sub.is_ready());
    let tasks = client.collection("tasks");
    let task = Task {
        _id: "a".into(),
        n: 1,
    };
    assert_eq!(tasks.docs::<Task>().unwrap(), [task]);
    assert_eq!(*tasks.get("a").unwrap().fields, fields! { "n": 1 });
    let mut changes = tasks.observe();
    assert_eq!(next(&mut changes).await, "+a 1");
    world.tasks.set("b", fields! { "n": 1 });
    assert_eq!(next(&mut changes).await, "+b 1");
    world.tasks.set("a", fields! { "n": 2 });
    assert_eq!(next(&mut changes).await, "a 1>2");
    world.tasks.remove("b");
    assert_eq!(next(&mut changes).await, "-b");
    sub.stop();
    assert_eq!(next(&mut changes).await, "-a");
    assert!(tasks.is_empty());
}

#[tokio::test]
async fn what_a_method_has_written_is_there_when_it_is_over() {
    let (world, _running) = World::with_server().await;
    let client = world.client().await;
    let _sub = subscribed(&client, "tasks").await;
    let tasks = client.collection("tasks");
    for n in 1..50 {
        let count = client.call::<()>("count", ("a", n));
        soon("count", count).await.unwrap();
        assert_eq!(tasks.find(|fields| fields["n"] == n.into()).len(), 1);
    }
}

#[tokio::test]
async fn a_slow_observer_is_told_the_end_of_the_story() {
    let (world, _running) = World::with_server().await;
    world.tasks.set("a", fields! { "n": 0 });
    let client = world.client().await;
    let _sub = subscribed(&client, "tasks").await;
    let mut changes = client.collection("tasks").observe();
    assert_eq!(next(&mut changes).await, "+a 0");
    for _ in 0..3 {
        soon("count", client.call::<()>("count", ("a", 1000)))
            .await
            .unwrap();
    }
    assert_eq!(next(&mut changes).await, "a 0>1000");
    soon("count", client.call::<()>("count", ("b", 1)))
        .await
        .unwrap();
    assert_eq!(next(&mut changes).await, "+b 1");
}

#[tokio::test]
async fn subscriptions_that_end_say_why() {
    let (world, _running) = World::with_server().await;
    let client = world.client().await;
    let refused = client.subscribe("refused", ()).await.unwrap();
    let denied = ServerError::new(403, "Access denied");
    let Err(Error::Server(error)) = soon("the refusal", refused.ready()).await else {
        panic!("an error of the server");
    };
    assert_eq!(error, denied);
    let reason = soon("the end", refused.stopped()).await.unwrap();
    assert_eq!(reason, Some(denied));
    let ends = client.subscribe("ends", ()).await.unwrap();
    assert_eq!(soon("the end", ends.stopped()).await.unwrap(), None);
    assert!(matches!(ends.ready().await, Err(Error::Stopped)));
    assert!(!ends.is_ready());
}

#[tokio::test]
async fn after_a_restart_of_the_server_only_what_differs_changes() {
    let (world, running) = World::with_server().await;
    for id in ["changed", "gone", "same"] {
        world.tasks.set(id, fields! { "n": 1 });
    }
    let client = world.client().await;
    let sub = subscribed(&client, "tasks").await;
    let mut changes = client.collection("tasks").observe();
    for id in ["changed", "gone", "same"] {
        assert_eq!(next(&mut changes).await, format!("+{id} 1"));
    }
    running.stop().await;
    lost(&client).await;
    assert_eq!(client.collection("tasks").len(), 3);
    world.tasks.set("changed", fields! { "n": 2 });
    world.tasks.remove("gone");
    world.tasks.set("new", fields! { "n": 1 });
    let _running = world.restart().await;
    let sum = soon("the sum", client.call::<f64>("add", (1, 2))).await;
    assert_eq!(sum.unwrap(), 3.0);
    assert_eq!(next(&mut changes).await, "-gone");
    assert_eq!(next(&mut changes).await, "changed 1>2");
    assert_eq!(next(&mut changes).await, "+new 1");
    assert!(sub.is_ready());
    world.tasks.set("same", fields! { "n": 2 });
    assert_eq!(next(&mut changes).await, "same 1>2");
}

#[tokio::test]
async fn a_login_is_repeated_after_a_restart_until_the_logout() {
    let (world, running) = World::with_server().await;
    let client = world.client().await;
    let wrong = client.login_with_password("ada", "wrong");
    assert!(matches!(soon("login", wrong).await, Err(Error::Server(_))));
    assert_eq!(client.user_id(), None);
    let login = client.login_with_password("ada", "password");
    let login = soon("login", login).await.unwrap();
    assert_eq!(login.user_id, "ada");
    assert_eq!(client.user_id().as_deref(), Some("ada"));
    let user = world.logins.try_iter().last().unwrap();
    assert_eq!(user.get("user"), Some(&object! { "username": "ada" }));

    running.stop().await;
    lost(&client).await;
    assert_eq!(client.user_id().as_deref(), Some("ada"));
    let running = world.restart().await;
    soon("nothing", client.call::<()>("nothing", ()))
        .await
        .unwrap();
    let resumed = object! { "resume": "secret" };
    assert_eq!(world.logins.try_iter().collect::<Vec<_>>(), [resumed]);

    soon("logout", client.logout()).await.unwrap();
    assert_eq!(client.user_id(), None);
    running.stop().await;
    lost(&client).await;
    let _running = world.restart().await;
    soon("nothing", client.call::<()>("nothing", ()))
        .await
        .unwrap();
    assert_eq!(world.logins.try_iter().count(), 0);

    let token = login.token.unwrap();
    let again = soon("login", client.login_with_token(token)).await.unwrap();
    assert_eq!(again.user_id, "ada");
}

#[tokio::test]
async fn a_login_that_cannot_be_repeated_is_told() {
    let (world, running) = World::with_server().await;
    let client = world.client().await;
    let login = client.login_with_password("ada@example.com", "password");
    soon("login", login).await.unwrap();
    let mut events = client.events();
    world.takes_tokens.store(false, Ordering::SeqCst);
    running.stop().await;
    let _running = world.restart().await;
    let (mut told, mut users) = (Vec::new(), 0);
    loop {
        match soon("an event", events.next()).await.unwrap() {
            Event::Status(status) => told.push(status == Status::Connected),
            Event::User(user) => users += u32::from(user.is_none()),
            Event::LoginLost(error) => break assert!(matches!(error, Error::Server(_))),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((told.last(), users), (Some(&true), 1));
    assert_eq!(client.user_id(), None);
}

#[tokio::test]
async fn a_disconnected_client_keeps_what_it_has_and_waits_to_be_told() {
    let (world, _running) = World::with_server().await;
    world.tasks.set("a", fields! { "n": 1 });
    let client = world.client().await;
    let _sub = subscribed(&client, "tasks").await;
    client.disconnect();
    let mut status = client.status();
    let offline = status.wait_for(|status| *status == Status::Offline);
    drop(soon("the end of the connection", offline).await.unwrap());
    let mut waiting = Box::pin(client.call::<f64>("add", (1, 2)));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(client.collection("tasks").len(), 1);
    client.reconnect();
    assert_eq!(soon("the sum", waiting).await.unwrap(), 3.0);
    connected(&client).await;
    assert_eq!(client.collection("tasks").len(), 1);
}

#[tokio::test]
async fn a_client_that_must_not_reconnect_does_not_until_it_is_told() {
    let (world, running) = World::with_server().await;
    let builder = world.builder().reconnects(false);
    let client = soon("a connection", builder.connect()).await.unwrap();
    running.stop().await;
    let mut status = client.status();
    let failed = status.wait_for(|status| matches!(status, Status::Failed { .. }));
    drop(soon("the failure", failed).await.unwrap());
    let _running = world.restart().await;
    client.reconnect();
    connected(&client).await;
}

#[tokio::test]
async fn a_client_ends_with_its_last_handle() {
    let (world, _running) = World::with_server().await;
    let client = world.client().await;
    let sub = subscribed(&client, "tasks").await;
    let (tasks, mut status) = (client.collection("tasks"), client.status());
    let mut changes = tasks.observe();
    drop(client);
    world.tasks.set("a", fields! { "n": 1 });
    assert_eq!(next(&mut changes).await, "+a 1");
    drop(sub);
    let closed = status.wait_for(|status| *status == Status::Closed);
    soon("the end", closed).await.unwrap();
}
