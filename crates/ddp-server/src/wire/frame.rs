use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// A text as a server's frame, which is the same for every client: it is not masked.
pub(super) fn text_frame(text: &str) -> Bytes {
    let header = FrameHeader {
        opcode: OpCode::Data(Data::Text),
        ..FrameHeader::default()
    };
    let length = text.len() as u64;
    let mut frame = Vec::with_capacity(header.len(length) + text.len());
    let _a_vector_takes_all = header.format(length, &mut frame);
    frame.extend_from_slice(text.as_bytes());
    frame.into()
}

/// An empty ping (RFC 6455 §5.5.2).
pub(super) const PING: Bytes = Bytes::from_static(&[0x89, 0]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_header_of_its_length() {
        assert_eq!(text_frame("hi"), &b"\x81\x02hi"[..]);
        assert_eq!(text_frame(&"x".repeat(200))[..4], [0x81, 126, 0, 200]);
        let long = text_frame(&"x".repeat(70_000));
        assert_eq!(long[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
        assert_eq!(long.len(), 70_010);
    }
}
