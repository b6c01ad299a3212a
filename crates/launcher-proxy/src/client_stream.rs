use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::head_timer::Phase;
use crate::request_scanner::{RequestScanner, Scanned};

/// The stream of an HTTP/1.1 client as hyper gets it: without what must be refused, without what may be
/// another protocol's, and not at its end before what was asked has been answered.
pub(crate) struct ClientStream {
    stream: TcpStream,
    /// What was read from the stream, or is put in its place, and was not passed on yet.
    ahead: Vec<u8>,
    scanner: RequestScanner,
    /// What hyper is about.
    phase: Arc<Phase>,
    half_closed: Duration,
    /// Whether the client has to read before all is written to it that was to be.
    blocked: bool,
    /// Since the client has said all that it had to say.
    patience: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    /// `stream`, of which `ahead` has been read. Whoever has said all it had to say, and not yet got all
    /// its answers, gets them for as long as `half_closed`.
    pub(crate) fn new(
        stream: TcpStream,
        ahead: Vec<u8>,
        phase: Arc<Phase>,
        half_closed: Duration,
    ) -> Self {
        Self {
            stream,
            ahead,
            scanner: RequestScanner::default(),
            phase,
            half_closed,
            blocked: false,
            patience: None,
        }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The bare stream, and what was read of it without having been passed on.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        forget_reader(&self.stream);
        (self.stream, self.ahead)
    }

    /// Gives what was read before.
    fn read_ahead(&mut self, buffer: &mut ReadBuf<'_>) {
        let mut ahead = std::mem::take(&mut self.ahead);
        let before = buffer.filled().len();
        let now = ahead.len().min(buffer.remaining());
        buffer.put_slice(&ahead[..now]);
        ahead.drain(..now);
        if self.scanner.has_refused() {
            self.ahead = ahead;
            return;
        }
        self.check(buffer, before);
        if !self.scanner.has_refused() {
            self.ahead.append(&mut ahead);
        }
    }

    /// Leaves in `buffer` what may be passed on of all that was read after `before`.
    fn check(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        self.phase.bytes_came();
        let (passed, bad_head) = match self.scanner.scan(&buffer.filled()[before..]) {
            Scanned::All => return,
            Scanned::UpTo(passed) => {
                self.ahead
                    .extend_from_slice(&buffer.filled()[before + passed..]);
                (passed, false)
            }
            Scanned::BadHead(passed) => (passed, true),
            Scanned::BadBody(passed) => (passed, false),
        };
        buffer.set_filled(before + passed);
        if bad_head {
            let (now, later) = SPOILT.split_at(SPOILT.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.ahead = later.to_vec();
        }
    }

    /// Keeps what comes until it is known whose it is, so that at least an end is noticed.
    fn poll_undecided(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 1024];
        while self.ahead.len() < MOST_AHEAD {
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return self.poll_end(context);
            }
            self.ahead.extend_from_slice(buffer.filled());
        }
        Poll::Pending
    }

    /// A client that has closed its sending side may have left, or wait for its answer still.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !(self.phase.is_answering() && self.scanner.is_between()) {
            return Poll::Ready(Ok(()));
        }
        let time = self.half_closed;
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(time)));
        patience.as_mut().poll(context).map(Ok)
    }
}

/// A stream keeps the waker of whoever last polled it, and with that the memory of his task, ended or not,
/// until another one polls it.
pub(crate) fn forget_reader(stream: &TcpStream) {
    let _ = stream.poll_read_ready(&mut Context::from_waker(Waker::noop()));
}

/// What no parser of requests takes, wherever in a head it stands, and what ends a head.
const SPOILT: &[u8] = b"\0\r\n\r\n";

/// How much is read before it is known whether the protocol is switched.
const MOST_AHEAD: usize = 16 * 1024;

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.scanner.is_undecided() {
            if this.phase.is_answering() {
                return this.poll_undecided(context);
            }
            this.scanner.go_on();
        }
        if !this.ahead.is_empty() {
            this.read_ahead(buffer);
            return Poll::Ready(Ok(()));
        }
        if this.scanner.has_refused() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if buffer.filled().len() == before {
            return this.poll_end(context);
        }
        this.check(buffer, before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.blocked = written.is_pending();
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.blocked = written.is_pending();
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
