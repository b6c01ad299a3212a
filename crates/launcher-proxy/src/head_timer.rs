use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::Config;

/// The timer of one client connection. hyper starts it when it begins to wait for a request head and
/// stops it when it has one, so on its own it cannot tell an idle client from one that sends its head
/// slowly. This one can: it sleeps for the idle time, and from the first byte on for the header time.
pub(crate) struct HeadTimer {
    idle_keep_alive: Duration,
    header_read: Duration,
    /// Until the timer is first started: a new connection gets the header time, not the idle time.
    new: AtomicBool,
    /// Set by [`ClientIo`] on every read, cleared when the timer is started.
    head_begun: Arc<AtomicBool>,
}

impl HeadTimer {
    /// The timer and the stream that belongs to it.
    pub(crate) fn pair(stream: TcpStream, config: &Config) -> (Self, ClientIo) {
        let head_begun = Arc::new(AtomicBool::new(false));
        let io = ClientIo {
            stream: TokioIo::new(stream),
            head_begun: Arc::clone(&head_begun),
        };
        let Config {
            idle_keep_alive,
            header_read,
            ..
        } = *config;
        let timer = Self {
            idle_keep_alive,
            header_read,
            new: AtomicBool::new(true),
            head_begun,
        };
        (timer, io)
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        self.head_begun.store(false, Relaxed);
        let new = self.new.swap(false, Relaxed);
        let time = if new {
            self.header_read
        } else {
            self.idle_keep_alive
        };
        Box::pin(HeadSleep {
            sleep: Box::pin(tokio::time::sleep(time)),
            header_read: (!new).then_some(self.header_read),
            head_begun: Arc::clone(&self.head_begun),
        })
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(Duration::ZERO)
    }
}

struct HeadSleep {
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// What the first byte leaves for the rest; taken when it has come.
    header_read: Option<Duration>,
    head_begun: Arc<AtomicBool>,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.head_begun.load(Relaxed)
            && let Some(time) = self.header_read.take()
        {
            self.sleep
                .as_mut()
                .reset(tokio::time::Instant::now() + time);
        }
        self.sleep.as_mut().poll(context)
    }
}

/// A client's stream that tells its [`HeadTimer`] when bytes have come.
pub(crate) struct ClientIo {
    stream: TokioIo<TcpStream>,
    head_begun: Arc<AtomicBool>,
}

impl ClientIo {
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.head_begun.store(true, Relaxed);
        Poll::Ready(result)
    }
}

impl Write for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
