use std::cell::RefCell;
use std::io;
use std::pin::pin;

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::config::Config;
use crate::head_timer::ClientIo;
use crate::progress::Progress;

/// Waits until both sides have switched protocols and passes bytes on, both ways, until both
/// directions have ended. The end of one direction is passed on as such, and the other may go on
/// until it is silent for [`Config::half_closed`].
///
/// # Errors
///
/// When either connection breaks. Dropping the future closes both.
pub(crate) async fn relay(
    client: OnUpgrade,
    upstream: OnUpgrade,
    config: &Config,
) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    let (mut client, from_client) = client_stream(client)?;
    let (mut upstream, from_upstream) = upstream_stream(upstream)?;
    let (client_reads, client_writes) = client.split();
    let (upstream_reads, upstream_writes) = upstream.split();
    let progress = Progress::default();
    let mut there = pin!(pass_on(
        client_reads,
        upstream_writes,
        from_client,
        &progress
    ));
    let mut back = pin!(pass_on(
        upstream_reads,
        client_writes,
        from_upstream,
        &progress
    ));
    let limit = config.half_closed;
    let rest = tokio::select! {
        ended = there.as_mut() => ended.map(|()| progress.in_time(limit, back))?.await,
        ended = back.as_mut() => ended.map(|()| progress.in_time(limit, there))?.await,
    };
    rest.unwrap_or(Ok(()))
}

/// The bare socket, and what hyper had read beyond the head.
fn client_stream(upgraded: Upgraded) -> io::Result<(TcpStream, Bytes)> {
    let parts = upgraded
        .downcast::<ClientIo>()
        .map_err(|_| unknown_stream())?;
    Ok((parts.io.into_stream(), parts.read_buf))
}

fn upstream_stream(upgraded: Upgraded) -> io::Result<(TcpStream, Bytes)> {
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| unknown_stream())?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

fn unknown_stream() -> io::Error {
    io::Error::other("the upgraded stream is not the one that was given to hyper")
}

/// Copies to the end of `from` and passes the end on.
async fn pass_on(
    from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    first: Bytes,
    progress: &Progress,
) -> io::Result<()> {
    to.write_all(&first).await?;
    drop(first);
    loop {
        from.readable().await?;
        progress.step();
        match pass_on_once(&from, &to)? {
            Passed::All => {}
            Passed::AllBut(rest) => to.write_all(&rest).await?,
            Passed::End => return to.shutdown().await,
        }
        // Neither call above yields while both sockets are busy: let other tasks have their turn.
        tokio::task::coop::consume_budget().await;
    }
}

enum Passed {
    All,
    /// The receiver takes no more now.
    AllBut(Vec<u8>),
    End,
}

fn pass_on_once(from: &ReadHalf<'_>, to: &WriteHalf<'_>) -> io::Result<Passed> {
    BUFFER.with_borrow_mut(|buffer| {
        let Some(length) = now(from.try_read(buffer))? else {
            return Ok(Passed::All);
        };
        if length == 0 {
            return Ok(Passed::End);
        }
        let written = now(to.try_write(&buffer[..length]))?.unwrap_or(0);
        if written == length {
            return Ok(Passed::All);
        }
        Ok(Passed::AllBut(buffer[written..length].to_vec()))
    })
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
