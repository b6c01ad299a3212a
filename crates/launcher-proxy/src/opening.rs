use std::io;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::config::Config;
use crate::proxy_protocol;
use crate::visitor::Arrival;

/// A client's connection of which it is known who opened it, and what he speaks.
pub(crate) struct Opened {
    pub(crate) stream: TcpStream,
    /// What has been read for that.
    pub(crate) ahead: Vec<u8>,
    pub(crate) arrival: Arrival,
    pub(crate) version: Version,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// What a client begins with that knows that it can speak HTTP/2 here (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads the first bytes of a connection that was accepted at `since`, for as long as a request head may
/// take. `None`: the client has left, or sent nothing that can be understood.
pub(crate) async fn open(
    stream: TcpStream,
    arrival: Arrival,
    since: Instant,
    config: &Config,
) -> io::Result<Option<Opened>> {
    let until = (since + config.header_read).into();
    match timeout_at(until, read(stream, arrival, config)).await {
        Ok(opened) => opened,
        Err(_) => Ok(None),
    }
}

async fn read(
    mut stream: TcpStream,
    mut arrival: Arrival,
    config: &Config,
) -> io::Result<Option<Opened>> {
    let mut announced = config.proxy_protocol && arrival.trusted;
    // Most connections are told by a glance, which leaves nothing behind and to be passed on.
    let mut glance = [0; PREFACE.len()];
    let length = stream.peek(&mut glance).await?;
    if !announced && version(&glance[..length]) == Some(Version::Http1) {
        return Ok(Some(Opened {
            stream,
            ahead: Vec::new(),
            arrival,
            version: Version::Http1,
        }));
    }
    let mut ahead = Vec::with_capacity(FIRST_READ);
    loop {
        if stream.read_buf(&mut ahead).await? == 0 {
            return Ok(None);
        }
        if announced {
            match proxy_protocol::read(&ahead) {
                Ok(None) => continue,
                Ok(Some(header)) => {
                    ahead.drain(..header.length);
                    if let Some((from, to)) = header.addresses {
                        arrival = Arrival::new(from.ip(), to.port(), &config.trusted_proxies);
                    }
                    announced = false;
                }
                Err(proxy_protocol::NoHeader) => {
                    let peer = arrival.peer;
                    tracing::warn!(%peer, "a trusted proxy did not say for whom it connects (PROXY protocol)");
                    return Ok(None);
                }
            }
        }
        if let Some(version) = version(&ahead) {
            return Ok(Some(Opened {
                stream,
                ahead,
                arrival,
                version,
            }));
        }
    }
}

/// `None`: that cannot be told yet.
fn version(bytes: &[u8]) -> Option<Version> {
    if bytes.starts_with(PREFACE) {
        Some(Version::Http2)
    } else if PREFACE.starts_with(bytes) {
        None
    } else {
        Some(Version::Http1)
    }
}

/// Most request heads are shorter.
const FIRST_READ: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_known_from_the_first_different_byte() {
        for (bytes, expected) in [
            (&b""[..], None),
            (b"P", None),
            (b"PRI * HTTP/2.0\r\n\r\n", None),
            (b"POST / HTTP/1.1", Some(Version::Http1)),
            (b"PRI * HTTP/1.1\r\n", Some(Version::Http1)),
            (b"GET", Some(Version::Http1)),
            (b"\r\n", Some(Version::Http1)),
            (PREFACE, Some(Version::Http2)),
        ] {
            assert_eq!(version(bytes), expected, "{bytes:?}");
        }
    }
}
