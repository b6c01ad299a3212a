//! From the pieces that an engine keeps to lines.

use jiff::Timestamp;

use super::AppLogLine;
use crate::engine::{LogPiece, LogStream};

/// Puts the pieces of one container's log together. Lines of the two streams do not mix.
pub(super) struct Assembler {
    container: String,
    /// Longest text, in bytes.
    max_line: usize,
    unfinished: [Unfinished; 2],
}

/// A line whose end has not come yet.
#[derive(Default)]
struct Unfinished {
    bytes: Vec<u8>,
    at: Option<Timestamp>,
    is_truncated: bool,
}

impl Assembler {
    pub(super) fn new(container: String, max_line: usize) -> Self {
        Self {
            container,
            max_line,
            unfinished: Default::default(),
        }
    }

    /// Takes a piece; gives the line that it ends.
    pub(super) fn add(&mut self, piece: &LogPiece) -> Option<AppLogLine> {
        let unfinished = &mut self.unfinished[piece.stream as usize];
        let line = piece.bytes.strip_suffix(b"\n");
        unfinished.at.get_or_insert(piece.at);
        unfinished.take(line.unwrap_or(&piece.bytes), self.max_line);
        line.and_then(|_| self.end(piece.stream))
    }

    /// The lines that have no end: the program has ended.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = AppLogLine> {
        let streams = [LogStream::Stdout, LogStream::Stderr];
        streams.into_iter().filter_map(|stream| self.end(stream))
    }

    fn end(&mut self, stream: LogStream) -> Option<AppLogLine> {
        let line = std::mem::take(&mut self.unfinished[stream as usize]);
        let at = line.at?;
        let bytes = match line.is_truncated {
            true => whole_characters(&line.bytes),
            false => line.bytes.strip_suffix(b"\r").unwrap_or(&line.bytes),
        };
        Some(AppLogLine {
            container: self.container.clone(),
            stream,
            at,
            text: String::from_utf8_lossy(bytes).into_owned(),
            is_truncated: line.is_truncated,
        })
    }
}

impl Unfinished {
    fn take(&mut self, bytes: &[u8], max_line: usize) {
        let room = max_line - self.bytes.len();
        self.is_truncated |= bytes.len() > room;
        self.bytes.extend(&bytes[..bytes.len().min(room)]);
    }
}

/// Without the beginning of a character that was cut in two.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    let cut = bytes.utf8_chunks().last().map_or(0, |chunk| {
        let is_begun = std::str::from_utf8(chunk.invalid());
        match is_begun {
            Err(error) if error.error_len().is_none() => chunk.invalid().len(),
            _ => 0,
        }
    });
    &bytes[..bytes.len() - cut]
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn piece(stream: LogStream, second: i64, bytes: &[u8]) -> LogPiece {
        LogPiece {
            stream,
            at: Timestamp::from_second(second).unwrap(),
            bytes: Bytes::copy_from_slice(bytes),
        }
    }

    /// Time, text, and whether it was cut, of all lines.
    fn lines(max_line: usize, pieces: &[LogPiece]) -> Vec<(i64, String, bool)> {
        let mut assembler = Assembler::new("c".into(), max_line);
        let mut lines: Vec<_> = pieces.iter().filter_map(|p| assembler.add(p)).collect();
        lines.extend(assembler.rest());
        let seen = |line: AppLogLine| (line.at.as_second(), line.text, line.is_truncated);
        lines.into_iter().map(seen).collect()
    }

    fn line(at: i64, text: &str) -> (i64, String, bool) {
        (at, text.to_owned(), false)
    }

    #[test]
    fn streams_do_not_mix_and_characters_are_put_together() {
        let pieces = [
            piece(LogStream::Stdout, 1, b"\x1b[31mred\x1b[0m \xc3"),
            piece(LogStream::Stderr, 2, b"err\r\n"),
            piece(LogStream::Stdout, 1, b"\xa4 end\n"),
            piece(LogStream::Stdout, 3, b"\n"),
            piece(LogStream::Stdout, 4, b"\xff \xe2\x82"),
        ];
        assert_eq!(
            lines(100, &pieces),
            [
                line(2, "err"),
                line(1, "\x1b[31mred\x1b[0m ä end"),
                line(3, ""),
                line(4, "\u{fffd} \u{fffd}"),
            ]
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_marked() {
        let pieces = [
            piece(LogStream::Stdout, 1, "1234€".as_bytes()),
            piece(LogStream::Stdout, 1, "€\n".as_bytes()),
            piece(LogStream::Stdout, 2, b"12345678\n"),
        ];
        let cut = (1, "1234€".to_owned(), true);
        assert_eq!(lines(8, &pieces), [cut, line(2, "12345678")]);
        let cut = (1, "1234".to_owned(), true);
        assert_eq!(lines(6, &pieces)[0], cut);
    }
}
