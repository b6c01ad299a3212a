//! Calls: results, errors, deadlines, limits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use ddp_client::ejson::Value;
use ddp_client::{CallOptions, Client, Error, ErrorCode, LimitError, ServerError, Status, object};
use support::{World, soon};

async fn call<T: serde::de::DeserializeOwned>(
    client: &Client,
    method: &str,
    params: impl serde::Serialize,
) -> Result<T, Error> {
    soon(method, client.call(method, params)).await
}

#[tokio::test]
async fn results_are_what_the_caller_says_they_are() {
    let (world, _running) = World::with_server().await;
    let client = world.client().await;
    assert_eq!(call::<f64>(&client, "add", (1, 2)).await.unwrap(), 3.0);
    assert_eq!(call::<u8>(&client, "add", [1, 2]).await.unwrap(), 3);
    let params: Vec<Value> = vec![1.into(), f64::INFINITY.into()];
    let sum: Value = call(&client, "add", params).await.unwrap();
    assert_eq!(sum, Value::Number(f64::INFINITY));
    call::<()>(&client, "nothing", ()).await.unwrap();
    let nothing: Option<String> = call(&client, "nothing", ()).await.unwrap();
    assert_eq!(nothing, None);
    let undefined = client.call_value("nothing", vec![], CallOptions::new());
    assert_eq!(soon("nothing", undefined).await.unwrap(), None);
    let wrong = call::<String>(&client, "add", (1, 2)).await;
    assert!(matches!(wrong, Err(Error::Result(_))), "{wrong:?}");
    let no_list = call::<f64>(&client, "add", 1).await;
    assert!(matches!(no_list, Err(Error::ParamsNoList)), "{no_list:?}");
}

#[tokio::test]
async fn errors_are_what_the_server_says() {
    let (world, _running) = World::with_server().await;
    let client = world.client().await;
    let Err(Error::Server(error)) = call::<()>(&client, "fail", ()).await else {
        panic!("an error of the server");
    };
    let expected = ServerError::new("my-code", "My reason");
    assert_eq!(error, expected.details(object! { "some": "details" }));
    let Err(Error::Server(error)) = call::<()>(&client, "noSuchMethod", ()).await else {
        panic!("an error of the server");
    };
    assert_eq!(*error.code(), ErrorCode::from(404));
    let Err(Error::Server(error)) = call::<()>(&client, "add", ("x",)).await else {
        panic!("an error of the server");
    };
    assert_eq!(error.to_string(), "Match failed [400]");
}

#[tokio::test]
async fn a_call_that_is_not_answered_in_time_fails_alone() {
    let (world, _running) = World::with_server().await;
    let client = world.client().await;
    let options = CallOptions::new().wait().timeout(Duration::from_millis(5));
    let late = client.call_with::<()>("never", (), options);
    // it is sent when the one before it, a `wait` call, is over
    let next = client.call::<f64>("add", (1, 2));
    let both = futures_util::future::join(late, next);
    let (late, next) = soon("both", both).await;
    assert!(matches!(late, Err(Error::Timeout)), "{late:?}");
    assert_eq!(next.unwrap(), 3.0);
    assert_eq!(*client.status().borrow(), Status::Connected);
}

#[tokio::test]
async fn what_is_called_after_a_wait_call_runs_after_it() {
    let (world, _running) = World::with_server().await;
    let client = world.client().await;
    let hold = client.call_with::<()>("hold", (), CallOptions::new().wait());
    let note = client.call::<()>("note", ());
    let release = async {
        let other = world.client().await;
        call::<()>(&other, "release", ()).await.unwrap();
    };
    let all = futures_util::future::join3(hold, note, release);
    let (held, noted, ()) = soon("all", all).await;
    assert!(held.is_ok() && noted.is_ok());
    assert_eq!(world.ended.try_iter().collect::<Vec<_>>(), ["hold", "note"]);
}

