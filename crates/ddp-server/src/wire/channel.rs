//! Bytes between a socket and the WebSocket on it: whole frames out, anything in.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::position::Position;

/// What is read at once, into a buffer that all connections of a thread share: one that says
/// nothing needs none.
const READ_BYTES: usize = 16 * 1024;
/// The most frames that are given to the kernel at once.
const FRAMES: usize = 32;
/// A list of up to so many is kept for the next ones.
const KEPT: usize = 4;
/// More frames are not taken while these wait.
const ROOM_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// A socket with what is on its way out.
///
/// Only whole frames are taken, so those of the session and those with which the WebSocket
/// answers by itself (pong, close) cannot be torn apart by each other.
#[derive(Debug)]
pub(super) struct Channel<S> {
    socket: S,
    out: VecDeque<Bytes>,
    out_bytes: usize,
    takes_all: bool,
    /// What was read and not asked for yet.
    ahead: Bytes,
    /// Up to where it was given to who asked.
    position: Position,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    pub(super) fn new(socket: S, ahead: Bytes) -> Self {
        Self {
            socket,
            out: VecDeque::new(),
            out_bytes: 0,
            takes_all: false,
            ahead,
            position: Position::default(),
        }
    }

    /// Lets a synchronous reader and writer use the socket.
    pub(super) fn with<'a, 'b>(&'a mut self, context: &'a mut Context<'b>) -> Attended<'a, 'b, S> {
        Attended {
            channel: self,
            context,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.out_bytes < ROOM_BYTES && self.out.len() < FRAMES
    }

    /// From now on every frame is taken: the last one must be.
    pub(super) fn take_all(&mut self) {
        self.takes_all = true;
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.out_bytes
    }

    /// How far whoever they are for has read the client's frames.
    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        self.out_bytes += frame.len();
        self.out.push_back(frame);
    }

    /// Writes what waits. Ready when nothing is left.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.out.is_empty() {
            let written = ready!(self.poll_write(context))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        if self.out.capacity() > KEPT {
            self.out = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and throws away, until the other end closes.
    pub(super) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.ahead = Bytes::new();
        loop {
            match ready!(self.poll_read(context, <[u8]>::len)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<usize>> {
        let socket = Pin::new(&mut self.socket);
        if let [frame] = self.out.make_contiguous() {
            return socket.poll_write(context, frame);
        }
        let mut slices = [IoSlice::new(&[]); FRAMES];
        let waiting = self.out.iter().take(FRAMES);
        let count = slices
            .iter_mut()
            .zip(waiting)
            .map(|(slice, frame)| *slice = IoSlice::new(frame))
            .count();
        socket.poll_write_vectored(context, &slices[..count])
    }

    fn advance(&mut self, mut written: usize) {
        self.out_bytes -= written;
        while let Some(frame) = self.out.front_mut() {
            if written < frame.len() {
                return frame.advance(written);
            }
            written -= frame.len();
            self.out.pop_front();
        }
    }

    fn poll_read<R>(
        &mut self,
        context: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> R,
    ) -> Poll<Result<R>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer))?;
            Poll::Ready(Ok(take(buffer.filled())))
        })
    }
}

/// A [`Channel`] in the hands of somebody who is polled.
pub(super) struct Attended<'a, 'b, S> {
    channel: &'a mut Channel<S>,
    context: &'a mut Context<'b>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Read for Attended<'_, '_, S> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let channel = &mut *self.channel;
        let size = if channel.ahead.is_empty() {
            let read = channel.poll_read(self.context, |bytes| {
                let size = bytes.len().min(into.len());
                into[..size].copy_from_slice(&bytes[..size]);
                (size, Bytes::copy_from_slice(&bytes[size..]))
            });
            let Poll::Ready(read) = read else {
                return Err(ErrorKind::WouldBlock.into());
            };
            let (size, ahead) = read?;
            channel.ahead = ahead;
            size
        } else {
            let size = channel.ahead.len().min(into.len());
            channel.ahead.copy_to_slice(&mut into[..size]);
            size
        };
        if channel.ahead.is_empty() {
            channel.ahead = Bytes::new();
        }
        channel.position.advance(&into[..size]);
        Ok(size)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Attended<'_, '_, S> {
    /// Takes all or nothing: whoever floods the server with pings and reads no answer is not
    /// kept in memory.
    fn write(&mut self, frames: &[u8]) -> Result<usize> {
        if !self.channel.has_room() && !self.channel.takes_all {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.channel.push(Bytes::copy_from_slice(frames));
        Ok(frames.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
