//! What a WebSocket costs that says nothing.

use std::io::Result;
use std::time::Duration;

use measure::{Peer, round, say};
use serde_json::{Value, json};

use crate::Options;
use crate::candidate::{Candidate, hostname};

/// Memory counts once it does not grow any more.
const REST: Duration = Duration::from_secs(2);

pub(crate) fn run(options: &Options, candidates: Vec<Candidate>) -> Result<Vec<Value>> {
    let size = options.scaled(4_000);
    let mut report = Vec::new();
    for candidate in candidates {
        let before = candidate.process.resident()?;
        let peers: Vec<Peer> = (0..size)
            .map(|number| Peer::open_as(candidate.address, &hostname(number)))
            .collect::<Result<_>>()?;
        std::thread::sleep(REST);
        let after = candidate.process.resident()?;
        let each = after.saturating_sub(before) as f64 / size as f64 / 1024.0;
        report.push(say(json!({
            "case": format!("{size} idle websockets"), "server": candidate.name, "kib_each": round(each),
        })));
        drop(peers);
    }
    Ok(report)
}
