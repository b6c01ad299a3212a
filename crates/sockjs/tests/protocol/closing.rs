//! How sessions end: by the server, and when a client goes away.

use sockjs::SockJs;
use tokio::sync::mpsc;

use crate::support::{echo, post, serve, session, stream, test_server, xhr_stream};

const CLOSE: &str = "c[3000,\"Go away!\"]\n";
const SECOND: &str = "c[2010,\"Another connection still open\"]\n";
const INTERRUPTED: &str = "c[1002,\"Connection interrupted\"]\n";

#[tokio::test]
async fn close_frame() {
    let server = test_server().await;
    let path = session("/close");
    let mut first = xhr_stream(server, &path).await;
    assert_eq!(first.chunk().await.unwrap(), "o\n");
    assert_eq!(first.chunk().await.unwrap(), CLOSE);
    let mut second = xhr_stream(server, &path).await;
    assert_eq!(second.chunk().await.unwrap(), CLOSE);
    assert_eq!(first.chunk().await, None);
    assert_eq!(second.chunk().await, None);
}

#[tokio::test]
async fn close_request() {
    let server = test_server().await;
    let path = session("/echo");
    let mut first = xhr_stream(server, &path).await;
    assert_eq!(first.chunk().await.unwrap(), "o\n");
    let mut second = xhr_stream(server, &path).await;
    assert_eq!(second.chunk().await.unwrap(), SECOND);
    assert_eq!(second.chunk().await, None);
}

/// A service that says when a connection is over.
async fn reporting_server() -> (std::net::SocketAddr, mpsc::UnboundedReceiver<()>) {
    let (ended, endings) = mpsc::unbounded_channel();
    let service = SockJs::builder("/echo").build(move |connection| {
        let ended = ended.clone();
        async move {
            echo(connection).await;
            ended.send(()).unwrap();
        }
    });
    (serve(vec![service]).await, endings)
}

#[tokio::test]
async fn abort_xhr_streaming() {
    let (server, mut endings) = reporting_server().await;
    let path = session("/echo");
    let mut first = xhr_stream(server, &path).await;
    assert_eq!(first.chunk().await.unwrap(), "o\n");
    let mut second = xhr_stream(server, &path).await;
    assert_eq!(second.chunk().await.unwrap(), SECOND);
    assert_eq!(second.chunk().await, None);

    drop(first);
    endings.recv().await.unwrap();
    let mut third = xhr_stream(server, &path).await;
    assert_eq!(third.chunk().await.unwrap(), INTERRUPTED);
    assert_eq!(third.chunk().await, None);
}

#[tokio::test]
async fn abort_xhr_polling() {
    let (server, mut endings) = reporting_server().await;
    let path = session("/echo") + "/xhr";
    assert_eq!(post(server, &path, "").await.body, "o\n");
    let (first, _) = stream(server, &format!("POST {path}")).await;
    assert_eq!(post(server, &path, "").await.body, SECOND);

    drop(first);
    endings.recv().await.unwrap();
    assert_eq!(post(server, &path, "").await.body, INTERRUPTED);
}
