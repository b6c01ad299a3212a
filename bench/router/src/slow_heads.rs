//! What visitors notice of thousands of connections that never finish the head of a request.

use std::io::{Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use measure::{Sample, round, say};
use serde_json::{Value, json};

use crate::Options;
use crate::candidate::Candidate;
use crate::visitors::Visitors;

const VISITORS: usize = 100;
const SLOW: usize = 2_000;
/// All of them send a line in this time: fewer than are cut after it.
const LAP: Duration = Duration::from_secs(1);

/// Each candidate is compared with itself: rounds with the slow ones take turns with rounds without.
pub(crate) fn run(options: &Options, candidates: Vec<Candidate>) -> Result<Vec<Value>> {
    let slow = options.scaled(SLOW);
    let mut report = Vec::new();
    for candidate in candidates {
        let mut visitors = Visitors::new(VISITORS, candidate.address)?;
        let (mut alone, mut beside) = (Sample::default(), Sample::default());
        for _ in 0..options.rounds {
            visitors.ask(options.seconds, &mut alone)?;
            let crowd = Crowd::gather(slow, candidate.address)?;
            visitors.ask(options.seconds, &mut beside)?;
            crowd.leave();
        }
        report.push(say(json!({
            "case": format!("{VISITORS} visitors beside {slow} slow heads"), "server": candidate.name,
            "p99_alone_ms": round(alone.percentile(99)), "p99_beside_ms": round(beside.percentile(99)),
            "lost": alone.lost + beside.lost,
        })));
    }
    Ok(report)
}

struct Crowd {
    over: Arc<AtomicBool>,
    sends: JoinHandle<()>,
}

impl Crowd {
    fn gather(number: usize, router: SocketAddr) -> Result<Self> {
        let mut all = (0..number)
            .map(|_| {
                let mut stream = TcpStream::connect(router)?;
                stream.write_all(b"GET / HTTP/1.1\r\nHost: slow.test\r\n")?;
                Ok(stream)
            })
            .collect::<Result<Vec<_>>>()?;
        let over = Arc::new(AtomicBool::new(false));
        let stops = Arc::clone(&over);
        let sends = spawn(move || {
            while !stops.load(Relaxed) {
                for some in all.chunks_mut(number.div_ceil(100)) {
                    for stream in some {
                        // Those that were cut are no longer slow.
                        let _cut = stream.write_all(b"X-Slow: 1\r\n");
                    }
                    sleep(LAP / 100);
                }
            }
        });
        Ok(Self { over, sends })
    }

    fn leave(self) {
        self.over.store(true, Relaxed);
        let _always_ends = self.sends.join();
    }
}
