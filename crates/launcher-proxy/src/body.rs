use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::config::Config;
use crate::upstream::Connection;

/// A request's body on its way to the upstream, frame by frame.
pub(crate) enum RequestBody {
    Empty,
    Streamed(StreamedRequest),
}

pub(crate) struct StreamedRequest {
    incoming: Incoming,
    progress: Progress,
    /// Present until the body may be sent. Only reading `incoming` makes hyper send the client its
    /// 100, so waiting here passes the upstream's decision on.
    hold: Option<Hold>,
}

pub(crate) type Hold = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Counts the frames of a body, so that who waits for an answer can tell a slow upload from silence.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<AtomicUsize>);

impl Progress {
    pub(crate) fn frames(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, progress: Progress, hold: Option<Hold>) -> Self {
        if incoming.is_end_stream() {
            Self::Empty
        } else {
            Self::Streamed(StreamedRequest {
                incoming,
                progress,
                hold,
            })
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streamed(body) => body.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(body) => body.incoming.size_hint(),
        }
    }
}

impl StreamedRequest {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(hold) = &mut self.hold {
            ready!(hold.as_mut().poll(context));
            self.hold = None;
        }
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        self.progress.0.fetch_add(1, Relaxed);
        Poll::Ready(frame)
    }
}

/// What the client gets: a page of the proxy's own, or the upstream's answer as it comes.
pub(crate) enum ResponseBody {
    Page(Full<Bytes>),
    Forwarded(ForwardedResponse),
}

/// The upstream's answer. Its connection goes back to the pool when the body ended; if it did not,
/// the connection holds the rest of it and is closed.
pub(crate) struct ForwardedResponse {
    incoming: Incoming,
    ended: bool,
    connection: Option<Connection>,
    config: Arc<Config>,
}

impl ForwardedResponse {
    pub(crate) fn new(incoming: Incoming, connection: Connection, config: Arc<Config>) -> Self {
        Self {
            incoming,
            ended: false,
            connection: Some(connection),
            config,
        }
    }
}

impl Drop for ForwardedResponse {
    fn drop(&mut self) {
        let ended = self.ended || self.incoming.is_end_stream();
        if let Some(connection) = self.connection.take().filter(|_| ended) {
            connection.release(&self.config);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Page(page) => Pin::new(page)
                .poll_frame(context)
                .map_err(|never| match never {}),
            Self::Forwarded(answer) => {
                let frame = ready!(Pin::new(&mut answer.incoming).poll_frame(context));
                answer.ended = frame.is_none();
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Page(page) => page.is_end_stream(),
            Self::Forwarded(answer) => answer.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Page(page) => page.size_hint(),
            Self::Forwarded(answer) => answer.incoming.size_hint(),
        }
    }
}
