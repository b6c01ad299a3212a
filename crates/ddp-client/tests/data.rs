//! Subscriptions, and the collections that they fill.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ddp_client::{Error, ServerError, Status, fields};
use support::{World, next, soon, subscribed};

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
