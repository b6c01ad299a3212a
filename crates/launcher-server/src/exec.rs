//! Terminals over WebSocket: `GET /exec/<ticket>`.
//!
//! Binary messages are what is typed and shown, texts are JSON: `{"resize": [cols, rows]}` and
//! `{"eof": true}` from the client, `{"exit": code}` at the end.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    future::pending,
    stream::{SplitSink, SplitStream},
};
use hyper::upgrade::{self, Upgraded};
use hyper_util::rt::TokioIo;
use launcher_core::terminals::{Admitted, Cause, Ending, Said};
use serde_json::json;
use tokio::{
    io::AsyncReadExt,
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::server::create_response_with_body,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    api::terminal_size,
    http::{Control, foreign_page, nothing},
    origin,
};

/// Longest message of a client, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;
/// Messages of a client that may wait for the program to read, and pieces of output for the client.
const WAITING: usize = 8;
/// A client is pinged so often, and is gone when it says nothing until the next time.
const PING: Duration = Duration::from_secs(30);
/// How long a client may take to hear the end.
const LEAVE: Duration = Duration::from_secs(5);
/// Longest reason of a close frame, in bytes (RFC 6455 §5.5).
const MAX_REASON: usize = 123;

type Socket = WebSocketStream<TokioIo<Upgraded>>;
type Sink = SplitSink<Socket, Message>;

/// A ticket as a path.
pub(crate) fn path(ticket: &str) -> String {
    format!("/exec/{ticket}")
}

/// Whoever has no good ticket learns no more here than anywhere else where nothing is.
pub(crate) async fn open(
    State(control): State<Control>,
    Path(ticket): Path<String>,
    request: Request,
) -> Response {
    if !origin::is_trusted(request.headers(), control.domain.as_ref()) {
        return foreign_page();
    }
    let terminals = control.api.launcher().terminals();
    if !terminals.is_good(&ticket) {
        return nothing();
    }
    let Ok(answer) = create_response_with_body(&request, Body::empty) else {
        return (StatusCode::BAD_REQUEST, "Not a valid websocket request\n").into_response();
    };
    let Some(admitted) = terminals.admit(&ticket) else {
        return nothing();
    };
    let upgrade = upgrade::on(request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => serve(upgraded, admitted).await,
            Err(error) => tracing::debug!(%error, "a terminal's client went away at once"),
        }
    });
    answer
}

/// How the client's side of a terminal ended.
enum Client {
    /// All output was sent.
    Served,
    /// It closed the connection.
    Closed,
    /// It said something that it may not.
    Refused(CloseCode, &'static str),
    /// It is gone.
    Gone,
}

async fn serve(upgraded: Upgraded, admitted: Admitted) {
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let io = TokioIo::new(upgraded);
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let (mut sink, mut stream) = socket.split();
    let (ending, client) = talk(&admitted, &mut sink, &mut stream).await;
    tracing::info!(reason = %ending.cause, code = ending.exit_code, "a terminal was closed");
    let leave = match client {
        Client::Served => timeout(LEAVE, tell_end(&mut sink, &ending)).await,
        Client::Refused(code, reason) => timeout(LEAVE, close(&mut sink, code, reason)).await,
        Client::Closed => timeout(LEAVE, sink.close()).await,
        Client::Gone => return,
    };
    if let (Ok(Ok(())), Ok(socket)) = (leave, sink.reunite(stream)) {
        drop(timeout(LEAVE, drain(socket)).await);
    }
}

/// Joins the terminal and its client, until both are at their end.
async fn talk(
    admitted: &Admitted,
    sink: &mut Sink,
    stream: &mut SplitStream<Socket>,
) -> (Ending, Client) {
    let (say, heard) = mpsc::channel(WAITING);
    let (show, shown) = mpsc::channel(WAITING);
    let signs = Signs::default();
    let terminal = admitted.run(heard, show);
    let client = async {
        tokio::select! {
            left = read(stream, say, &signs) => left,
            left = write(sink, shown, &signs) => left,
        }
    };
    tokio::pin!(terminal, client);
    tokio::select! {
        ending = &mut terminal => {
            let left = timeout(LEAVE, client).await;
            (ending, left.unwrap_or(Client::Gone))
        }
        left = &mut client => (terminal.await, left),
    }
}

/// Signs of a client's life.
struct Signs {
    heard: AtomicBool,
    /// Whether what it said waits for the program, and it is not read meanwhile.
    held_up: AtomicBool,
}

impl Default for Signs {
    fn default() -> Self {
        Self {
            heard: true.into(),
            held_up: false.into(),
        }
    }
}

impl Signs {
    /// Whether there were some since this was last asked.
    fn are_there(&self) -> bool {
        self.heard.swap(false, Relaxed) || self.held_up.load(Relaxed)
    }
}

/// What the client says goes to the program.
async fn read(stream: &mut SplitStream<Socket>, say: mpsc::Sender<Said>, signs: &Signs) -> Client {
    while let Some(message) = stream.next().await {
        signs.heard.store(true, Relaxed);
        let said = match message {
            Ok(Message::Binary(bytes)) => Said::Input(bytes),
            Ok(Message::Text(text)) => match control_message(&text) {
                Some(said) => said,
                None => {
                    let text = "a text is {\"resize\": [cols, rows]} or {\"eof\": true}";
                    return Client::Refused(CloseCode::Unsupported, text);
                }
            },
            Ok(Message::Close(_)) => return Client::Closed,
            Ok(_) => continue,
            Err(error) => return refusal(&error),
        };
        signs.held_up.store(true, Relaxed);
        if say.send(said).await.is_err() {
            // The program has ended; what it said last is still being written.
            return pending().await;
        }
        signs.held_up.store(false, Relaxed);
    }
    Client::Gone
}

fn control_message(text: &str) -> Option<Said> {
    let message: serde_json::Value = serde_json::from_str(text).ok()?;
    if message["eof"] == true {
        return Some(Said::EndOfInput);
    }
    let [cols, rows] = message["resize"].as_array()?.as_slice() else {
        return None;
    };
    terminal_size(cols.as_f64()?, rows.as_f64()?).map(Said::Size)
}

fn refusal(error: &Error) -> Client {
    match error {
        Error::Capacity(_) => Client::Refused(CloseCode::Size, "a message has at most 64 KiB"),
        Error::Utf8(_) => Client::Refused(CloseCode::Invalid, "a text is not UTF-8"),
        Error::Protocol(_) => Client::Refused(CloseCode::Protocol, ""),
        _ => Client::Gone,
    }
}

/// What the program says goes to the client.
async fn write(sink: &mut Sink, mut shown: mpsc::Receiver<Bytes>, signs: &Signs) -> Client {
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            piece = shown.recv() => match piece {
                Some(piece) => Message::Binary(piece),
                None => return Client::Served,
            },
            _ = pings.tick() => match signs.are_there() {
                true => Message::Ping(Bytes::new()),
                false => return Client::Gone,
            },
        };
        if sink.send(message).await.is_err() {
            return Client::Gone;
        }
    }
}

