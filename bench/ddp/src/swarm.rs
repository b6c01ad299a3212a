use std::io::Result;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::os::fd::AsRawFd as _;

use crate::server::Server;
use measure::Peer;

const PING: &[u8] = br#"{"msg":"ping""#;
const PONG: &str = r#"{"msg":"pong"}"#;

/// Many clients of one server, served by one thread.
pub(crate) struct Swarm {
    pub(crate) peers: Vec<Peer>,
    pub(crate) lost: usize,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

/// A message that a client has got.
pub(crate) struct Heard<'a> {
    pub(crate) client: usize,
    pub(crate) text: &'a [u8],
    /// Messages that this client is to send in turn.
    pub(crate) replies: &'a mut Vec<String>,
}

impl Swarm {
    /// So many clients, each made by `open`.
    pub(crate) fn new(
        size: usize,
        server: &Server,
        open: impl Fn(&Server) -> Result<Peer>,
    ) -> Result<Self> {
        let peers: Vec<Peer> = (0..size).map(|_| open(server)).collect::<Result<_>>()?;
        let poll = Poll::new()?;
        for (client, peer) in peers.iter().enumerate() {
            peer.socket.set_nonblocking(true)?;
            let descriptor = peer.socket.as_raw_fd();
            let mut source = SourceFd(&descriptor);
            poll.registry()
                .register(&mut source, Token(client), Interest::READABLE)?;
        }
        let (events, buffer) = (Events::with_capacity(1024), vec![0; 256 * 1024]);
        Ok(Self {
            peers,
            lost: 0,
            poll,
            events,
            buffer,
        })
    }

    /// Subscribers of a publication.
    pub(crate) fn subscribers(size: usize, server: &Server, name: &str) -> Result<Self> {
        Self::new(size, server, |server| {
            let ddp = server.name == "ddp-server";
            let mut peer = if ddp {
                Peer::connected(server.address)?
            } else {
                Peer::open(server.address)?
            };
            peer.subscribe(name)?;
            if ddp || name == "tenDocs" {
                peer.wait_for("ready")?;
            }
            Ok(peer)
        })
    }

    /// Waits up to this time for messages, and gives each one. Pings are answered.
    pub(crate) fn turn(&mut self, until: Instant, mut hear: impl FnMut(Heard<'_>)) -> Result<()> {
        let wait = until.saturating_duration_since(Instant::now());
        // waiting is in whole milliseconds
        let wait = if wait.is_zero() {
            wait
        } else {
            wait + Duration::from_millis(1)
        };
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        let mut replies = Vec::new();
        for event in &self.events {
            let client = event.token().0;
            let peer = &mut self.peers[client];
            let open = peer.read(&mut self.buffer, |text| {
                if text.starts_with(PING) {
                    replies.push(PONG.to_owned());
                } else {
                    hear(Heard {
                        client,
                        text,
                        replies: &mut replies,
                    });
                }
            });
            if !open.unwrap_or(false) {
                self.lost += 1;
                let descriptor = peer.socket.as_raw_fd();
                self.poll
                    .registry()
                    .deregister(&mut SourceFd(&descriptor))?;
                continue;
            }
            for reply in replies.drain(..) {
                peer.send(&reply)?;
            }
        }
        Ok(())
    }
}
