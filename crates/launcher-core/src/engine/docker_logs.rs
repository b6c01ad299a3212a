//! A container's log from Docker.
//!
//! The answer has one entry after the other, each beginning with its time: in frames with a head of
//! eight bytes, or bare where the container has a terminal (Docker's API reference, "Attach to a
//! container", "Stream format"). `bollard` reads it without a bound and takes frames of the daemon's
//! own errors for impossible.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{StreamExt, stream::BoxStream};
use http_body_util::Full;
use hyper::Request;
use jiff::Timestamp;
use tokio_util::codec::Decoder;
use url::form_urlencoded::Serializer;

use super::{EngineError, LogPiece, LogQuery, LogStream, docker_request::ask};

/// Bytes of a frame's head: the stream, three zeros, and the length.
const HEAD: usize = 8;
/// Bytes of an entry's time with the space behind it: Docker writes nine digits of the second always
/// (`jsonmessage.RFC3339NanoFixed`).
const TIME: usize = 31;
/// Docker keeps a longer line in pieces of so many bytes (`daemon/logger/copier.go`).
const PIECE: usize = 16 * 1024;
/// Longest frame that is read, in bytes.
const MAX_FRAME: usize = 1024 * 1024;
/// The stream of the daemon's own errors.
const SYSTEM_ERROR: u8 = 3;

/// `GET /v<version>/containers/<id>/logs`. The stream reads no faster than it is polled.
pub(super) async fn logs(
    host: &str,
    version: &str,
    container: &str,
    query: &LogQuery,
) -> Result<BoxStream<'static, Result<LogPiece, EngineError>>, EngineError> {
    let path = format!("/v{version}/containers/{container}/logs?{}", options(query));
    let request = Request::get(path)
        .body(Full::<Bytes>::default())
        .map_err(|e| EngineError::Failed(e.to_string()))?;
    let response = ask(host, request).await?.success().await?;
    Ok(response.decoded(Entries::default()).boxed())
}

fn options(query: &LogQuery) -> String {
    let mut options = Serializer::new(String::new());
    let mut option = |name, value: &str| {
        options.append_pair(name, value);
    };
    option("timestamps", "1");
    for (name, wanted) in [
        ("stdout", query.stdout),
        ("stderr", query.stderr),
        ("follow", query.follow),
    ] {
        option(name, if wanted { "1" } else { "0" });
    }
    if let Some(tail) = query.tail {
        option("tail", &tail.to_string());
    }
    if let Some(since) = query.since.filter(|since| *since > Timestamp::UNIX_EPOCH) {
        let (seconds, rest) = (since.as_second(), since.subsec_nanosecond());
        option("since", &format!("{seconds}.{rest:09}"));
    }
    options.finish()
}

/// Takes an answer apart.
#[derive(Default)]
struct Entries {
    form: Option<Form>,
    /// The time of the newest entry.
    at: Timestamp,
}

/// How entries are told apart.
#[derive(Clone, Copy)]
enum Form {
    Framed,
    Bare,
}

impl Decoder for Entries {
    type Item = LogPiece;
    type Error = EngineError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<LogPiece>, EngineError> {
        match self.form(buffer) {
            None => Ok(None),
            Some(Form::Framed) => self.frame(buffer),
            Some(Form::Bare) => Ok(self.bare(buffer, false)),
        }
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<LogPiece>, EngineError> {
        match self.form(buffer) {
            Some(Form::Bare) => Ok(self.bare(buffer, true)),
            _ => {
                let last = self.decode(buffer)?;
                if last.is_none() {
                    // A frame that was cut off is lost.
                    buffer.clear();
                }
                Ok(last)
            }
        }
    }
}

impl Entries {
    /// The first byte of a frame is the number of a stream, that of a bare entry a digit.
    fn form(&mut self, buffer: &BytesMut) -> Option<Form> {
        let first = buffer.first().map(|first| match first {
            b'0'..=b'9' => Form::Bare,
            _ => Form::Framed,
        });
        self.form = self.form.or(first);
        self.form
    }

