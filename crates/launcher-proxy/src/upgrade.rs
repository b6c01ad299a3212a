use std::cell::RefCell;
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::client_stream::{ClientStream, forget_reader};
use crate::meter::Bill;
use crate::progress::Progress;
use crate::settings::SiteSettings;
use crate::sockets::Socket;
use crate::websocket::{Farewell, Follower, Kind};

/// Waits until both sides have switched protocols and passes bytes on, both ways, until both
/// directions have ended. The end of one direction is passed on as such, and the other may go on
/// until it is silent for [`SiteSettings::half_closed`].
///
/// When `socket` is asked to leave, both sides are told so at the end of a frame or a message, and then both
/// connections are closed.
///
/// # Errors
///
/// When either connection breaks. Dropping the future closes both.
pub(crate) async fn relay(
    client: OnUpgrade,
    upstream: OnUpgrade,
    kind: Kind,
    settings: &SiteSettings,
    bill: &Bill,
    socket: &Socket,
) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    let (mut client, from_client) = client_stream(client)?;
    let (mut upstream, from_upstream) = upstream_stream(upstream)?;
    let passed = tokio::select! {
        passed = pass_both(
            (&mut client, from_client),
            (&mut upstream, from_upstream),
            kind,
            settings,
            bill,
            socket,
        ) => passed,
        () = asked_in_vain(socket) => return Ok(()),
    };
    if passed.is_ok() && socket.is_asked() {
        // Closing a socket with something unread resets it, which may overtake the farewell.
        let heard = async { tokio::join!(until_end(&client), until_end(&upstream)) };
        let _is_cut = tokio::time::timeout(LEAVING, heard).await;
    }
    passed
}

async fn pass_both(
    (client, from_client): (&mut TcpStream, Bytes),
    (upstream, from_upstream): (&mut TcpStream, Bytes),
    kind: Kind,
    settings: &SiteSettings,
    bill: &Bill,
    socket: &Socket,
) -> io::Result<()> {
    let (client_reads, client_writes) = client.split();
    let (upstream_reads, upstream_writes) = upstream.split();
    let progress = Progress::default();
    let received = |bytes, messages| {
        progress.step();
        bill.received(bytes);
        bill.messages_received(messages);
    };
    let sent = |bytes, messages| {
        progress.step();
        bill.sent(bytes);
        bill.messages_sent(messages);
    };
    let [to_upstream, to_client] = [kind.to_upstream(), kind.to_client()];
    let there = Direction::new(to_upstream, socket, received);
    let back = Direction::new(to_client, socket, sent);
    let mut there = pin!(there.pass_on(client_reads, upstream_writes, from_client));
    let mut back = pin!(back.pass_on(upstream_reads, client_writes, from_upstream));
    let limit = settings.half_closed;
    let rest = tokio::select! {
        ended = there.as_mut() => ended.map(|()| progress.in_time(limit, back))?.await,
        ended = back.as_mut() => ended.map(|()| progress.in_time(limit, there))?.await,
    };
    rest.unwrap_or(Ok(()))
}

/// Ends some time after `socket` was asked to leave.
async fn asked_in_vain(socket: &Socket) {
    socket.asked().await;
    tokio::time::sleep(LEAVING).await;
}

/// Throws away what still comes.
async fn until_end(stream: &TcpStream) {
    let mut rest = [0; 1024];
    while stream.readable().await.is_ok() {
        match now(stream.try_read(&mut rest)) {
            Ok(None | Some(1..)) => {}
            Ok(Some(0)) | Err(_) => return,
        }
    }
}

/// How long both sides may take to leave once they were told.
const LEAVING: Duration = Duration::from_secs(2);

/// The bare socket, and what had been read beyond the head.
fn client_stream(upgraded: Upgraded) -> io::Result<(TcpStream, Bytes)> {
    let parts = upgraded
        .downcast::<TokioIo<ClientStream>>()
        .map_err(|_| unknown_stream())?;
    let (stream, ahead) = parts.io.into_inner().into_parts();
    let first = match (parts.read_buf, ahead) {
        (first, ahead) if ahead.is_empty() => first,
        (first, ahead) => [&*first, &ahead].concat().into(),
    };
    Ok((stream, first))
}

