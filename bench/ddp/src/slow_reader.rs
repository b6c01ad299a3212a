//! A client that does not read what it asks for, while a thousand others go on.

use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fan_out::Audience;
use crate::server::Server;
use measure::Peer;
use measure::say;
use measure::{Sample, round};

use crate::Options;

pub(crate) fn run(options: &Options) -> Result<Vec<Value>> {
    let server = Server::ddp(&options.programs)?;
    let mut audience = Audience::new(server, options.scaled(1_000))?;
    audience.round(options.seconds)?;
    let (mut calm, mut troubled) = (Sample::default(), Sample::default());
    let before = audience.server.peak()?;
    for _ in 0..options.rounds {
        audience.sample = Sample::default();
        audience.round(options.seconds)?;
        calm.merge(std::mem::take(&mut audience.sample));
        let deaf = Deaf::start(&audience.server)?;
        audience.round(options.seconds)?;
        deaf.stop();
        troubled.merge(std::mem::take(&mut audience.sample));
    }
    let peak = audience.server.peak()?;
    let mut calm = calm.report("others, all read", "ddp-server", None);
    let mut report = troubled.report("others, one does not read", "ddp-server", None);
    report["peak_mib_more"] = json!(round((peak.saturating_sub(before)) as f64 / 1048576.0));
    calm["peak_mib"] = json!(round(before as f64 / 1048576.0));
    Ok(vec![say(calm), say(report)])
}

/// Asks for the same 64 KiB again and again, and never reads an answer.
struct Deaf {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Deaf {
    fn start(server: &Server) -> Result<Self> {
        let mut peer = Peer::connected(server.address)?;
        peer.socket
            .set_write_timeout(Some(Duration::from_millis(100)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let long = "x".repeat(64 * 1024);
            let call =
                format!(r#"{{"msg":"method","id":"d","method":"echo","params":["{long}"]}}"#);
            // about 100 MiB in all: past any limit, yet not a flood
            for _ in 0..1600 {
                if stopped.load(Ordering::Relaxed) || peer.send(&call).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(10));
            }
        });
        Ok(Self { stop, thread })
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let _it_panicked = self.thread.join();
    }
}
