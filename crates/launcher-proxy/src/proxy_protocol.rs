use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The header that a proxy sends before all else (HAProxy's `doc/proxy-protocol.txt`, versions 1 and 2).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Its own length.
    pub(crate) length: usize,
    /// Who connected to the proxy, and to which address. Absent if the proxy does not know, or speaks
    /// for itself, as it does to ask whether anybody is there.
    pub(crate) addresses: Option<(SocketAddr, SocketAddr)>,
}

/// What begins so is not such a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoHeader;

const TEXT: &[u8] = b"PROXY ";
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header in text.
const LONGEST_TEXT: usize = 107;
/// The most that is read after the first 16 bytes of a binary header: addresses, and what else the
/// proxy has to say.
const LONGEST_BINARY: usize = 2048;

/// Reads the header at the beginning of `bytes`. `None`: it has not all come yet.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    let begins_with = |begin: &[u8]| {
        let length = begin.len().min(bytes.len());
        begin[..length] == bytes[..length]
    };
    if begins_with(TEXT) {
        text(bytes)
    } else if begins_with(BINARY) {
        binary(bytes)
    } else {
        Err(NoHeader)
    }
}

fn text(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    let start = &bytes[..bytes.len().min(LONGEST_TEXT)];
    let Some(end) = start.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() < LONGEST_TEXT {
            Ok(None)
        } else {
            Err(NoHeader)
        };
    };
    let line = std::str::from_utf8(&bytes[TEXT.len()..end]).map_err(|_| NoHeader)?;
    let fields: Vec<_> = line.split(' ').collect();
    let addresses = match fields[..] {
        ["UNKNOWN", ..] => None,
        ["TCP4", from, to, from_port, to_port] => Some((
            socket::<Ipv4Addr>(from, from_port)?,
            socket::<Ipv4Addr>(to, to_port)?,
        )),
        ["TCP6", from, to, from_port, to_port] => Some((
            socket::<Ipv6Addr>(from, from_port)?,
            socket::<Ipv6Addr>(to, to_port)?,
        )),
        _ => return Err(NoHeader),
    };
    let length = end + 2;
    Ok(Some(Header { length, addresses }))
}

fn socket<A: std::str::FromStr + Into<IpAddr>>(
    ip: &str,
    port: &str,
) -> Result<SocketAddr, NoHeader> {
    let ip = ip.parse::<A>().map_err(|_| NoHeader)?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits).ok_or(NoHeader)?;
    Ok(SocketAddr::new(ip.into(), port))
}

fn binary(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    let Some([command, family, high, low]) = bytes.get(12..16) else {
        return Ok(None);
    };
    let rest = usize::from(u16::from_be_bytes([*high, *low]));
    if rest > LONGEST_BINARY {
        return Err(NoHeader);
    }
    let Some(told) = bytes.get(16..16 + rest) else {
        return Ok(None);
    };
    let addresses = match (command, family) {
        (0x21, 0x11) => Some(sockets(told, |ip: [u8; 4]| Ipv4Addr::from(ip).into())?),
        (0x21, 0x21) => Some(sockets(told, |ip: [u8; 16]| Ipv6Addr::from(ip).into())?),
        // The proxy for itself; datagrams, Unix sockets, and what the future may bring.
        (0x20 | 0x21, _) => None,
        _ => return Err(NoHeader),
    };
    let length = 16 + rest;
    Ok(Some(Header { length, addresses }))
}

/// Two addresses of `N` bytes, and two ports.
fn sockets<const N: usize>(
    mut told: &[u8],
    ip: fn([u8; N]) -> IpAddr,
) -> Result<(SocketAddr, SocketAddr), NoHeader> {
    let (from, to) = (take::<N>(&mut told)?, take::<N>(&mut told)?);
    let (from_port, to_port) = (take(&mut told)?, take(&mut told)?);
    let socket = |address, port| SocketAddr::new(ip(address), u16::from_be_bytes(port));
    Ok((socket(from, from_port), socket(to, to_port)))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], NoHeader> {
    let (taken, rest) = bytes.split_first_chunk::<N>().ok_or(NoHeader)?;
    *bytes = rest;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(from: &str, to: &str) -> Option<(SocketAddr, SocketAddr)> {
        Some((from.parse().unwrap(), to.parse().unwrap()))
    }

    /// Reads `header` in one piece and before other bytes, and knows no beginning of it.
    fn read_whole(header: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
        for length in 0..header.len() {
            assert_eq!(read(&header[..length]), Ok(None), "{length}");
        }
        let more = [header, b"GET / HTTP/1.1\r\n"].concat();
        let found = read(&more).unwrap().unwrap();
        assert_eq!(found.length, header.len());
        found.addresses
    }

    fn binary_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [BINARY, &[command, family], &length, rest].concat()
    }

    #[test]
    fn the_text_form_is_read() {
        assert_eq!(
            read_whole(b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n"),
            addresses("192.0.2.7:56324", "10.0.0.1:443")
        );
        assert_eq!(
            read_whole(b"PROXY TCP6 2001:db8::7 ::1 1 80\r\n"),
            addresses("[2001:db8::7]:1", "[::1]:80")
        );
        assert_eq!(read_whole(b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(read_whole(b"PROXY UNKNOWN what ever\r\n"), None);
    }

    #[test]
    fn the_binary_form_is_read() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0xdc, 4, 1, 0xbb];
        assert_eq!(
            read_whole(&binary_header(0x21, 0x11, &v4)),
            addresses("192.0.2.7:56324", "10.0.0.1:443")
        );
        let with_more = [&v4[..], b"\x04\x00\x01x"].concat();
        assert_eq!(
            read_whole(&binary_header(0x21, 0x11, &with_more)),
            addresses("192.0.2.7:56324", "10.0.0.1:443")
        );
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (7, 1, 9, 80);
        assert_eq!(
            read_whole(&binary_header(0x21, 0x21, &v6)),
            addresses("[::7]:9", "[::1]:80")
        );
        assert_eq!(read_whole(&binary_header(0x20, 0, b"")), None);
        assert_eq!(read_whole(&binary_header(0x21, 0x31, &[0; 216])), None);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 +1 2\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n",
            b"PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n",
            b"PROXY \xff\r\n",
            too_long.as_bytes(),
            &binary_header(0x11, 0x11, &[0; 12]),
            &binary_header(0x21, 0x11, &[0; 11]),
            &binary_header(0x21, 0x11, &[0; 2049]),
        ] {
            assert_eq!(read(bytes), Err(NoHeader), "{bytes:?}");
        }
    }
}
