//! Servers that do nothing but what cannot be left out: the baselines.
//!
//! `bare MODE` listens on a free port of the loopback and prints it. Modes: `echo` answers every
//! message with itself; `shared` gives one text to a task for each connection; `framed` makes the
//! frame once and writes it straight to the sockets; `ten` sends ten documents and waits.

use std::io::{Error, Result};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, broadcast};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// The same as `ddp-server` has.
const READ_BUFFER: usize = 512;

type Socket = WebSocketStream<TcpStream>;

#[derive(Clone)]
struct Everybody {
    texts: broadcast::Sender<Utf8Bytes>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener)?;
    let (texts, _) = broadcast::channel(64);
    let everybody = Everybody {
        texts,
        sockets: Arc::default(),
    };
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        match mode.as_str() {
            "echo" => drop(tokio::spawn(echo(socket))),
            "shared" => drop(tokio::spawn(shared(socket, everybody.clone()))),
            "framed" => drop(tokio::spawn(framed(socket, everybody.clone()))),
            "ten" => drop(tokio::spawn(ten(socket))),
            _ => return Err(Error::other("usage: bare echo|shared|framed|ten")),
        }
    }
}

#[allow(clippy::print_stdout, reason = "whoever started this reads the port")]
fn announce(listener: &TcpListener) -> Result<()> {
    println!("{}", listener.local_addr()?.port());
    Ok(())
}

async fn accept(socket: TcpStream) -> Option<Socket> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let accepted = tokio_tungstenite::accept_async_with_config(socket, Some(config)).await;
    accepted.ok()
}

async fn echo(socket: TcpStream) -> Option<()> {
    let mut socket = accept(socket).await?;
    while let Some(Ok(message)) = socket.next().await {
        socket.send(message).await.ok()?;
    }
    Some(())
}

async fn shared(socket: TcpStream, everybody: Everybody) -> Option<()> {
    let mut texts = everybody.texts.subscribe();
    let mut socket = accept(socket).await?;
    loop {
        tokio::select! {
            message = socket.next() => {
                if let Message::Text(text) = message?.ok()? && let Some(changed) = changed(&text) {
                    let _nobody_listens = everybody.texts.send(changed.into());
                }
            }
            text = texts.recv() => socket.send(Message::Text(text.ok()?)).await.ok()?,
        }
    }
}

/// Whoever says something speaks for all: the others' sockets are only written to.
async fn framed(socket: TcpStream, everybody: Everybody) -> Option<()> {
    let mut socket = accept(socket).await?;
    while let Some(Ok(Message::Text(text))) = socket.next().await {
        if text.contains("\"sub\"") {
            everybody.sockets.lock().await.push(socket.into_inner());
            return Some(());
        }
        let Some(changed) = changed(&text) else {
            continue;
        };
        let frame = frame(&changed);
        for socket in everybody.sockets.lock().await.iter_mut() {
            socket.write_all(&frame).await.ok()?;
        }
    }
    Some(())
}

async fn ten(socket: TcpStream) -> Option<()> {
    let mut socket = accept(socket).await?;
    for n in 0..10 {
        let text = format!(
            r#"{{"msg":"added","collection":"ten","id":"doc{n}","fields":{{"n":{n},"text":"one of ten documents"}}}}"#
        );
        socket.feed(Message::text(text)).await.ok()?;
    }
    socket
        .send(Message::text(r#"{"msg":"ready","subs":["s"]}"#))
        .await
        .ok()?;
    while let Some(Ok(_)) = socket.next().await {}
    Some(())
}

/// What `ddp-server` would send when `tick` is called.
fn changed(call: &str) -> Option<String> {
    if !call.contains("\"tick\"") {
        return None;
    }
    let v = call.split_once("\"params\":[")?.1.split_once(']')?.0;
    Some(format!(
        r#"{{"msg":"changed","collection":"ticks","id":"tick","fields":{{"v":{v},"t":{{"$date":1700000000000}}}}}}"#
    ))
}

fn frame(text: &str) -> Bytes {
    let header = FrameHeader {
        opcode: OpCode::Data(Data::Text),
        ..FrameHeader::default()
    };
    let mut frame = Vec::new();
    let _a_vector_takes_all = header.format(text.len() as u64, &mut frame);
    frame.extend_from_slice(text.as_bytes());
    frame.into()
}