fn upstream_stream(upgraded: Upgraded) -> io::Result<(TcpStream, Bytes)> {
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| unknown_stream())?;
    let stream = parts.io.into_inner();
    forget_reader(&stream);
    Ok((stream, parts.read_buf))
}

fn unknown_stream() -> io::Error {
    io::Error::other("the upgraded stream is not the one that was given to hyper")
}

/// What comes from one side and goes to the other.
struct Direction<'a, P> {
    follower: Option<Follower>,
    farewell: Option<Farewell>,
    socket: &'a Socket,
    leaving: bool,
    /// Is told of bytes, and of messages that ended in them.
    passing: P,
}

impl<'a, P: Fn(usize, u64)> Direction<'a, P> {
    fn new(farewell: Option<Farewell>, socket: &'a Socket, passing: P) -> Self {
        Self {
            follower: farewell.is_some().then(Follower::default),
            farewell,
            socket,
            leaving: false,
            passing,
        }
    }

    /// Copies to the end of `from` and passes the end on, or up to where the farewell may be said.
    async fn pass_on(
        mut self,
        from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        first: Bytes,
    ) -> io::Result<()> {
        let length = match first.is_empty() {
            true => 0,
            false => self.count(&first),
        };
        to.write_all(&first[..length]).await?;
        drop(first);
        let mut asked = pin!(self.socket.asked());
        loop {
            if self.leaving && self.may_leave() {
                to.write_all(self.last_words()).await?;
                return to.shutdown().await;
            }
            tokio::select! {
                biased;
                ready = from.readable() => ready?,
                () = asked.as_mut(), if !self.leaving => {
                    self.leaving = true;
                    continue;
                }
            }
            match self.pass_on_once(&from, &to)? {
                Passed::All => {}
                Passed::AllBut(rest) => to.write_all(&rest).await?,
                Passed::End => return to.shutdown().await,
            }
            // Neither call above yields while both sockets are busy: let other tasks have their turn.
            tokio::task::coop::consume_budget().await;
        }
    }

    fn pass_on_once(&mut self, from: &ReadHalf<'_>, to: &WriteHalf<'_>) -> io::Result<Passed> {
        BUFFER.with_borrow_mut(|buffer| {
            let Some(length) = now(from.try_read(buffer))? else {
                return Ok(Passed::All);
            };
            if length == 0 {
                return Ok(Passed::End);
            }
            let length = self.count(&buffer[..length]);
            let written = now(to.try_write(&buffer[..length]))?.unwrap_or(0);
            if written == length {
                return Ok(Passed::All);
            }
            Ok(Passed::AllBut(buffer[written..length].to_vec()))
        })
    }

    /// Returns how much of `bytes` may be passed on: nothing after the place where the farewell is said.
    fn count(&mut self, bytes: &[u8]) -> usize {
        self.socket.moved();
        // The other direction may have been quicker to tell, and this may be the answer to that.
        self.leaving = self.leaving || self.socket.is_asked();
        let (length, messages) = match (&mut self.follower, self.farewell) {
            (Some(follower), Some(farewell)) if self.leaving => {
                let place = follower.pass_up_to(farewell.end, bytes);
                (place.unwrap_or(bytes.len()), 0)
            }
            (Some(follower), _) => (bytes.len(), follower.pass(bytes)),
            (None, _) => (bytes.len(), 0),
        };
        (self.passing)(length, messages);
        length
    }

    fn may_leave(&self) -> bool {
        match (&self.follower, self.farewell) {
            (Some(follower), Some(farewell)) => follower.is_at(farewell.end),
            _ => true,
        }
    }

    fn last_words(&self) -> &'static [u8] {
        self.farewell.map_or(&[], |farewell| farewell.bytes)
    }
}

enum Passed {
    All,
    /// The receiver takes no more now.
    AllBut(Vec<u8>),
    End,
}

fn now(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}

thread_local! {
    // One buffer per thread instead of two per connection: most sockets are idle most of the time,
    // and their number decides how much memory the proxy needs.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 16 * 1024]);
}
