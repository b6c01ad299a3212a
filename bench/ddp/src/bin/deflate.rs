//! What permessage-deflate would save on the wire, and what it would cost, for typical messages.

use std::io::Result;
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};

const ROUNDS: u32 = 500;

#[allow(clippy::print_stdout, reason = "this is what the program is for")]
fn main() -> Result<()> {
    for (name, messages) in conversations() {
        let plain: usize = messages.iter().map(String::len).sum();
        let begun = cpu()?;
        let mut compressed = 0;
        for _ in 0..ROUNDS {
            compressed = conversation(&messages);
        }
        let each = (cpu()? - begun) / ROUNDS / messages.len() as u32;
        println!(
            "{name}: {plain} bytes, {compressed} compressed, {each:?} of CPU for each message"
        );
    }
    Ok(())
}

/// What this program has spent on processors, from the scheduler's own account.
fn cpu() -> Result<Duration> {
    let account = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanos = account.split_whitespace().next();
    let nanos = nanos.and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
    Ok(Duration::from_nanos(nanos))
}

/// The messages of one connection, with a window of their own as browsers negotiate it.
fn conversation(messages: &[String]) -> usize {
    let mut window = Compress::new(Compression::new(6), false);
    let mut out = vec![0; 64 * 1024];
    for message in messages {
        let _it_fits = window.compress(message.as_bytes(), &mut out, FlushCompress::Sync);
    }
    // the last four bytes of each are left out (RFC 7692 §7.2.1)
    window.total_out() as usize - 4 * messages.len()
}

fn conversations() -> [(&'static str, Vec<String>); 3] {
    let changed = |n: u64| {
        format!(
            r#"{{"msg":"changed","collection":"ticks","id":"tick","fields":{{"v":{n},"t":{{"$date":{}}}}}}}"#,
            1_700_000_000_000_u64 + n * 7919
        )
    };
    let added = |n: u64| {
        format!(
            r#"{{"msg":"added","collection":"tasks","id":"QyfErHfj7utfRir{n:02}","fields":{{"text":"Task number {n} of the list","owner":"DcPXsmXcMrRJAtLhS","done":false,"createdAt":{{"$date":{}}}}}}}"#,
            1_700_000_000_000_u64 + n * 104_729
        )
    };
    let answer = |n: u64| format!(r#"{{"msg":"result","id":"{n}","result":["hello, world",{n}]}}"#);
    [
        ("100 changes", (0..100).map(changed).collect()),
        ("100 documents", (0..100).map(added).collect()),
        ("100 results", (0..100).map(answer).collect()),
    ]
}
