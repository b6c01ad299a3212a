use std::task::{Context, Poll, ready};

use ddp_protocol::session::Transmit;
use sockjs::Connection;

use super::{Arrived, CloseCode, Ending, Wire};

/// More is not given to the connection while so much waits.
const ROOM_BYTES: usize = 64 * 1024;

/// A client of SockJS that comes with one HTTP request after the other.
#[derive(Debug)]
pub(crate) struct Polling {
    connection: Connection,
    gone: bool,
}

impl Polling {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            gone: false,
        }
    }
}

impl Wire for Polling {
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Arrived> {
        self.connection
            .poll_recv(context)
            .map(|message| match message {
                Some(text) => Arrived::Text(text.into()),
                None => Arrived::End(Ending::Gone),
            })
    }

    fn has_room(&self) -> bool {
        self.connection.queued_bytes() < ROOM_BYTES
    }

    fn push(&mut self, message: Transmit) {
        if let Transmit::Text(text) = message {
            self.gone |= self.connection.start_send(text.into_string()).is_err();
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        if !self.gone && !self.has_room() {
            self.gone = ready!(self.connection.poll_drained(context)).is_err();
        }
        Poll::Ready(if self.gone { Err(Ending::Gone) } else { Ok(()) })
    }

    fn close(&mut self, code: CloseCode) {
        self.connection.close(code.number(), code.reason());
    }

    fn poll_closed(&mut self, _context: &mut Context<'_>) -> Poll<()> {
        // whoever comes again is told by the transport
        Poll::Ready(())
    }

    fn waiting_bytes(&self) -> usize {
        self.connection.queued_bytes()
    }
}
