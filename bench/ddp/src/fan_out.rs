//! One document that many watch changes 20 times a second.

use std::io::{Error, Result};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::server::Server;
use crate::swarm::Swarm;
use measure::Peer;
use measure::Sample;
use measure::say;

use crate::Options;

const PERIOD: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);

/// The subscribers of one server, and who changes what they watch.
pub(crate) struct Audience {
    pub(crate) server: Server,
    pub(crate) swarm: Swarm,
    pub(crate) sample: Sample,
    speaker: Peer,
    sent: Vec<Instant>,
}

/// Against a task for each connection, and against a frame written straight to the sockets.
pub(crate) fn run(options: &Options, size: usize) -> Result<Vec<Value>> {
    let programs = &options.programs;
    let servers = [
        Server::bare(programs, "framed")?,
        Server::bare(programs, "shared")?,
        Server::ddp(programs)?,
    ];
    let case = format!("fan-out {size}");
    compare(
        options,
        &case,
        servers.into_iter().map(|server| (server, size)),
    )
}

/// The same server with 1,000 and with 10,000.
pub(crate) fn growth(options: &Options) -> Result<Vec<Value>> {
    let few = (Server::ddp(&options.programs)?, options.scaled(1_000));
    let many = (Server::ddp(&options.programs)?, options.scaled(10_000));
    compare(options, "growth, 1,000 and 10,000", [few, many])
}

fn compare(
    options: &Options,
    case: &str,
    servers: impl IntoIterator<Item = (Server, usize)>,
) -> Result<Vec<Value>> {
    let audiences = servers
        .into_iter()
        .map(|(server, size)| Audience::new(server, size));
    let mut audiences: Vec<Audience> = audiences.collect::<Result<_>>()?;
    for _ in 0..options.rounds {
        for audience in &mut audiences {
            audience.round(options.seconds)?;
        }
    }
    let baseline = audiences[0].sample.micros();
    let report = audiences.iter_mut().map(|audience| {
        audience
            .sample
            .report(case, audience.server.name, Some(baseline))
    });
    Ok(report.map(say).collect())
}

impl Audience {
    pub(crate) fn new(server: Server, size: usize) -> Result<Self> {
        let swarm = Swarm::subscribers(size, &server, "ticker")?;
        let speaker = match server.name {
            "ddp-server" => Peer::connected(server.address)?,
            _ => Peer::open(server.address)?,
        };
        speaker.socket.set_nonblocking(true)?;
        // the document begins with 0, so that is no change
        let sent = vec![Instant::now()];
        Ok(Self {
            server,
            swarm,
            sample: Sample::default(),
            speaker,
            sent,
        })
    }

    /// Changes the document for this long, and waits until everybody has heard of it.
    pub(crate) fn round(&mut self, length: Duration) -> Result<()> {
        let (spent, begin) = (self.server.spent()?, Instant::now());
        let first = self.sent.len();
        let (mut heard, mut expected) = (0, 0);
        while begin.elapsed() < length {
            let next = Instant::now() + PERIOD;
            self.tick()?;
            expected += (self.swarm.peers.len() - self.swarm.lost) as u64;
            while Instant::now() < next {
                heard += self.hear(next, first)?;
            }
        }
        let patience = Instant::now() + PATIENCE;
        while heard < expected && Instant::now() < patience {
            heard += self.hear(patience, first)?;
        }
        self.sample.lost += expected.saturating_sub(heard);
        self.sample.add(heard, self.server.spent()? - spent);
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        // what it is told itself does not matter, but must not fill its socket
        let open = self.speaker.read(&mut vec![0; 16 * 1024], |_| ())?;
        if !open {
            return Err(Error::other("the speaker was thrown out"));
        }
        let v = self.sent.len();
        self.sent.push(Instant::now());
        self.speaker.send(&format!(
            r#"{{"msg":"method","id":"t","method":"tick","params":[{v}]}}"#
        ))
    }

    /// How many messages of this round were heard.
    fn hear(&mut self, until: Instant, first: usize) -> Result<u64> {
        let (sent, sample, mut heard) = (&self.sent, &mut self.sample, 0);
        self.swarm.turn(until, |message| {
            let tick = tick_of(message.text).filter(|tick| *tick >= first);
            if let Some(sent) = tick.and_then(|tick| sent.get(tick)) {
                sample.latencies.push(sent.elapsed().as_micros() as u32);
                heard += 1;
            }
        })?;
        Ok(heard)
    }
}

/// Which change a message tells of.
fn tick_of(text: &[u8]) -> Option<usize> {
    const BEFORE: &[u8] = br#"{"msg":"changed","collection":"ticks","id":"tick","fields":{"v":"#;
    let rest = text.strip_prefix(BEFORE)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}
