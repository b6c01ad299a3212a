//! A server on a free port and a client that speaks to it in frames.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use ddp_server::{Config, Server};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::HeaderValue;

#[path = "../../examples/test_service/service.rs"]
mod service;

pub(crate) use service::Options;

/// How long anything may take before a test has failed. Nothing waits this long otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what has to happen.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

/// A server that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) task: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl Running {
    pub(crate) async fn start(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = server.clone();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _dropped = stopped.await;
            };
            running.run(listener, stopped).await;
        });
        Self {
            server,
            address,
            task,
            stop: Some(stop),
        }
    }

    pub(crate) async fn test_service(config: Config) -> Self {
        Self::test_service_with(config, Options::default()).await
    }

    pub(crate) async fn test_service_with(config: Config, options: Options) -> Self {
        Self::start(service::server(config, options)).await
    }

    /// Asks the server to end, and waits until it has.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        soon("the end of the server", self.task).await.unwrap();
    }

    pub(crate) async fn client(&self) -> Client {
        Client::open(self.address, "/websocket", &[])
            .await
            .unwrap()
            .0
    }

    /// A client that has said `connect`.
    pub(crate) async fn connected(&self) -> Client {
        let mut client = self.client().await;
        client
            .send(&json!({ "msg": "connect", "version": "1", "support": ["1"] }))
            .await;
        assert_eq!(client.recv().await["msg"], "connected");
        client
    }
}

pub(crate) struct Client(pub(crate) WebSocketStream<TcpStream>);

/// What a client is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    Message(Value),
    Closed(Option<u16>),
}

impl Client {
    pub(crate) async fn open(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(Self, Response), tokio_tungstenite::tungstenite::Error> {
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let socket = TcpStream::connect(address).await?;
        let (socket, response) = tokio_tungstenite::client_async(request, socket).await?;
        Ok((Self(socket), response))
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.send_text(message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: String) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send_binary(&mut self, text: String) {
        self.0
            .send(Message::binary(text.into_bytes()))
            .await
            .unwrap();
    }

    /// The next message or the close.
    /// Waits until the connection is closed; gives the code.
    pub(crate) async fn next_until_closed(&mut self) -> Option<u16> {
        loop {
            if let Frame::Closed(code) = self.next().await {
                return code;
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Frame {
        match soon("a message", self.0.next()).await {
            Some(Ok(Message::Text(text))) => Frame::Message(read_json(&text)),
            Some(Ok(Message::Close(frame))) => {
                // sends the answer, for which the server waits
                let _server_is_gone = self.0.flush().await;
                Frame::Closed(frame.map(|frame| frame.code.into()))
            }
            Some(Ok(other)) => panic!("unexpected {other:?}"),
            Some(Err(_)) | None => Frame::Closed(None),
        }
    }

    /// The next message.
    pub(crate) async fn recv(&mut self) -> Value {
        match self.next().await {
            Frame::Message(message) => message,
            closed @ Frame::Closed(_) => panic!("{closed:?} instead of a message"),
        }
    }

    /// Messages up to and with one of this kind.
    pub(crate) async fn recv_until(&mut self, msg: &str) -> Vec<Value> {
        let mut messages = vec![self.recv().await];
        while messages.last().is_some_and(|message| message["msg"] != msg) {
            messages.push(self.recv().await);
        }
        messages
    }

    /// Calls a method and gives its `result` message.
    pub(crate) async fn call(&mut self, name: &str, params: Value) -> Value {
        self.send(&json!({ "msg": "method", "id": "call", "method": name, "params": params }))
            .await;
        let mut messages = self.recv_until("result").await;
        messages.pop().unwrap()
    }

    /// Subscribes and waits until the subscription is ready.
    pub(crate) async fn subscribe(&mut self, name: &str) -> Vec<Value> {
        self.send(&json!({ "msg": "sub", "id": name, "name": name }))
            .await;
        self.recv_until("ready").await
    }
}

/// What stands for the one unpaired surrogate of the recordings, which serde_json cannot read.
pub(crate) const SURROGATE: &str = "\u{10ffff}\u{e000}";

pub(crate) fn read_json(text: &str) -> Value {
    serde_json::from_str(&text.replace("\\ud800", SURROGATE)).unwrap()
}
