//! What a client costs that has ten documents and says nothing.

use std::io::Result;

use serde_json::{Value, json};

use crate::server::Server;
use crate::swarm::Swarm;
use measure::round;
use measure::say;

use crate::Options;

pub(crate) fn run(options: &Options) -> Result<Vec<Value>> {
    let size = options.scaled(10_000);
    let servers = [
        Server::bare(&options.programs, "ten")?,
        Server::ddp(&options.programs)?,
    ];
    let mut report = Vec::new();
    let mut bare = None;
    for server in servers {
        let before = server.resident()?;
        let swarm = Swarm::subscribers(size, &server, "tenDocs")?;
        let after = server.resident()?;
        let each = after.saturating_sub(before) as f64 / size as f64 / 1024.0;
        let more = each - *bare.get_or_insert(each);
        report.push(say(json!({
            "case": format!("idle, {size} clients with ten documents"), "server": server.name,
            "kib_each": round(each), "kib_above_bare": round(more),
        })));
        drop(swarm);
    }
    Ok(report)
}
