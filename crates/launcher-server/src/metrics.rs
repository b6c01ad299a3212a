//! `GET /metrics`: what the DDP server and the router count, as Prometheus reads it.

use std::{fmt, time::Duration};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use ddp_server::metrics::Snapshot;
use launcher_proxy::{Figures, Proxy, Stats, Times, TrafficFigures, UpstreamFigures};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use crate::http::Control;

/// Hosts, and likewise upstreams, that have series of their own: those that had a request first. All others
/// are told together.
const MOST: usize = 1_000;
/// Who stands for all others.
const OTHER: &str = "(other)";
/// What ends the format.
const END: &str = "# EOF\n";

/// Upper bounds of the buckets of times.
const BOUNDS_MS: [u64; 13] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 60_000,
];

pub(crate) async fn show(State(control): State<Control>) -> Response {
    let ddp = control.api.server().metrics().to_prometheus();
    let text = ddp.strip_suffix(END).unwrap_or(&ddp).to_owned() + &router(&control.router);
    ([(CONTENT_TYPE, Snapshot::CONTENT_TYPE)], text).into_response()
}

/// The same where there is nothing but the router.
pub(crate) async fn show_router(State(proxy): State<Proxy>) -> Response {
    ([(CONTENT_TYPE, Snapshot::CONTENT_TYPE)], router(&proxy)).into_response()
}

fn router(proxy: &Proxy) -> String {
    let mut registry = Registry::with_prefix("launcher_router");
    registry.register_collector(Box::new(Router::of(proxy.stats(), proxy.traffic())));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _written = text::encode(&mut text, &registry);
    text
}

/// What the router has counted, within the limit on series.
#[derive(Debug)]
struct Router {
    stats: Stats,
    refusals: Vec<(&'static str, u64)>,
    hosts: Vec<(String, Figures)>,
    upstreams: Vec<(String, Figures, u64)>,
}

impl Router {
    fn of(stats: Stats, traffic: TrafficFigures) -> Self {
        let hosts = traffic.sites.into_iter();
        let hosts = hosts.map(|(host, figures)| (host.to_string(), (figures, 0)));
        let upstream = |known: UpstreamFigures| {
            let open = known.stats.open_requests as u64;
            (known.upstream.to_string(), (known.figures, open))
        };
        let upstreams = bounded(traffic.upstreams.into_iter().map(upstream));
        let hosts = bounded(hosts).into_iter();
        Self {
            stats,
            refusals: traffic.refusals,
            hosts: hosts.map(|(host, (figures, _))| (host, figures)).collect(),
            upstreams: upstreams
                .into_iter()
                .map(|(upstream, (figures, open))| (upstream, figures, open))
                .collect(),
        }
    }

    fn show(&self, out: &mut Out<'_>) -> fmt::Result {
        let Stats {
            open_connections,
            upgraded,
            accept_errors,
            access_log_dropped,
            assets_bridged,
            assets_from_cache,
            asset_cache_bytes,
            ..
        } = self.stats;
        out.gauge(
            "connections",
            "Connections of clients that are open",
            open_connections as u64,
        )?;
        out.gauge(
            "upgraded_connections",
            "Those of them that have switched protocols",
            upgraded as u64,
        )?;
        out.counter(
            "accept_errors",
            "Failures to accept a connection",
            accept_errors,
        )?;
        out.counter(
            "access_log_dropped",
            "Requests that are missing in the access log",
            access_log_dropped,
        )?;
        out.counter(
            "assets_bridged",
            "Scripts and styles that came from a replica of another release",
            assets_bridged,
        )?;
        out.counter(
            "assets_from_cache",
            "Scripts and styles that came from the cache",
            assets_from_cache,
        )?;
        out.gauge(
            "asset_cache_bytes",
            "Memory that the cache of scripts and styles takes",
            asset_cache_bytes as u64,
        )?;
        let refusals = self
            .refusals
            .iter()
            .map(|(code, count)| (vec![("code", *code)], *count));
        out.counters(
            "refusals",
            "Requests that the router answered itself, by reason",
            None,
            refusals,
        )?;
        self.show_hosts(out)?;
        self.show_upstreams(out)
    }

    fn show_hosts(&self, out: &mut Out<'_>) -> fmt::Result {
        let of = |figure: fn(&Figures) -> u64| {
            let hosts = self.hosts.iter();
            hosts.map(move |(host, figures)| (vec![("host", host.as_str())], figure(figures)))
        };
        let requests = self.hosts.iter().flat_map(|(host, figures)| {
            let classes = classes(figures).into_iter();
            classes
                .map(move |(class, count)| (vec![("host", host.as_str()), ("class", class)], count))
        });
        out.counters(
            "requests",
            "Requests, by host and class of the answer",
            None,
            requests,
        )?;
        out.counters(
            "received",
            "Bytes of bodies from clients",
            Some(&Unit::Bytes),
            of(|it| it.bytes_in),
        )?;
        out.counters(
            "sent",
            "Bytes of bodies from upstreams",
            Some(&Unit::Bytes),
            of(|it| it.bytes_out),
        )?;
        out.counters(
            "received_messages",
            "WebSocket messages from clients",
            None,
            of(|it| it.messages_in),
        )?;
        out.counters(
            "sent_messages",
            "WebSocket messages from upstreams",
            None,
            of(|it| it.messages_out),
        )?;
        out.gauges(
            "open_websockets",
            "Upgraded connections that are open, by host",
            of(|it| it.open_upgraded),
        )?;
        let times = self
            .hosts
            .iter()
            .map(|(host, figures)| (host.as_str(), &figures.to_head));
        out.times(
            "response",
            "From a request to the head of its answer, by host",
            times,
        )
    }

