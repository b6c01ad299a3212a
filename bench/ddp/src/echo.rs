//! 50 connections that each have 10 calls in flight.

use std::io::Result;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::server::Server;
use crate::swarm::Swarm;
use measure::Peer;
use measure::Sample;
use measure::say;

use crate::Options;

const CONNECTIONS: usize = 50;
const IN_FLIGHT: usize = 10;

struct Callers {
    server: Server,
    swarm: Swarm,
    sample: Sample,
}

pub(crate) fn run(options: &Options) -> Result<Vec<Value>> {
    let servers = [
        Server::bare(&options.programs, "echo")?,
        Server::ddp(&options.programs)?,
    ];
    let mut all = Vec::new();
    for server in servers {
        let swarm = Swarm::new(CONNECTIONS, &server, |server| match server.name {
            "ddp-server" => Peer::connected(server.address),
            _ => Peer::open(server.address),
        })?;
        all.push(Callers {
            server,
            swarm,
            sample: Sample::default(),
        });
    }
    for _ in 0..options.rounds {
        for callers in &mut all {
            callers.round(options.seconds)?;
        }
    }
    let baseline = all[0].sample.micros();
    let report = all.iter_mut().map(|callers| {
        callers
            .sample
            .report("echo 50 x 10", callers.server.name, Some(baseline))
    });
    Ok(report.map(say).collect())
}

impl Callers {
    fn round(&mut self, length: Duration) -> Result<()> {
        let mut started = vec![[Instant::now(); IN_FLIGHT]; CONNECTIONS];
        for peer in &mut self.swarm.peers {
            (0..IN_FLIGHT).try_for_each(|slot| peer.send(&call(slot)))?;
        }
        let (spent, end) = (self.server.spent()?, Instant::now() + length);
        let (mut answers, mut flying) = (0, CONNECTIONS * IN_FLIGHT);
        while flying > 0 {
            let sample = &mut self.sample;
            self.swarm.turn(end + Duration::from_secs(5), |heard| {
                let Some(slot) = slot(heard.text) else { return };
                let (now, started) = (Instant::now(), &mut started[heard.client][slot]);
                sample.latencies.push((now - *started).as_micros() as u32);
                answers += 1;
                if now < end {
                    *started = now;
                    heard.replies.push(call(slot));
                } else {
                    flying -= 1;
                }
            })?;
        }
        self.sample.add(answers, self.server.spent()? - spent);
        Ok(())
    }
}

/// The id says which of the calls in flight it is.
fn call(slot: usize) -> String {
    format!(r#"{{"msg":"method","id":"{slot}","method":"echo","params":["hello, world",42]}}"#)
}

/// Which call this is the answer of. `updated` is none.
fn slot(answer: &[u8]) -> Option<usize> {
    let (begin, rest) = answer.split_at_checked(r#"{"msg":"method","id":""#.len())?;
    match begin.starts_with(br#"{"msg":"method"#) {
        true => Some(usize::from(rest.first()? - b'0')),
        false if begin.starts_with(br#"{"msg":"result"#) => Some(usize::from(rest.first()? - b'0')),
        false => None,
    }
}
