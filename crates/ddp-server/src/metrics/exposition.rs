//! A snapshot in Prometheus' words.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::snapshot::Snapshot;
use super::timing::{BUCKETS, Histogram};

pub(super) fn encode(snapshot: &Snapshot) -> String {
    let mut registry = Registry::with_prefix("ddp");
    registry.register_collector(Box::new(Shown(snapshot.clone())));
    let mut text = String::new();
    // writing to a string does not fail
    let _written = text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Shown(Snapshot);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in levels(&self.0) {
            // the format's gauges are signed
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            show(&mut encoder, name, help, &ConstGauge::new(value))?;
        }
        for (name, help, value) in counts(&self.0) {
            show(&mut encoder, name, help, &ConstCounter::new(value))?;
        }
        sessions_closed(&self.0, &mut encoder)?;
        method_errors(&self.0, &mut encoder)?;
        method_times(&self.0, &mut encoder)
    }
}

/// A name, what it means, and how much it is.
type Number = (&'static str, &'static str, u64);

#[rustfmt::skip]
fn levels(it: &Snapshot) -> [Number; 4] {
    [
        ("sessions", "Sessions that are open", it.sessions),
        ("subscriptions", "Subscriptions that are open", it.subscriptions),
        ("queued_messages", "Messages of clients that wait for their turn", it.queued_messages),
        ("queued_bytes", "Bytes that wait to be sent", it.queued_bytes),
    ]
}

#[rustfmt::skip]
fn counts(it: &Snapshot) -> [Number; 9] {
    [
        ("sessions_opened", "Sessions since the start", it.sessions_opened),
        ("messages_in", "Messages from clients", it.messages_in),
        ("messages_out", "Messages to clients", it.messages_out),
        ("bytes_in", "Bytes of messages from clients", it.bytes_in),
        ("bytes_out", "Bytes of messages to clients", it.bytes_out),
        ("subscriptions_started", "Subscriptions since the start", it.subscriptions_started),
        ("unknown_methods", "Calls of methods that are not offered", it.unknown_methods),
        ("unknown_publications", "Subscriptions to publications that are not offered", it.unknown_publications),
        ("rate_limited", "Calls and subscriptions that a rate limit refused", it.rate_limited),
    ]
}

fn show(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
    metric.encode(encoder)
}

fn sessions_closed(snapshot: &Snapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Sessions that have ended, by reason";
    let mut family =
        encoder.encode_descriptor("sessions_closed", help, None, MetricType::Counter)?;
    for (reason, count) in &snapshot.sessions_closed {
        let label = [("reason", *reason)];
        ConstCounter::new(*count).encode(family.encode_family(&label)?)?;
    }
    Ok(())
}

fn method_errors(snapshot: &Snapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Calls that have failed, by method";
    let mut family = encoder.encode_descriptor("method_errors", help, None, MetricType::Counter)?;
    for (name, method) in &snapshot.methods {
        let label = [("method", name.as_str())];
        ConstCounter::new(method.errors).encode(family.encode_family(&label)?)?;
    }
    Ok(())
}

fn method_times(snapshot: &Snapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let (help, unit) = ("How long calls took, by method", Unit::Seconds);
    let kind = MetricType::Histogram;
    let mut family = encoder.encode_descriptor("method_time", help, Some(&unit), kind)?;
    for (name, method) in &snapshot.methods {
        let label = [("method", name.as_str())];
        let (times, mut encoder) = (&method.times, family.encode_family(&label)?);
        let sum = times.sum.as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, times.count(), &buckets(times), None)?;
    }
    Ok(())
}

/// The buckets with their bounds; the format writes the last one's as `+Inf`.
fn buckets(times: &Histogram) -> Vec<(f64, u64)> {
    let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
    bounds.zip(times.buckets).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::snapshot::MethodSnapshot;
    use super::super::timing::Timing;
    use super::*;

    fn sample() -> Snapshot {
        let timing = Timing::default();
        timing.record(Duration::from_micros(300), false);
        timing.record(Duration::from_millis(20), true);
        let method = MethodSnapshot::of(&timing);
        Snapshot {
            sessions: 3,
            messages_in: 7,
            sessions_closed: [("slow_reader", 2)].into(),
            methods: [("say \"hi\"\\".to_owned(), method)].into(),
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let text = sample().to_prometheus();
        for line in [
            "# TYPE ddp_sessions gauge",
            "ddp_sessions 3",
            "# TYPE ddp_messages_in counter",
            "ddp_messages_in_total 7",
            "ddp_sessions_closed_total{reason=\"slow_reader\"} 2",
            "ddp_method_errors_total{method=\"say \\\"hi\\\"\\\\\"} 1",
            "# TYPE ddp_method_time_seconds histogram",
            "ddp_method_time_seconds_bucket{le=\"0.0005\",method=\"say \\\"hi\\\"\\\\\"} 1",
            "ddp_method_time_seconds_bucket{le=\"+Inf\",method=\"say \\\"hi\\\"\\\\\"} 2",
            "ddp_method_time_seconds_sum{method=\"say \\\"hi\\\"\\\\\"} 0.0203",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn people_read_a_line_for_each_method() {
        let text = sample().to_string();
        assert!(text.contains("sessions: 3 open of 0\n"), "{text}");
        assert!(
            text.contains("2 calls, 1 errors, mean 10.15ms, max 20ms\n"),
            "{text}"
        );
    }
}
