//! The app behind the routers: answers with as little work as it can.
//!
//! `backend` listens on two free ports of the loopback, which it prints in one line. `GET /` gets 100 bytes,
//! `GET /bytes/N` gets N, a body is read and thrown away, and a WebSocket gets back what it sends.

use std::io::{Error, Result};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SMALL: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n\
    0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const PIECE: usize = 64 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let first = TcpListener::bind("127.0.0.1:0").await?;
    let second = TcpListener::bind("127.0.0.1:0").await?;
    announce(&first, &second)?;
    loop {
        let (socket, _) = tokio::select! {
            accepted = first.accept() => accepted?,
            accepted = second.accept() => accepted?,
        };
        socket.set_nodelay(true)?;
        tokio::spawn(serve(socket));
    }
}

#[allow(clippy::print_stdout, reason = "whoever started this reads the ports")]
fn announce(first: &TcpListener, second: &TcpListener) -> Result<()> {
    let ports = [first, second].map(|listener| listener.local_addr().map(|address| address.port()));
    let [first, second] = ports;
    println!("{} {}", first?, second?);
    Ok(())
}

async fn serve(mut socket: TcpStream) -> Result<()> {
    let mut read = Vec::with_capacity(4096);
    loop {
        let Some(head) = end_of_head(&read) else {
            if socket.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let request = Request::parse(&read[..head])?;
        let rest = read.split_off(head);
        read = rest;
        match request {
            Request::Small => socket.write_all(SMALL.as_bytes()).await?,
            Request::Bytes(bytes) => send(&mut socket, bytes).await?,
            Request::Body(length) => {
                take(&mut socket, &mut read, length).await?;
                socket.write_all(TAKEN.as_bytes()).await?;
            }
            Request::WebSocket => {
                socket.write_all(SWITCHED.as_bytes()).await?;
                return echo(socket, read).await;
            }
        }
    }
}

enum Request {
    Small,
    Bytes(usize),
    Body(usize),
    WebSocket,
}

impl Request {
    fn parse(head: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(head).map_err(Error::other)?;
        let target = text.split(' ').nth(1).unwrap_or_default();
        if let Some(bytes) = target.strip_prefix("/bytes/") {
            return bytes.parse().map(Self::Bytes).map_err(Error::other);
        }
        if target == "/websocket" {
            return Ok(Self::WebSocket);
        }
        if text.starts_with("GET") {
            return Ok(Self::Small);
        }
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse().ok()).flatten()
        });
        length
            .map(Self::Body)
            .ok_or_else(|| Error::other("a body without a length"))
    }
}

async fn send(socket: &mut TcpStream, mut bytes: usize) -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    let piece = vec![b'x'; PIECE];
    while bytes > 0 {
        let now = bytes.min(PIECE);
        socket.write_all(&piece[..now]).await?;
        bytes -= now;
    }
    Ok(())
}

async fn take(socket: &mut TcpStream, read: &mut Vec<u8>, mut length: usize) -> Result<()> {
    let had = read.len().min(length);
    read.drain(..had);
    length -= had;
    let mut piece = vec![0; PIECE];
    while length > 0 {
        let most = length.min(PIECE);
        match socket.read(&mut piece[..most]).await? {
            0 => return Err(Error::other("the body ended early")),
            now => length -= now,
        }
    }
    Ok(())
}

/// The clients' masks are zero, so that a frame is turned around by leaving out its mask.
async fn echo(mut socket: TcpStream, mut read: Vec<u8>) -> Result<()> {
    let mut answer = Vec::new();
    loop {
        let mut done = 0;
        while let Some((payload, after)) = short_frame(&read[done..]) {
            answer.extend_from_slice(&[read[done], payload.len() as u8]);
            answer.extend_from_slice(payload);
            done += after;
        }
        read.drain(..done);
        socket.write_all(&answer).await?;
        answer.clear();
        if socket.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    }
}

/// The payload of a masked frame of at most 125 bytes, and where the next one begins.
fn short_frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let length = usize::from(bytes.get(1)? & 0x7f);
    let payload = bytes.get(6..6 + length)?;
    Some((payload, 6 + length))
}

fn end_of_head(read: &[u8]) -> Option<usize> {
    let end = read.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    end.map(|begin| begin + 4)
}
