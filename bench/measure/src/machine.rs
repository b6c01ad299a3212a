use std::io::Result;

use serde_json::{Value, json};

/// What else there is to do where this runs, by which its numbers are to be judged.
///
/// # Errors
///
/// When `/proc` cannot be read.
pub fn report() -> Result<Value> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load: f64 = load
        .split_whitespace()
        .next()
        .and_then(|load| load.parse().ok())
        .unwrap_or(f64::NAN);
    let processors = std::thread::available_parallelism()?.get();
    Ok(json!({
        "case": "machine", "processors": processors, "load_before": load,
        "note": note(load, processors),
    }))
}

/// A quarter of the processors is more than the rest of a quiet machine needs.
fn note(load: f64, processors: usize) -> Option<&'static str> {
    let busy = load > processors as f64 / 4.0;
    busy.then_some(
        "busy with other work: milliseconds tell of the machine, compare only ratios of CPU time",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_busy_machine_is_noted() {
        assert_eq!(note(0.3, 2), None);
        assert!(note(0.6, 2).is_some());
    }
}
