use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// A client's end of a WebSocket, as cheap as it can be: it must not be what is measured.
#[derive(Debug)]
pub struct Peer {
    /// Its connection.
    pub socket: TcpStream,
    /// The begin of a frame that has not come completely.
    rest: Vec<u8>,
}

impl Peer {
    /// Opens a connection. It blocks until it is told otherwise.
    ///
    /// # Errors
    ///
    /// When nothing listens, or what does answers otherwise than with 101.
    pub fn open(address: SocketAddr) -> Result<Self> {
        Self::open_as(address, "bench")
    }

    /// The same with this `Host`.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn open_as(address: SocketAddr, host: &str) -> Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(request(host).as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(Error::other(String::from_utf8_lossy(&head).into_owned()));
        }
        Ok(Self {
            socket,
            rest: Vec::new(),
        })
    }

    /// Opens a connection and says `connect`.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub fn connected(address: SocketAddr) -> Result<Self> {
        let mut peer = Self::open(address)?;
        peer.send(r#"{"msg":"connect","version":"1","support":["1"]}"#)?;
        peer.wait_for("connected")?;
        Ok(peer)
    }

    /// Subscribes.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub fn subscribe(&mut self, name: &str) -> Result<()> {
        self.send(&format!(
            r#"{{"msg":"sub","id":"s","name":"{name}","params":[]}}"#
        ))
    }

    /// Sends a text, all of it.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub fn send(&mut self, text: &str) -> Result<()> {
        let frame = frame(text);
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads messages up to one of this kind; only while the socket blocks.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub fn wait_for(&mut self, msg: &str) -> Result<()> {
        let (begin, mut found) = (format!(r#"{{"msg":"{msg}""#), false);
        let mut buffer = vec![0; 64 * 1024];
        while !found {
            let open = self.read(&mut buffer, |text| {
                found |= text.starts_with(begin.as_bytes());
            })?;
            if !open {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Reads what is there and gives the messages. `false` at the end of the connection.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub fn read(&mut self, buffer: &mut [u8], mut each: impl FnMut(&[u8])) -> Result<bool> {
        let kept = self.rest.len();
        if buffer.len() < kept + 4096 {
            return Err(Error::other("a frame is too long for this client"));
        }
        buffer[..kept].copy_from_slice(&self.rest);
        let read = match self.socket.read(&mut buffer[kept..]) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        let mut bytes = &buffer[..kept + read];
        let mut open = true;
        while let Some((opcode, payload, after)) = split(bytes) {
            match opcode {
                1 => each(payload),
                8 => open = false,
                _ => {}
            }
            bytes = after;
        }
        self.rest.clear();
        self.rest.extend_from_slice(bytes);
        Ok(open)
    }
}

fn request(host: &str) -> String {
    format!(
        "GET /websocket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A masked frame; the mask is zero, so the text is as it was.
#[must_use]
pub fn frame(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut frame = vec![0x81];
    match length {
        0..126 => frame.push(0x80 | length as u8),
        126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// The first frame of a server: opcode, payload, and what comes after.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, length) = match bytes.get(1)? {
        126 => (
            4,
            u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        ),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(*short)),
    };
    let end = head + usize::try_from(length).ok()?;
    Some((bytes[0] & 0x0f, bytes.get(head..end)?, &bytes[end..]))
}
