use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use thiserror::Error;

use crate::assets::Copy;
use crate::config::Config;
use crate::idle_alarm::IdleAlarm;
use crate::limited::Limited;
use crate::load::OpenRequest;
use crate::meter::{Bill, Record};
use crate::progress::Progress;
use crate::settings::SiteSettings;
use crate::sockjs_farewell::{Leaving, Step};
use crate::upstream::Answering;

/// Why a body does not go on.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Broken(hyper::Error),
    #[error(transparent)]
    Limited(#[from] Limited),
    #[error("the upstream has stopped sending")]
    Silent,
    #[error("the session is to go elsewhere")]
    Left,
}

/// A request's body on its way to the upstream, frame by frame.
pub(crate) enum RequestBody {
    Empty,
    /// In a box, since what is small is moved often, and most requests have none.
    Streamed(Box<StreamedRequest>),
    /// Never sent, since the upstream has answered without wanting it. Stays unfinished: an error
    /// would end the connection before the answer has been read.
    Refused,
}

pub(crate) struct StreamedRequest {
    incoming: Incoming,
    progress: Progress,
    alarm: IdleAlarm,
    /// How many bytes more are allowed.
    room: u64,
    bill: Option<Bill>,
    /// Present until the upstream has decided. Only reading `incoming` makes hyper send the client
    /// its 100, so waiting here passes the decision on.
    hold: Option<Hold>,
}

/// Ends when it is known whether a body may be sent.
pub(crate) type Hold = Pin<Box<dyn Future<Output = Verdict> + Send>>;

pub(crate) enum Verdict {
    Send,
    Refuse,
}

impl RequestBody {
    pub(crate) fn new(
        incoming: Incoming,
        progress: Progress,
        hold: Option<Hold>,
        settings: &SiteSettings,
    ) -> Self {
        if incoming.is_end_stream() {
            Self::Empty
        } else {
            Self::Streamed(Box::new(StreamedRequest {
                incoming,
                progress,
                alarm: IdleAlarm::new(settings.body_idle),
                room: settings.body_bytes.unwrap_or(u64::MAX),
                bill: None,
                hold,
            }))
        }
    }

    /// Whose bytes they are, now that it is known. Without it they are not counted.
    pub(crate) fn count_for(&mut self, bill: impl FnOnce() -> Bill) {
        if let Self::Streamed(streamed) = self {
            streamed.bill = Some(bill());
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        match body {
            Self::Empty => Poll::Ready(None),
            Self::Refused => Poll::Pending,
            Self::Streamed(streamed) => match ready!(streamed.poll_hold(context)) {
                Verdict::Send => streamed.poll_frame(context),
                Verdict::Refuse => {
                    *body = Self::Refused;
                    Poll::Pending
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(body) => body.incoming.is_end_stream(),
            Self::Refused => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(body) => body.incoming.size_hint(),
            Self::Refused => SizeHint::default(),
        }
    }
}

impl StreamedRequest {
    fn poll_hold(&mut self, context: &mut Context<'_>) -> Poll<Verdict> {
        let Some(hold) = &mut self.hold else {
            return Poll::Ready(Verdict::Send);
        };
        let verdict = ready!(hold.as_mut().poll(context));
        self.hold = None;
        Poll::Ready(verdict)
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) else {
            ready!(self.alarm.poll(context));
            return Poll::Ready(Some(Err(Limited::BodyTooSlow.into())));
        };
        self.progress.step();
        self.alarm.step();
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len);
            if let Some(bill) = &self.bill {
                bill.received(length);
            }
            let Some(room) = self.room.checked_sub(length as u64) else {
                return Poll::Ready(Some(Err(Limited::BodyTooLarge.into())));
            };
            self.room = room;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
    }
}

/// What the client gets: a page of the proxy's own, or the upstream's answer as it comes.
pub(crate) enum ResponseBody {
    Page(Full<Bytes>),
    Forwarded(ForwardedResponse),
}

impl ResponseBody {
    pub(crate) fn empty() -> Self {
        Self::Page(Full::default())
    }
}

/// The upstream's answer. Its connection goes back to the pool when the body ended; if it did not,
/// the connection holds the rest of it and is closed.
pub(crate) struct ForwardedResponse {
    incoming: Incoming,
    ended: bool,
    alarm: IdleAlarm,
    connection: Option<Answering>,
    config: Arc<Config>,
    record: Record,
    /// Keeps it for others.
    copy: Option<Box<Copy>>,
    /// Present where a SockJS session receives.
    leaving: Option<Box<Leaving>>,
    /// Dropped last, when the connection has been given back.
    open: OpenRequest,
}

impl ForwardedResponse {
    pub(crate) fn new(
        incoming: Incoming,
        connection: Answering,
        config: Arc<Config>,
        idle: Duration,
        open: OpenRequest,
        record: Record,
    ) -> Self {
        Self {
            incoming,
            ended: false,
            alarm: IdleAlarm::new(idle),
            connection: Some(connection),
            config,
            record,
            copy: None,
            leaving: None,
            open,
        }
    }

    /// Of which `copy` is made as it passes.
    pub(crate) fn copied_by(mut self, copy: Option<Box<Copy>>) -> Self {
        self.copy = copy;
        self.copy_if_ended();
        self
    }

    fn copy(&mut self, frame: Option<&Result<Frame<Bytes>, hyper::Error>>) {
        let Some(copy) = self.copy.take() else {
            return;
        };
        match frame {
            None => copy.finish(),
            // What has trailers, or breaks off, is left.
            Some(frame) => {
                let data = frame.as_ref().ok().and_then(Frame::data_ref);
                self.copy = data.and_then(|data| copy.with(data));
                self.copy_if_ended();
            }
        }
    }

    /// Nobody asks for the end of a body whose length was known.
    fn copy_if_ended(&mut self) {
        if self.incoming.is_end_stream() {
            self.copy(None);
        }
    }

    /// The answer ends when the session is asked to.
    pub(crate) fn until_asked(mut self, leaving: Option<Leaving>) -> Self {
        self.leaving = leaving.map(Box::new);
        self
    }
}

impl Drop for ForwardedResponse {
    fn drop(&mut self) {
        let ended = self.ended || self.incoming.is_end_stream();
        if let Some(connection) = self.connection.take().filter(|_| ended) {
            connection.release(&self.config);
        }
        self.record.ended(self.open.upstream());
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Page(page) => Pin::new(page)
                .poll_frame(context)
                .map_err(|never| match never {}),
            Self::Forwarded(answer) => {
                let leaving = answer.leaving.as_mut();
                match leaving.map_or(Step::Pass, |leaving| leaving.poll(context)) {
                    Step::Pass => {}
                    Step::Say(farewell) => return Poll::Ready(Some(Ok(Frame::data(farewell)))),
                    Step::End => return Poll::Ready(None),
                    Step::Cut => return Poll::Ready(Some(Err(BodyError::Left))),
                }
                let Poll::Ready(frame) = Pin::new(&mut answer.incoming).poll_frame(context) else {
                    ready!(answer.alarm.poll(context));
                    return Poll::Ready(Some(Err(BodyError::Silent)));
                };
                answer.alarm.step();
                answer.ended = frame.is_none();
                if answer.copy.is_some() {
                    answer.copy(frame.as_ref());
                }
                if let Some(data) = frame.as_ref().and_then(|f| f.as_ref().ok()?.data_ref()) {
                    answer.record.sent(answer.open.upstream(), data.len());
                    if let Some(leaving) = &mut answer.leaving {
                        leaving.passed(data);
                    }
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
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
