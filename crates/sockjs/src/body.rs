//! The bodies of responses. Those of the transports take their frames from the session as the
//! client reads them: nothing piles up here.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::SizeHint;

use crate::encoding::Encoding;
use crate::frame;
use crate::session::{Closing, Frame, Next, ReceiverId};
use crate::shared::{Role, Shared};

/// The body of a response. It never fails.
///
/// For hyper it is a body as any other; axum wants `axum::body::Body::new(body)`. When the body of
/// a transport is dropped before its end, the client is taken to be gone.
pub struct Body(Content);

enum Content {
    Whole(Bytes),
    Frames(Frames),
}

impl Body {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Content::Whole(bytes.into()))
    }

    /// What a session has to say, until the response is long enough.
    pub(crate) fn receiving(
        session: Arc<Shared>,
        id: ReceiverId,
        encoding: Encoding,
        limit: usize,
    ) -> Self {
        Self::frames(encoding, limit, Source::Session(Receiver { session, id }))
    }

    /// A response that has only to tell why there is no other.
    pub(crate) fn refusing(closing: Closing, encoding: Encoding) -> Self {
        Self::frames(encoding, 1, Source::Refusal(closing))
    }

    fn frames(encoding: Encoding, limit: usize, source: Source) -> Self {
        let limit = if encoding.one_frame() { 1 } else { limit };
        Self(Content::Frames(Frames {
            prelude: encoding.prelude(),
            encoding,
            left: limit,
            source,
        }))
    }
}

struct Frames {
    prelude: Option<String>,
    encoding: Encoding,
    /// Bytes that this response may still have. It is complete with the frame that uses them up.
    left: usize,
    source: Source,
}

enum Source {
    Session(Receiver),
    Refusal(Closing),
    Ended,
}

/// The place of a session's receiver.
struct Receiver {
    session: Arc<Shared>,
    id: ReceiverId,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let id = self.id;
        self.session
            .with(|session| session.interrupted(id, Instant::now()));
    }
}

impl Frames {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(prelude) = self.prelude.take() {
            return Poll::Ready(Some(prelude.into()));
        }
        let next = match &self.source {
            Source::Session(receiver) => match receiver.poll(context) {
                Poll::Ready(next) => next,
                Poll::Pending => return Poll::Pending,
            },
            Source::Refusal(closing) => Some(Frame::Close(closing.clone())),
            Source::Ended => None,
        };
        let Some(next) = next else {
            self.source = Source::Ended;
            return Poll::Ready(None);
        };
        Poll::Ready(Some(self.chunk(next)))
    }

    fn chunk(&mut self, next: Frame) -> Bytes {
        let last = matches!(next, Frame::Close(_));
        let chunk = self.encoding.encode(&text(next));
        self.left = self.left.saturating_sub(chunk.len());
        if last || self.left == 0 {
            self.complete();
        }
        chunk.into()
    }

    fn complete(&mut self) {
        if let Source::Session(receiver) = &self.source {
            let id = receiver.id;
            receiver
                .session
                .with(|session| session.detach(id, Instant::now()));
        }
        self.source = Source::Ended;
    }
}

impl Receiver {
    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.session.poll(Role::Receiver, context, |session| {
            match session.poll_frame(self.id) {
                Next::Send(frame) => Poll::Ready(Some(frame)),
                Next::Wait => Poll::Pending,
                Next::End => Poll::Ready(None),
            }
        })
    }
}

/// A frame as the protocol writes it.
pub(crate) fn text(frame: Frame) -> String {
    match frame {
        Frame::Open => frame::OPEN.to_owned(),
        Frame::Messages(messages) => frame::messages(messages),
        Frame::Heartbeat => frame::HEARTBEAT.to_owned(),
        Frame::Close(Closing { code, reason }) => frame::close(code, &reason),
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let chunk = match &mut self.0 {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(std::mem::take(bytes))),
            Content::Frames(frames) => frames.poll_chunk(context),
        };
        chunk.map(|chunk| chunk.map(|chunk| Ok(http_body::Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Frames(frames) => {
                frames.prelude.is_none() && matches!(frames.source, Source::Ended)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Frames(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}
