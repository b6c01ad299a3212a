use serde_json::Value;

/// Prints a line of the table.
#[allow(clippy::print_stdout, reason = "this is what benchmarks are for")]
#[must_use]
pub fn say(line: Value) -> Value {
    let cells = line.as_object().into_iter().flatten();
    let cells = cells.filter(|(key, value)| !value.is_null() && *key != "rounds_us");
    let cells: Vec<String> = cells
        .map(|(key, value)| match value.as_str() {
            Some(text) => text.to_owned(),
            None => format!("{key} {value}"),
        })
        .collect();
    println!("{}", cells.join(" | "));
    line
}

/// To two digits behind the point.
#[must_use]
pub fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