async fn tell_end(sink: &mut Sink, ending: &Ending) -> Result<(), Error> {
    let reason = ending.cause.to_string();
    let text = match ending.cause {
        Cause::Exited => json!({ "exit": ending.exit_code }),
        _ => json!({ "exit": ending.exit_code, "reason": reason }),
    };
    sink.send(Message::text(text.to_string())).await?;
    let code = match ending.cause {
        Cause::Exited | Cause::ContainerEnded | Cause::Left => CloseCode::Normal,
        Cause::Idle(_) | Cause::TooLong => CloseCode::Policy,
        Cause::Stopping | Cause::LauncherEnded => CloseCode::Away,
        Cause::Failed(_) => CloseCode::Error,
    };
    close(sink, code, &reason).await
}

async fn close(sink: &mut Sink, code: CloseCode, reason: &str) -> Result<(), Error> {
    let fits = |end: &usize| reason.is_char_boundary(*end);
    let end = (0..=reason.len().min(MAX_REASON)).rev().find(fits);
    let frame = CloseFrame {
        code,
        reason: reason[..end.unwrap_or(0)].into(),
    };
    sink.send(Message::Close(Some(frame))).await
}

/// Reads what the client still sends: a connection that is closed over it is reset, and the client
/// might never see why.
async fn drain(mut socket: Socket) {
    let mut buffer = [0; 1024];
    while matches!(socket.get_mut().read(&mut buffer).await, Ok(1..)) {}
}

#[cfg(test)]
mod tests {
    use launcher_core::engine::TerminalSize;

    use super::*;

    #[test]
    fn texts_of_clients_are_sizes_or_the_end_of_input() {
        let size = |cols, rows| Some(Said::Size(TerminalSize { cols, rows }));
        assert_eq!(control_message(r#"{"resize": [132, 43]}"#), size(132, 43));
        assert_eq!(control_message(r#"{"resize": [1, 1000]}"#), size(1, 1000));
        assert_eq!(control_message(r#"{"eof": true}"#), Some(Said::EndOfInput));
        for text in [
            "",
            "ls",
            "{}",
            "[]",
            r#"{"eof": 1}"#,
            r#"{"resize": [0, 1]}"#,
            r#"{"resize": [1, 1001]}"#,
            r#"{"resize": [1.5, 1]}"#,
            r#"{"resize": [1]}"#,
            r#"{"resize": ["80", "24"]}"#,
        ] {
            assert_eq!(control_message(text), None, "{text}");
        }
    }
}