#[tokio::test]
async fn calls_wait_for_a_connection_until_their_deadline() {
    let (world, running) = World::with_server().await;
    running.stop().await;
    let client = world.builder().start();
    let soon_over = CallOptions::new().timeout(Duration::from_millis(5));
    let late = client.call_with::<f64>("add", (1, 2), soon_over);
    assert!(matches!(soon("late", late).await, Err(Error::Timeout)));
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.call::<f64>("add", (1, 2)).await }
    });
    let _running = world.restart().await;
    assert_eq!(soon("the sum", waiting).await.unwrap().unwrap(), 3.0);
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_is_sent_again_unless_it_must_not_be() {
    let (world, _running) = World::with_server().await;
    let client = world.client().await;
    let runs: u32 = call(&client, "closeOnce", ()).await.unwrap();
    assert_eq!(runs, 2);

    world.runs.store(0, Ordering::SeqCst);
    let once = client.call_with::<u32>("closeOnce", (), CallOptions::new().no_retry());
    let lost = soon("the loss", once).await;
    assert!(matches!(lost, Err(Error::ConnectionLost)), "{lost:?}");
    assert_eq!(call::<f64>(&client, "add", (1, 2)).await.unwrap(), 3.0);
    assert_eq!(world.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_not_sent() {
    let (world, running) = World::with_server().await;
    running.stop().await;
    let client = world.builder().start();
    let mut forgotten = Box::pin(client.call::<u32>("closeOnce", ()));
    assert!(futures_util::poll!(&mut forgotten).is_pending());
    drop(forgotten);
    let _running = world.restart().await;
    assert_eq!(call::<f64>(&client, "add", (1, 2)).await.unwrap(), 3.0);
    assert_eq!(world.runs.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_waits_for_a_connection_is_limited() {
    let (world, running) = World::with_server().await;
    running.stop().await;
    let client = world
        .builder()
        .max_calls(1, 1000)
        .max_subscriptions(1)
        .start();
    let mut first = Box::pin(client.call::<()>("nothing", ()));
    assert!(futures_util::poll!(&mut first).is_pending());
    let second = call::<()>(&client, "nothing", ()).await;
    assert!(matches!(second, Err(Error::Limit(LimitError::Calls))));
    let _sub = client.subscribe("never", ()).await.unwrap();
    let second = client.subscribe("never", ()).await.err();
    assert!(matches!(
        second,
        Some(Error::Limit(LimitError::Subscriptions))
    ));
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_connection() {
    let (world, _running) = World::with_server().await;
    let builder = world.builder().max_message_bytes(1000);
    let client = soon("a connection", builder.connect()).await.unwrap();
    let mut events = client.events();
    assert_eq!(
        call::<String>(&client, "large", (900,))
            .await
            .unwrap()
            .len(),
        900
    );
    let options = CallOptions::new().no_retry();
    let large = client.call_with::<String>("large", (2000,), options);
    assert!(matches!(
        soon("large", large).await,
        Err(Error::ConnectionLost)
    ));
    let Some(ddp_client::Event::Status(Status::Waiting { reason, .. })) = events.next().await
    else {
        panic!("a lost connection");
    };
    assert!(reason.contains("too long"), "{reason}");
    call::<()>(&client, "nothing", ()).await.unwrap();
}

#[tokio::test]
async fn a_closed_client_answers_everything_with_that() {
    let (world, _running) = World::with_server().await;
    let client = world.client().await;
    let mut never = Box::pin(client.call::<()>("never", ()));
    assert!(futures_util::poll!(&mut never).is_pending());
    let sub = client.subscribe("never", ()).await.unwrap();
    let mut changes = client.collection("tasks").observe();
    let mut events = client.events();
    soon("the end", client.close()).await;
    assert!(matches!(soon("never", never).await, Err(Error::Closed)));
    assert!(matches!(
        soon("ready", sub.ready()).await,
        Err(Error::Closed)
    ));
    assert!(soon("changes", changes.next()).await.is_none());
    let last = soon("the last event", events.next()).await;
    assert!(matches!(
        last,
        Some(ddp_client::Event::Status(Status::Closed))
    ));
    assert!(soon("the end of events", events.next()).await.is_none());
    assert!(matches!(
        call::<()>(&client, "nothing", ()).await,
        Err(Error::Closed)
    ));
    assert!(matches!(
        client.subscribe("never", ()).await,
        Err(Error::Closed)
    ));
    soon("the end again", client.close()).await;
}
