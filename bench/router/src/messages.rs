//! 50 WebSockets that each have 10 messages under way, which come back as they went.

use std::io::{ErrorKind, Result};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use measure::{Peer, Sample, say};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use serde_json::Value;

use crate::Options;
use crate::candidate::{Candidate, hostname};

const CONNECTIONS: usize = 50;
const IN_FLIGHT: usize = 10;
const MESSAGE: &str = r#"{"msg":"method","id":"1","method":"echo","params":["hello, world",42]}"#;

struct Run {
    candidate: Candidate,
    peers: Vec<Peer>,
    poll: Poll,
    sample: Sample,
}

pub(crate) fn run(options: &Options, candidates: Vec<Candidate>) -> Result<Vec<Value>> {
    let mut all: Vec<Run> = candidates
        .into_iter()
        .map(Run::new)
        .collect::<Result<_>>()?;
    for _ in 0..options.rounds {
        for run in &mut all {
            run.round(options.seconds)?;
        }
    }
    let baseline = all[0].sample.micros();
    let report = all.iter_mut().map(|run| {
        run.sample.report(
            "websocket messages 50 x 10",
            run.candidate.name,
            Some(baseline),
        )
    });
    Ok(report.map(say).collect())
}

impl Run {
    fn new(candidate: Candidate) -> Result<Self> {
        let poll = Poll::new()?;
        let mut peers = Vec::new();
        for number in 0..CONNECTIONS {
            let peer = Peer::open_as(candidate.address, &hostname(number))?;
            peer.socket.set_nonblocking(true)?;
            let descriptor = peer.socket.as_raw_fd();
            let mut source = SourceFd(&descriptor);
            poll.registry()
                .register(&mut source, Token(number), Interest::READABLE)?;
            peers.push(peer);
        }
        Ok(Self {
            candidate,
            peers,
            poll,
            sample: Sample::default(),
        })
    }

    /// Counts each message once, though it passes the router twice.
    fn round(&mut self, length: Duration) -> Result<()> {
        let (spent, end) = (self.candidate.process.spent()?, Instant::now() + length);
        for peer in &mut self.peers {
            (0..IN_FLIGHT).try_for_each(|_| peer.send(MESSAGE))?;
        }
        let (mut events, mut buffer) = (Events::with_capacity(64), vec![0; 64 * 1024]);
        let (mut answers, mut flying) = (0, CONNECTIONS * IN_FLIGHT);
        while flying > 0 {
            self.poll.poll(&mut events, Some(Duration::from_secs(10)))?;
            if events.is_empty() {
                return Err(ErrorKind::TimedOut.into());
            }
            for event in &events {
                let (peer, mut came) = (&mut self.peers[event.token().0], 0);
                if !peer.read(&mut buffer, |_| came += 1)? {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                answers += came;
                for _ in 0..came {
                    if Instant::now() < end {
                        peer.send(MESSAGE)?;
                    } else {
                        flying -= 1;
                    }
                }
            }
        }
        self.sample
            .add(answers, self.candidate.process.spent()? - spent);
        Ok(())
    }
}
