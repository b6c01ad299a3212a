use bytes::Bytes;
use ddp_protocol::merge_box::Framing;
use ddp_protocol::session::Text;
use sockjs::frame;

use super::CloseCode;
use super::frame::text_frame;

/// A message as a frame. One for many sessions is made once.
pub(super) fn message(framing: Framing, text: Text) -> Bytes {
    match text {
        Text::Own(text) => frame_of(framing, &text),
        Text::Shared(change) => change
            .framed(framing, |text| frame_of(framing, text))
            .clone(),
    }
}

/// What SockJS says first.
pub(super) fn opening() -> Bytes {
    text_frame(frame::OPEN)
}

/// What a client is told before the socket is closed, if it is told by SockJS.
pub(super) fn closing(framing: Framing, code: CloseCode) -> Option<Bytes> {
    let told = framing == Framing::SockJs && code.ends_session();
    told.then(|| text_frame(&frame::close(code.number(), code.reason())))
}

fn frame_of(framing: Framing, text: &str) -> Bytes {
    match framing {
        Framing::WebSocket => text_frame(text),
        Framing::SockJs => text_frame(&frame::messages([text])),
    }
}
