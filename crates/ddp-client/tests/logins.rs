//! Who is logged in, and stays it over restarts of the server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::Ordering;

use ddp_client::{Error, Event, Status, object};
use support::{World, lost, soon};

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