    fn frame(&mut self, buffer: &mut BytesMut) -> Result<Option<LogPiece>, EngineError> {
        let Some(head) = buffer.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [stream, _, _, _, length @ ..] = *head;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_FRAME {
            let text = "the Docker engine sent a log that cannot be read";
            return Err(EngineError::Failed(text.into()));
        }
        if buffer.len() < HEAD + length {
            buffer.reserve(HEAD + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(HEAD);
        let mut entry = buffer.split_to(length);
        if stream == SYSTEM_ERROR {
            let text = String::from_utf8_lossy(&entry);
            return Err(EngineError::Failed(text.trim_end().to_owned()));
        }
        self.take_time(&mut entry);
        let stream = match stream {
            2 => LogStream::Stderr,
            _ => LogStream::Stdout,
        };
        Ok(Some(self.piece(stream, entry)))
    }

    /// An entry of a container with a terminal: up to a line feed, or as long as pieces are.
    fn bare(&mut self, buffer: &mut BytesMut, is_all: bool) -> Option<LogPiece> {
        if buffer.is_empty() || (buffer.len() < TIME && !is_all) {
            return None;
        }
        let head = time(buffer).map_or(0, |_| TIME);
        let text = &buffer[head..];
        let text = &text[..text.len().min(PIECE)];
        let end = text.iter().position(|byte| *byte == b'\n');
        let is_whole = is_all || text.len() == PIECE;
        let length = end.map(|end| end + 1).or(is_whole.then_some(text.len()))?;
        let mut entry = buffer.split_to(head + length);
        self.take_time(&mut entry);
        Some(self.piece(LogStream::Stdout, entry))
    }

    fn take_time(&mut self, entry: &mut BytesMut) {
        if let Some(at) = time(entry) {
            self.at = at;
            entry.advance(TIME);
        }
    }

    fn piece(&self, stream: LogStream, bytes: BytesMut) -> LogPiece {
        let (at, bytes) = (self.at, bytes.freeze());
        LogPiece { stream, at, bytes }
    }
}

/// The time that an entry begins with.
fn time(entry: &[u8]) -> Option<Timestamp> {
    let (time, rest) = entry.split_at_checked(TIME - 1)?;
    let text = std::str::from_utf8(time)
        .ok()
        .filter(|_| rest.first() == Some(&b' '))?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "2026-11-23T16:36:57.289052288Z";
    const SECOND: &str = "2026-11-23T16:36:57.289052289Z";

    /// What comes out when the answer comes in pieces of this size.
    fn read(answer: &[u8], step: usize) -> Result<Vec<(LogStream, String, Vec<u8>)>, EngineError> {
        let (mut entries, mut buffer) = (Entries::default(), BytesMut::new());
        let mut found = Vec::new();
        for part in answer.chunks(step) {
            buffer.extend_from_slice(part);
            while let Some(piece) = entries.decode(&mut buffer)? {
                found.push(piece);
            }
        }
        while let Some(piece) = entries.decode_eof(&mut buffer)? {
            found.push(piece);
        }
        let seen = |piece: LogPiece| {
            (
                piece.stream,
                format!("{:.9}", piece.at),
                piece.bytes.to_vec(),
            )
        };
        Ok(found.into_iter().map(seen).collect())
    }

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend((text.len() as u32).to_be_bytes());
        frame.extend(text.as_bytes());
        frame
    }

    fn piece(stream: LogStream, at: &str, text: &str) -> (LogStream, String, Vec<u8>) {
        (stream, at.to_owned(), text.as_bytes().to_vec())
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let answer = [
            frame(1, &format!("{FIRST} out\n")),
            frame(2, &format!("{SECOND} err\n")),
            frame(1, &format!("{SECOND} ")),
        ]
        .concat();
        let expected = [
            piece(LogStream::Stdout, FIRST, "out\n"),
            piece(LogStream::Stderr, SECOND, "err\n"),
            piece(LogStream::Stdout, SECOND, ""),
        ];
        for step in [1, 7, 8, 9, 40, 1_000] {
            assert_eq!(read(&answer, step).unwrap(), expected, "{step}");
        }
    }

    #[test]
    fn the_daemons_own_error_is_an_error() {
        let answer = frame(3, "Error grabbing logs: unexpected EOF\n");
        let error = read(&answer, 100).unwrap_err();
        assert_eq!(error.to_string(), "Error grabbing logs: unexpected EOF");
        let endless = [1, 0, 0, 0, 255, 255, 255, 255];
        assert!(read(&endless, 100).is_err());
    }

    #[test]
    fn a_terminals_lines_are_read_however_they_are_cut() {
        let long = "x".repeat(PIECE);
        let answer = format!(
            "{FIRST} out\r\n{SECOND} {long}{SECOND} {long}{SECOND} x\r\n{FIRST} {SECOND} is text\r\n{FIRST} end"
        );
        let expected = [
            piece(LogStream::Stdout, FIRST, "out\r\n"),
            piece(LogStream::Stdout, SECOND, &long),
            piece(LogStream::Stdout, SECOND, &long),
            piece(LogStream::Stdout, SECOND, "x\r\n"),
            piece(LogStream::Stdout, FIRST, &format!("{SECOND} is text\r\n")),
            piece(LogStream::Stdout, FIRST, "end"),
        ];
        for step in [30, 31, 40, 20_000, 100_000] {
            assert_eq!(read(answer.as_bytes(), step).unwrap(), expected, "{step}");
        }
    }

    #[test]
    fn the_query_is_as_docker_wants_it() {
        let query = LogQuery {
            since: Some("2026-11-23T16:36:57.000000042Z".parse().unwrap()),
            tail: Some(7),
            follow: true,
            ..LogQuery::default()
        };
        assert_eq!(
            options(&query),
            "timestamps=1&stdout=1&stderr=1&follow=1&tail=7&since=1795451817.000000042"
        );
    }
}
