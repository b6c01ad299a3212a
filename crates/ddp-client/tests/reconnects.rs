//! What survives the loss of a connection, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ddp_client::{Status, fields};
use support::{World, connected, lost, next, soon, subscribed};

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