    fn show_upstreams(&self, out: &mut Out<'_>) -> fmt::Result {
        let of = |figure: fn(&Figures) -> u64| {
            let all = self.upstreams.iter();
            all.map(move |(name, figures, _)| (vec![("upstream", name.as_str())], figure(figures)))
        };
        let answers = self.upstreams.iter().flat_map(|(name, figures, _)| {
            let classes = classes(figures).into_iter().take(5);
            classes.map(move |(class, count)| {
                (vec![("upstream", name.as_str()), ("class", class)], count)
            })
        });
        let open = self.upstreams.iter();
        let open = open.map(|(name, _, open)| (vec![("upstream", name.as_str())], *open));
        out.counters(
            "upstream_answers",
            "Answers of an upstream, by class",
            None,
            answers,
        )?;
        out.counters(
            "upstream_failures",
            "Requests that an upstream did not answer",
            None,
            of(|it| it.unanswered),
        )?;
        out.counters(
            "upstream_retries",
            "Requests that an upstream got after another try",
            None,
            of(|it| it.retried),
        )?;
        out.counters(
            "upstream_received",
            "Bytes of bodies to an upstream",
            Some(&Unit::Bytes),
            of(|it| it.bytes_in),
        )?;
        out.counters(
            "upstream_sent",
            "Bytes of bodies from an upstream",
            Some(&Unit::Bytes),
            of(|it| it.bytes_out),
        )?;
        out.counters(
            "upstream_received_messages",
            "WebSocket messages to an upstream",
            None,
            of(|it| it.messages_in),
        )?;
        out.counters(
            "upstream_sent_messages",
            "WebSocket messages from an upstream",
            None,
            of(|it| it.messages_out),
        )?;
        out.gauges(
            "upstream_open_requests",
            "Requests that an upstream has not answered in full",
            open,
        )?;
        out.gauges(
            "upstream_open_websockets",
            "Upgraded connections of an upstream",
            of(|it| it.open_upgraded),
        )
    }
}

impl Collector for Router {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.show(&mut Out(encoder))
    }
}

/// The first ones by name, and all others together.
fn bounded(all: impl Iterator<Item = (String, (Figures, u64))>) -> Vec<(String, (Figures, u64))> {
    let mut all: Vec<_> = all.collect();
    if all.len() > MOST {
        let mut other = (Figures::default(), 0);
        for (_, (figures, open)) in all.drain(MOST..) {
            other.0.add(&figures);
            other.1 += open;
        }
        all.push((OTHER.to_owned(), other));
    }
    all
}

fn classes(figures: &Figures) -> [(&'static str, u64); 6] {
    let [one, two, three, four, five] = figures.statuses;
    let refused = figures.refused;
    [
        ("1xx", one),
        ("2xx", two),
        ("3xx", three),
        ("4xx", four),
        ("5xx", five),
        ("refused", refused),
    ]
}

/// A label for each of its names.
type Labels<'a> = Vec<(&'static str, &'a str)>;

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, &gauge(value))
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, &ConstCounter::new(value))
    }

    fn one(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        let kind = metric.metric_type();
        metric.encode(self.0.encode_descriptor(name, help, None, kind)?)
    }

    fn counters<'b>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        all: impl Iterator<Item = (Labels<'b>, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (labels, value) in all {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauges<'b>(
        &mut self,
        name: &str,
        help: &str,
        all: impl Iterator<Item = (Labels<'b>, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in all {
            gauge(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn times<'b>(
        &mut self,
        name: &str,
        help: &str,
        all: impl Iterator<Item = (&'b str, &'b Times)>,
    ) -> fmt::Result {
        let (unit, kind) = (Unit::Seconds, MetricType::Histogram);
        let mut family = self.0.encode_descriptor(name, help, Some(&unit), kind)?;
        for (host, times) in all {
            let label = [("host", host)];
            let (sum, count) = (times.sum().as_secs_f64(), times.count());
            let mut encoder = family.encode_family(&label)?;
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets(times), None)?;
        }
        Ok(())
    }
}

/// The format's gauges are signed.
fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

/// How many are in each bucket alone, and above all bounds.
fn buckets(times: &Times) -> Vec<(f64, u64)> {
    let up_to = times.up_to(BOUNDS_MS.map(Duration::from_millis));
    let bounds = BOUNDS_MS.map(|millis| millis as f64 / 1e3);
    let bounds = bounds.into_iter().chain([f64::INFINITY]);
    let mut below = 0;
    let counts = up_to.into_iter().chain([times.count()]).map(|up_to| {
        let alone = up_to.saturating_sub(below);
        below = up_to;
        alone
    });
    bounds.zip(counts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(place: u64) -> Figures {
        let mut figures = Figures::default();
        (figures.place, figures.refused) = (place, 1);
        figures
    }

    #[test]
    fn series_are_bounded_and_nothing_is_lost() {
        let hosts =
            (0..MOST as u64 + 5).map(|place| (format!("h{place}.test"), (figures(place), 2)));
        let shown = bounded(hosts);
        assert_eq!(shown.len(), MOST + 1);
        assert_eq!(shown[MOST - 1].0, format!("h{}.test", MOST - 1));
        let (name, (rest, open)) = &shown[MOST];
        assert_eq!((name.as_str(), rest.refused, *open), (OTHER, 5, 10));
    }
}
