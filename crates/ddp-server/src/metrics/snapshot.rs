use std::collections::BTreeMap;
use std::fmt;

use super::exposition;
use super::recorder::Recorder;
use super::timing::{Histogram, Timing};

/// What a server has counted, and what it has, at one moment. The numbers are read one after the
/// other while the server runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Sessions that are open, connected or not.
    pub sessions: u64,
    /// Sessions since the start.
    pub sessions_opened: u64,
    /// Sessions that have ended, by reason: `disconnected` by the client, `application` by the
    /// server, or dropped: `version_mismatch`, `connect_timeout`, `heartbeat_timeout`,
    /// `slow_reader`, `too_many_messages`.
    pub sessions_closed: BTreeMap<&'static str, u64>,
    /// Messages from clients, understood or not.
    pub messages_in: u64,
    /// Messages to clients.
    pub messages_out: u64,
    /// Their length as text, without what a transport adds.
    pub bytes_in: u64,
    /// Their length as text, without what a transport adds.
    pub bytes_out: u64,
    /// The methods that the server offers.
    pub methods: BTreeMap<String, MethodSnapshot>,
    /// Calls of methods that it does not offer.
    pub unknown_methods: u64,
    /// Subscriptions that are open, those to universal publications included.
    pub subscriptions: u64,
    /// Subscriptions since the start; each run of a publication counts.
    pub subscriptions_started: u64,
    /// Subscriptions to publications that the server does not offer.
    pub unknown_publications: u64,
    /// Calls and subscriptions that a [rate limit](crate::rate_limit) has refused.
    pub rate_limited: u64,
    /// Clients' messages that wait for their turn, in all sessions.
    pub queued_messages: u64,
    /// Bytes that wait to be sent, in all sessions.
    pub queued_bytes: u64,
}

/// The calls of one method.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodSnapshot {
    /// How many have failed.
    pub errors: u64,
    /// How long those that have returned took.
    pub times: Histogram,
}

impl MethodSnapshot {
    pub(crate) fn of(timing: &Timing) -> Self {
        Self {
            errors: timing.errors(),
            times: timing.histogram(),
        }
    }
}

impl Snapshot {
    pub(crate) fn of(
        recorder: &Recorder,
        sessions: usize,
        methods: BTreeMap<String, MethodSnapshot>,
    ) -> Self {
        Self {
            sessions: sessions as u64,
            sessions_opened: recorder.sessions_opened.get(),
            sessions_closed: recorder.closed_by_reason(),
            messages_in: recorder.messages_in.get(),
            messages_out: recorder.messages_out.get(),
            bytes_in: recorder.bytes_in.get(),
            bytes_out: recorder.bytes_out.get(),
            methods,
            unknown_methods: recorder.unknown_methods.get(),
            subscriptions: recorder.subscriptions.get(),
            subscriptions_started: recorder.subscriptions_started.get(),
            unknown_publications: recorder.unknown_publications.get(),
            rate_limited: recorder.rate_limited.get(),
            queued_messages: recorder.queued_messages.get(),
            queued_bytes: recorder.queued_bytes.get(),
        }
    }

    /// The `Content-Type` of [`to_prometheus`](Self::to_prometheus).
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// The snapshot in Prometheus' text format (OpenMetrics 1.0).
    pub fn to_prometheus(&self) -> String {
        exposition::encode(self)
    }
}

/// A line for each number, and one for each method that was called.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "sessions: {} open of {}",
            self.sessions, self.sessions_opened
        )?;
        for (reason, count) in &self.sessions_closed {
            writeln!(f, "  closed, {reason}: {count}")?;
        }
        writeln!(
            f,
            "messages: {} in, {} out",
            self.messages_in, self.messages_out
        )?;
        writeln!(f, "bytes: {} in, {} out", self.bytes_in, self.bytes_out)?;
        let Self {
            queued_messages,
            queued_bytes,
            ..
        } = self;
        writeln!(
            f,
            "waiting: {queued_messages} messages in, {queued_bytes} bytes out"
        )?;
        let (open, started) = (self.subscriptions, self.subscriptions_started);
        writeln!(f, "subscriptions: {open} open of {started}")?;
        let (methods, publications) = (self.unknown_methods, self.unknown_publications);
        writeln!(f, "unknown: {methods} methods, {publications} publications")?;
        writeln!(f, "rate limited: {}", self.rate_limited)?;
        let called = self
            .methods
            .iter()
            .filter(|(_, method)| method.times.count() > 0);
        called
            .into_iter()
            .try_for_each(|(name, method)| writeln!(f, "method {name}: {method}"))
    }
}

impl fmt::Display for MethodSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (errors, times) = (self.errors, &self.times);
        write!(
            f,
            "{} calls, {errors} errors, mean {:?}, max {:?}",
            times.count(),
            times.mean(),
            times.max
        )
    }
}
