use memchr::memchr;

/// Follows the bytes of an HTTP/1.1 client, and knows where each request begins and ends. It refuses what
/// hyper accepts or repairs, and what another server could understand differently (RFC 9112 §2.2, §6.1,
/// §6.3, §7.1): lines that end in a bare LF, a length beside a coding or a second length, codings other than
/// `chunked`, and careless chunks. All else it leaves to hyper, which refuses it.
///
/// Pure: how the bytes are cut into pieces makes no difference.
#[derive(Debug, Default)]
pub(crate) struct RequestScanner {
    state: State,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Whether there is more of that line than is kept.
    long: bool,
    /// Whether what has come of that line ends in CR.
    cr: bool,
    head: Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Before a request line.
    #[default]
    Between,
    Head,
    Length(u64),
    ChunkSize,
    Chunk(u64),
    /// The CRLF after a chunk.
    ChunkEnd,
    Trailers,
    /// The request asks for another protocol; what follows may be that one's.
    Undecided,
    Refused,
}

/// What the head so far says of what follows it.
#[derive(Debug, Default)]
struct Head {
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// What to do with bytes that were scanned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// All of them go to hyper.
    All,
    /// So many do. The rest is for who knows by then whether the protocol was switched.
    UpTo(usize),
    /// So many do, and then nothing more: the head in which they end is refused.
    BadHead(usize),
    /// The same of a body.
    BadBody(usize),
}

/// The longest line of those that decide where a request ends.
const LONGEST: usize = 256;

/// A line that is not as it must be.
struct Bad;

impl RequestScanner {
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match self.state {
                State::Undecided => return Scanned::UpTo(at),
                State::Refused => return Scanned::BadBody(at),
                State::Length(left) => self.skip(left, rest.len(), State::Length, State::Between),
                State::Chunk(left) => self.skip(left, rest.len(), State::Chunk, State::ChunkEnd),
                lines => match self.next_line(rest) {
                    Ok(length) => length,
                    Err(Bad) => {
                        self.state = State::Refused;
                        return match lines {
                            State::Between | State::Head => Scanned::BadHead(at),
                            _ => Scanned::BadBody(at),
                        };
                    }
                },
            };
        }
        Scanned::All
    }

    /// Whether all of what has come belongs to whole requests.
    pub(crate) fn is_between(&self) -> bool {
        match self.state {
            State::Between => self.line.is_empty(),
            State::Undecided => true,
            _ => false,
        }
    }

    pub(crate) fn is_undecided(&self) -> bool {
        self.state == State::Undecided
    }

    pub(crate) fn has_refused(&self) -> bool {
        self.state == State::Refused
    }

    /// The protocol was not switched.
    pub(crate) fn go_on(&mut self) {
        if self.is_undecided() {
            self.state = State::Between;
        }
    }

    fn skip(&mut self, left: u64, there: usize, on: fn(u64) -> State, then: State) -> usize {
        let now = usize::try_from(left).map_or(there, |left| left.min(there));
        let left = left - now as u64;
        self.state = match (left, then) {
            (1.., _) => on(left),
            (0, State::Between) => self.ended(),
            (0, then) => then,
        };
        now
    }

    /// Reads the line that `bytes` begins or goes on with, or keeps what there is of it.
    fn next_line(&mut self, bytes: &[u8]) -> Result<usize, Bad> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.keep(bytes);
            return Ok(bytes.len());
        };
        let piece = &bytes[..end];
        let cr = if end > 0 {
            piece[end - 1] == b'\r'
        } else {
            self.cr
        };
        if !cr {
            return Err(Bad);
        }
        self.state = if self.line.is_empty() {
            self.line_ended(&piece[..end - 1], false)?
        } else {
            self.keep(piece);
            let mut line = std::mem::take(&mut self.line);
            let long = std::mem::take(&mut self.long);
            self.cr = false;
            if !long {
                line.pop();
            }
            self.line_ended(&line, long)?
        };
        Ok(end + 1)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (LONGEST + 1).saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..room.min(bytes.len())]);
        self.long |= bytes.len() > room;
        if let Some(last) = bytes.last() {
            self.cr = *last == b'\r';
        }
    }

    /// `long`: only the beginning of the line is there.
    fn line_ended(&mut self, line: &[u8], long: bool) -> Result<State, Bad> {
        let long = long || line.len() > LONGEST;
        match self.state {
            // Empty lines before a request are to be ignored (RFC 9112 §2.2).
            State::Between if line.is_empty() => Ok(State::Between),
            State::Between => {
                self.head = Head::default();
                Ok(State::Head)
            }
            State::Head if line.is_empty() => Ok(self.head_ended()),
            State::Head => self.head.line(line, long).map(|()| State::Head),
            State::ChunkSize => match chunk_size(line).filter(|_| !long).ok_or(Bad)? {
                0 => Ok(State::Trailers),
                size => Ok(State::Chunk(size)),
            },
            State::ChunkEnd if line.is_empty() => Ok(State::ChunkSize),
            State::Trailers if line.is_empty() => Ok(self.ended()),
            State::Trailers => Ok(State::Trailers),
            _ => Err(Bad),
        }
    }

    fn head_ended(&self) -> State {
        match self.head.length {
            _ if self.head.chunked => State::ChunkSize,
            Some(length @ 1..) => State::Length(length),
            _ => self.ended(),
        }
    }

    fn ended(&self) -> State {
        if self.head.upgrade {
            State::Undecided
        } else {
            State::Between
        }
    }
}

