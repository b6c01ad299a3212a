//! The beginning of a DDP session, and its end.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::client::Request,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    attempt::{self, Attempt, Refusal},
    http,
};

const PATH: &str = "/websocket";
/// Versions of DDP that the launcher knows, the best one first.
const VERSIONS: [&str; 3] = ["1", "pre2", "pre1"];
/// Longest message that is read, in bytes: what a server says before `connected` is short.
const MAX_MESSAGE: usize = 64 * 1024;
const BUFFER: usize = 4 * 1024;
/// How long the app may take to answer the closing of the connection.
const LEAVE: Duration = Duration::from_millis(100);

type Socket = WebSocketStream<TcpStream>;

enum Reply {
    Connected,
    /// It would rather speak this version.
    Failed(String),
}

/// Whether it answers `connect` with `connected`, if need be in the version that it asks for.
pub(super) async fn handshake(attempt: &Attempt<'_>) -> Result<(), Refusal> {
    let refused = || Refusal::Other("DDP's `connect` was refused".to_owned());
    let [version, ..] = VERSIONS;
    match connect(attempt, version, &VERSIONS).await? {
        Reply::Connected => Ok(()),
        Reply::Failed(other) if other == version => Err(refused()),
        Reply::Failed(other) => match connect(attempt, &other, &[&other]).await? {
            Reply::Connected => Ok(()),
            Reply::Failed(_) => Err(refused()),
        },
    }
}

async fn connect(attempt: &Attempt<'_>, version: &str, support: &[&str]) -> Result<Reply, Refusal> {
    let stream = attempt.connect().await?;
    let path = attempt.path(PATH);
    let path = http::shown(&path);
    let opened = attempt.within(open(attempt, stream)).await;
    let opened = opened.ok_or_else(|| attempt.too_late(&format!("no WebSocket at {path}")))?;
    let mut socket = opened.map_err(|error| match error {
        Error::Http(answer) => {
            let status = answer.status().as_u16();
            Refusal::Other(format!("the WebSocket at {path} was answered {status}"))
        }
        _ => Refusal::Other(format!("the WebSocket at {path} cannot be opened")),
    })?;
    let connect = json!({ "msg": "connect", "version": version, "support": support });
    let reply = attempt
        .within(say_and_hear(&mut socket, connect.to_string()))
        .await;
    let reply = reply.ok_or_else(|| attempt.too_late("no DDP `connected`"))?;
    let _politeness = attempt.briefly(LEAVE, close(socket)).await;
    reply.ok_or_else(|| Refusal::Other("the WebSocket was closed before DDP's `connected`".into()))
}

async fn open(attempt: &Attempt<'_>, stream: TcpStream) -> Result<Socket, Error> {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let (socket, _answer) =
        client_async_with_config(request(attempt)?, stream, Some(config)).await?;
    Ok(socket)
}

fn request(attempt: &Attempt<'_>) -> Result<Request, Error> {
    let url = format!("ws://{}{}", attempt.host(), attempt.path(PATH));
    let mut request = url.into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&attempt.host())?);
    headers.insert(USER_AGENT, HeaderValue::from_static(attempt::USER_AGENT));
    let proto = HeaderValue::from_static(attempt.proto());
    headers.insert("x-forwarded-proto", proto);
    Ok(request)
}

/// `None`: the connection ended before.
async fn say_and_hear(socket: &mut Socket, message: String) -> Option<Reply> {
    socket.send(Message::text(message)).await.ok()?;
    loop {
        let text = match socket.next().await?.ok()? {
            Message::Text(text) => text,
            Message::Binary(bytes) => bytes.try_into().ok()?,
            Message::Close(_) => return None,
            _ => continue,
        };
        // Other messages may come before: `server_id` of old servers.
        if let Some(reply) = serde_json::from_str(&text).ok().and_then(|m| reply(&m)) {
            return Some(reply);
        }
    }
}

fn reply(message: &Value) -> Option<Reply> {
    match message.get("msg")?.as_str()? {
        "connected" => Some(Reply::Connected),
        "failed" => Some(Reply::Failed(message.get("version")?.as_str()?.to_owned())),
        _ => None,
    }
}

async fn close(mut socket: Socket) {
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    if socket.close(Some(frame)).await.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}
