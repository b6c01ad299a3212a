//! How a session begins, that it is alive, and what is told when there is none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use ddp_client::{BackoffPolicy, Builder, Client, Error, Event, Status};
use futures_util::future::join;
use support::scripted::Scripted;
use support::soon;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const PING: &str = r#"{"msg":"ping"}"#;
const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(1000);

fn builder(server: &Scripted) -> Builder {
    let builder = Client::builder(&server.address().to_string()).unwrap();
    builder.backoff(BackoffPolicy {
        max: SHORT,
        ..BackoffPolicy::default()
    })
}

#[tokio::test]
async fn a_silent_server_is_pinged_and_stays_if_it_answers() {
    let server = Scripted::new().await;
    let connecting = builder(&server).heartbeat(SHORT, LONG).connect();
    let (client, mut peer) = join(soon("a session", connecting), server.begins()).await;
    let client = client.unwrap();
    for _ in 0..3 {
        assert_eq!(peer.hears().await.as_deref(), Some(PING));
        peer.says(r#"{"msg":"pong"}"#).await;
    }
    assert_eq!(*client.status().borrow(), Status::Connected);
}

#[tokio::test]
async fn a_server_that_answers_no_ping_is_left_for_a_new_connection() {
    let server = Scripted::new().await;
    let client = builder(&server).heartbeat(SHORT, SHORT).start();
    let mut events = client.events();
    let mut peer = server.begins().await;
    assert_eq!(peer.hears().await.as_deref(), Some(PING));
    assert_eq!(peer.hears().await, None);
    let _again = server.begins().await;
    loop {
        if let Event::Status(Status::Waiting { reason, .. }) =
            soon("the loss", events.next()).await.unwrap()
        {
            break assert_eq!(&*reason, "the server did not answer a ping");
        }
    }
}

#[tokio::test]
async fn pings_of_the_server_are_answered() {
    let server = Scripted::new().await;
    let _client = builder(&server).heartbeat(Duration::ZERO, LONG).start();
    let mut peer = server.begins().await;
    peer.says(r#"{"msg":"ping","id":"p"}"#).await;
    peer.says(PING).await;
    let pong = r#"{"msg":"pong","id":"p"}"#;
    assert_eq!(peer.hears().await.as_deref(), Some(pong));
    assert_eq!(peer.hears().await.as_deref(), Some(r#"{"msg":"pong"}"#));
}

#[tokio::test]
async fn the_version_that_the_server_wants_is_spoken_on_the_next_connection() {
    let server = Scripted::new().await;
    let connecting = builder(&server).connect();
    let negotiating = async {
        let mut peer = server.accepts().await;
        assert!(peer.hears().await.unwrap().contains(r#""version":"1""#));
        peer.says(r#"{"msg":"failed","version":"pre2"}"#).await;
        let mut peer = server.accepts().await;
        assert!(peer.hears().await.unwrap().contains(r#""version":"pre2""#));
        peer.says(r#"{"msg":"connected","session":"S"}"#).await;
        peer
    };
    let (client, _peer) = join(soon("a session", connecting), negotiating).await;
    assert_eq!(*client.unwrap().status().borrow(), Status::Connected);
}

#[tokio::test]
async fn a_server_that_speaks_no_version_of_ours_is_not_tried_again() {
    let server = Scripted::new().await;
    let connecting = builder(&server).connect();
    let refusing = async {
        let mut peer = server.accepts().await;
        peer.hears().await.unwrap();
        peer.says(r#"{"msg":"failed","version":"7"}"#).await;
    };
    let (client, ()) = join(soon("the refusal", connecting), refusing).await;
    let error = client.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot connect: no common version of DDP"
    );
}

/// Something that listens, and says this to whoever has said something. Where it is.
async fn saying(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut heard = [0; 2000];
        let _some = socket.read(&mut heard).await.unwrap();
        let _gone = socket.write_all(answer.as_bytes()).await;
        let _until_it_is_left = socket.read_to_end(&mut Vec::new()).await;
    });
    address
}

async fn refusal(address: &str) -> String {
    let connecting = Client::connect(address);
    let refused = soon("the refusal", connecting).await.unwrap_err();
    assert!(matches!(refused, Error::Connect(_)), "{refused:?}");
    refused.to_string()
}

#[tokio::test]
async fn a_first_connection_that_fails_says_where_and_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let told = refusal(&free.to_string()).await;
    assert!(
        told.starts_with(&format!("cannot connect: {free}: ")),
        "{told}"
    );

    const MOVED: &str = "HTTP/1.1 301 Moved\r\nLocation: https://a.test/?secret\r\n\r\n";
    for (scheme, answer, reason) in [
        ("ws", "220 mail.test ESMTP\r\n", "no HTTP is spoken there"),
        (
            "ws",
            "HTTP/1.1 404 No\r\n\r\n",
            "the server answers 404 Not Found instead of opening a WebSocket",
        ),
        (
            "ws",
            MOVED,
            "the server answers 301 Moved Permanently instead of opening a WebSocket, and leads to https://a.test/",
        ),
        #[cfg(feature = "tls")]
        (
            "wss",
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "no TLS is spoken there",
        ),
    ] {
        let address = saying(answer).await;
        let told = refusal(&format!("{scheme}://{address}")).await;
        assert_eq!(told, format!("cannot connect: {address}: {reason}"));
    }
}

#[tokio::test]
async fn a_server_that_listens_and_never_answers_is_given_up() {
    // the system takes the connection for it
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let builder = Client::builder(&address.to_string()).unwrap();
    let connecting = builder.connect_timeout(SHORT).connect();
    let refused = soon("the refusal", connecting).await.unwrap_err();
    let expected = format!("cannot connect: {address}: no answer within 0.01 s");
    assert_eq!(refused.to_string(), expected);
}

#[tokio::test]
async fn a_time_without_end_is_taken_as_such() {
    let server = Scripted::new().await;
    let builder = builder(&server).connect_timeout(Duration::MAX);
    let builder = builder.heartbeat(Duration::MAX, Duration::MAX);
    let connecting = builder.call_timeout(Duration::MAX).connect();
    let (client, _peer) = join(soon("a session", connecting), server.begins()).await;
    assert!(client.is_ok());
}
