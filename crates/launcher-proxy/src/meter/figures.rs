use std::sync::Arc;

use super::Times;
use crate::load::UpstreamStats;
use crate::upstream::Upstream;

/// What went through a site or an upstream since its first request, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// Less than that of all whose first request came later.
    pub place: u64,
    /// Answers of upstreams by the first digit of their status, from 1 to 5. Upgrades are among the first. For sites also those
    /// that came from the cache of assets.
    pub statuses: [u64; 5],
    /// Requests that the proxy answered itself: nothing runs there, no upstream answered, a limit.
    pub refused: u64,
    /// How often an upstream was asked and did not answer; 0 for sites.
    pub unanswered: u64,
    /// How often a request was sent to it that had met a closed connection, or another upstream that could not
    /// be reached; 0 for sites.
    pub retried: u64,
    /// Bytes of bodies of requests, and after upgrades of everything, that clients sent.
    pub bytes_in: u64,
    /// The same that upstreams sent. The proxy's own pages do not count.
    pub bytes_out: u64,
    /// WebSocket messages that clients sent.
    pub messages_in: u64,
    /// WebSocket messages that upstreams sent.
    pub messages_out: u64,
    /// Connections that have switched protocols so far.
    pub upgraded: u64,
    /// Those of them that are open.
    pub open_upgraded: u64,
    /// From the head of a request until that of an upstream's answer.
    pub to_head: Times,
    /// The same until the end of the answer, upgrades excluded.
    pub to_end: Times,
}

impl Figures {
    /// Answers of upstreams, and those of the proxy's own.
    pub fn requests(&self) -> u64 {
        self.statuses.iter().sum::<u64>() + self.refused
    }

    /// What has come since `earlier`; what is open stays as it is.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut statuses = self.statuses;
        for (count, before) in statuses.iter_mut().zip(earlier.statuses) {
            *count = count.saturating_sub(before);
        }
        Self {
            place: self.place,
            statuses,
            refused: self.refused.saturating_sub(earlier.refused),
            unanswered: self.unanswered.saturating_sub(earlier.unanswered),
            retried: self.retried.saturating_sub(earlier.retried),
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
            messages_in: self.messages_in.saturating_sub(earlier.messages_in),
            messages_out: self.messages_out.saturating_sub(earlier.messages_out),
            upgraded: self.upgraded.saturating_sub(earlier.upgraded),
            open_upgraded: self.open_upgraded,
            to_head: self.to_head.since(&earlier.to_head),
            to_end: self.to_end.since(&earlier.to_end),
        }
    }

    /// Adds those of `other`.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.statuses.iter_mut().zip(other.statuses) {
            *count += more;
        }
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.retried += other.retried;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.messages_in += other.messages_in;
        self.messages_out += other.messages_out;
        self.upgraded += other.upgraded;
        self.open_upgraded += other.open_upgraded;
        self.to_head.add(&other.to_head);
        self.to_end.add(&other.to_end);
    }
}

/// What went through a proxy, at one moment.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TrafficFigures {
    /// By the addresses of sites as they were given to the table: those that the table in force has, and that
    /// had a request, in the order of their first ones. The default site is `(default)`; requests that belong
    /// to no site are at `(unknown)`.
    pub sites: Vec<(Arc<str>, Figures)>,
    /// Likewise those upstreams that the table names or where something is open.
    pub upstreams: Vec<UpstreamFigures>,
    /// Requests that the proxy answered itself, by the code that its page has for programs.
    pub refusals: Vec<(&'static str, u64)>,
}

/// What went through an upstream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UpstreamFigures {
    /// Which.
    pub upstream: Upstream,
    /// What is open.
    pub stats: UpstreamStats,
    /// The rest.
    pub figures: Figures,
}
