use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// The longest header of a client's frame (RFC 6455 §5.2).
const LONGEST_HEADER: usize = 14;

/// Where in a client's stream of frames somebody is who reads it in pieces.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// The begin of a header that has not come completely.
    header: [u8; LONGEST_HEADER],
    header_length: u8,
    /// A message has begun of which more frames are to come.
    fragmented: bool,
    /// What is left of the frame.
    payload: u64,
}

impl Position {
    /// Whether all that was read are whole messages.
    pub(super) fn is_between_messages(&self) -> bool {
        self.header_length == 0 && self.payload == 0 && !self.fragmented
    }

    /// These bytes were read.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload == 0 {
                bytes = self.read_header(bytes);
                continue;
            }
            let length = bytes
                .len()
                .min(usize::try_from(self.payload).unwrap_or(usize::MAX));
            self.payload -= length as u64;
            bytes = &bytes[length..];
        }
    }

    /// Gives what comes after the header.
    fn read_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let known = usize::from(self.header_length);
        let length = LONGEST_HEADER.min(known + bytes.len());
        self.header[known..length].copy_from_slice(&bytes[..length - known]);
        let mut header = Cursor::new(&self.header[..length]);
        match FrameHeader::parse(&mut header) {
            Ok(Some((frame, payload))) => {
                let end = usize::try_from(header.position()).unwrap_or(length);
                self.begin(&frame, payload);
                &bytes[end - known..]
            }
            Ok(None) => {
                self.header_length = length as u8;
                &[]
            }
            Err(_) => {
                // whoever reads this closes the connection: no message comes after it
                self.payload = u64::MAX;
                &[]
            }
        }
    }

    fn begin(&mut self, frame: &FrameHeader, payload: u64) {
        self.header_length = 0;
        self.payload = payload;
        if let OpCode::Data(Data::Text | Data::Binary | Data::Continue) = frame.opcode {
            self.fragmented = !frame.is_final;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame.
    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(0x80 | length as u8),
            _ => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.resize(frame.len() + 4 + length, 0x81);
        frame
    }

    #[test]
    fn the_end_of_a_message_is_seen_however_it_comes() {
        // text, a text in three frames with a ping between them, an empty text
        let frames = [
            (frame(0x81, 10), true),
            (frame(0x01, 300), false),
            (frame(0x00, 0), false),
            (frame(0x89, 3), false),
            (frame(0x80, 126), true),
            (frame(0x81, 0), true),
        ];
        let mut ends = vec![(0, true)];
        let mut stream = Vec::new();
        for (frame, between) in frames {
            stream.extend(frame);
            ends.push((stream.len(), between));
        }
        for step in 1..20 {
            let (mut position, mut read) = (Position::default(), 0);
            for bytes in stream.chunks(step) {
                position.advance(bytes);
                read += bytes.len();
                let between = ends.contains(&(read, true));
                assert_eq!(position.is_between_messages(), between, "{read} by {step}");
            }
        }
    }

    #[test]
    fn after_what_is_no_frame_nothing_is_known() {
        let mut position = Position::default();
        position.advance(&[0x83, 0x80]);
        position.advance(&frame(0x81, 3));
        assert!(!position.is_between_messages());
    }
}
