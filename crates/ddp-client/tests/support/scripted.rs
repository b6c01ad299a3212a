//! A server made of strings, for what a server that works does not do.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::soon;

/// Where the strings come from.
pub(crate) struct Scripted(TcpListener);

/// One connection to it.
pub(crate) struct Peer(WebSocketStream<TcpStream>);

impl Scripted {
    pub(crate) async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) async fn accepts(&self) -> Peer {
        let (socket, _) = soon("a connection", self.0.accept()).await.unwrap();
        Peer(soon("a WebSocket", accept_async(socket)).await.unwrap())
    }

    /// Accepts a connection and gives it a session.
    pub(crate) async fn begins(&self) -> Peer {
        let mut peer = self.accepts().await;
        let connect = peer.hears().await.unwrap();
        assert!(connect.contains(r#""msg":"connect""#), "{connect}");
        peer.says(r#"{"msg":"connected","session":"S"}"#).await;
        peer
    }
}

impl Peer {
    pub(crate) async fn says(&mut self, message: &str) {
        self.0.send(Message::text(message)).await.unwrap();
    }

    /// The next message; `None` when the client has taken its leave.
    pub(crate) async fn hears(&mut self) -> Option<String> {
        match soon("a message", self.0.next()).await {
            Some(Ok(Message::Text(text))) => Some(text.as_str().to_owned()),
            _ => None,
        }
    }
}