impl Head {
    fn line(&mut self, line: &[u8], long: bool) -> Result<(), Bad> {
        // Nearly all lines end here.
        let Some(b'c' | b'C' | b't' | b'T' | b'u' | b'U') = line.first() else {
            return Ok(());
        };
        let Some(colon) = memchr(b':', line) else {
            return Ok(());
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let first = self.length.is_none() && !self.chunked && !long;
            self.length = Some(length(value).filter(|_| first).ok_or(Bad)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let first = self.length.is_none() && !self.chunked && !long;
            if !first || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Bad);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        }
        Ok(())
    }
}

/// Digits and nothing else, and not more than fit.
fn length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| digits)?
        .parse()
        .ok()
}

/// `chunk-size [ chunk-ext ]` of RFC 9112 §7.1, without control characters.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit());
    let (digits, extension) = line.split_at(end.unwrap_or(line.len()));
    let extends = extension.is_empty() || extension.trim_ascii_start().first() == Some(&b';');
    let printed = extension
        .iter()
        .all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    let digits = std::str::from_utf8(digits)
        .ok()
        .filter(|_| extends && printed)?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of `bytes`, however they are cut in two: how many pass, and whether they are refused.
    fn scanned(bytes: &[u8]) -> (usize, bool, State) {
        let whole = scan_all(&[bytes]);
        for cut in 0..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let (passed, refused, state) = scan_all(&[first, second]);
            assert_eq!((refused, state), (whole.1, whole.2), "cut at {cut}");
            assert!(passed >= whole.0, "cut at {cut}");
        }
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(scan_all(&single).2, whole.2);
        whole
    }

    fn scan_all(pieces: &[&[u8]]) -> (usize, bool, State) {
        let mut scanner = RequestScanner::default();
        let mut passed = 0;
        for piece in pieces {
            match scanner.scan(piece) {
                Scanned::All => passed += piece.len(),
                Scanned::UpTo(some) => return (passed + some, false, scanner.state),
                Scanned::BadHead(some) | Scanned::BadBody(some) => {
                    return (passed + some, true, scanner.state);
                }
            }
        }
        (passed, false, scanner.state)
    }

    #[track_caller]
    fn ends(bytes: &str, state: State) {
        assert_eq!(
            scanned(bytes.as_bytes()),
            (bytes.len(), false, state),
            "{bytes:?}"
        );
    }

    #[test]
    fn it_knows_where_requests_end() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let sized = "POST / HTTP/1.1\r\ncontent-length:\t5 \r\n\r\na\nb\rc";
        let coded = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;x=\"y\"\r\na\n\r\n\n\r\n0\r\nX-T: 1\r\n\r\n";
        for request in [
            get,
            sized,
            coded,
            "\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        ] {
            ends(request, State::Between);
        }
        ends(&[coded, sized, get, coded, get].concat(), State::Between);
        ends(&[coded, "GET / HT"].concat(), State::Between);
        ends(&[get, "GET / HTTP/1.1\r\nX"].concat(), State::Head);
        ends(
            "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n12345",
            State::Length(4),
        );
        ends(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n12345",
            State::Chunk(5),
        );
    }

    #[test]
    fn what_is_wrong_is_refused_where_its_line_ends() {
        let head = "POST / HTTP/1.1\r\n";
        for lines in [
            "X: y\r\n\n",
            "X: y\n\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "Transfer-Encoding: gzip, chunked\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n5 \r\n12345\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n",
        ] {
            let (_, refused, state) = scanned([head, lines].concat().as_bytes());
            assert!(refused && state == State::Refused, "{lines:?}");
        }
        let spaces = " ".repeat(LONGEST);
        let long = format!("{head}Content-Length: {spaces}1\r\n\r\nx");
        assert!(scanned(long.as_bytes()).1);
    }

    #[test]
    fn an_upgrade_leaves_open_what_follows() {
        let upgrade = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
        let more = [upgrade, "frames\n\n"].concat();
        assert_eq!(
            scanned(more.as_bytes()),
            (upgrade.len(), false, State::Undecided)
        );
        let with_body = "GET / HTTP/1.1\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\n\n\nmore";
        let passed = with_body.len() - 4;
        assert_eq!(
            scanned(with_body.as_bytes()),
            (passed, false, State::Undecided)
        );
        let mut scanner = RequestScanner::default();
        assert_eq!(scanner.scan(upgrade.as_bytes()), Scanned::All);
        scanner.go_on();
        assert_eq!(scanner.scan(b"GET / HTTP/1.1\n"), Scanned::BadHead(0));
    }

    #[test]
    fn a_long_line_is_not_kept_whole() {
        let long = format!(
            "GET /{} HTTP/1.1\r\nX: {}\r\n\r\n",
            "x".repeat(9000),
            "y".repeat(9000)
        );
        ends(&long, State::Between);
        let mut scanner = RequestScanner::default();
        for piece in long.as_bytes().chunks(1000) {
            scanner.scan(piece);
            assert!(scanner.line.len() <= LONGEST + 1);
        }
    }
}
