use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;

use super::Meter;
use crate::access_log::{Moved, Pending};
use crate::pages::Refusal;
use crate::route_table::Found;
use crate::upstream::Upstream;

/// One request, from its head to the end of its answer, as the counts see it.
pub(crate) struct Record {
    begun: Instant,
    /// `None` as long as it is not known, and if there is none.
    site: Option<Arc<Meter>>,
    /// What the access log is told, where there is one.
    log: Option<Pending>,
}

impl Record {
    pub(crate) fn begin(log: Option<Pending>) -> Self {
        Self {
            begun: Instant::now(),
            site: None,
            log,
        }
    }

    pub(crate) fn visited_by(&mut self, client: IpAddr, host: Option<&str>) {
        if let Some(log) = &mut self.log {
            log.visited_by(client, host);
        }
    }

    pub(crate) fn belongs_to(&mut self, found: &Found<'_>) {
        // Asked again where another upstream is tried.
        if self.site.is_some() {
            return;
        }
        self.site = Some(Arc::clone(&found.site.meter));
    }

    pub(crate) fn is_logged(&self) -> bool {
        self.log.is_some()
    }

    /// Tells the access log whose the request is. Before anything is refused: what it may know of the path
    /// depends on it.
    pub(crate) fn tell_site(&mut self, found: &Found<'_>) {
        if let Some(log) = &mut self.log {
            log.belongs_to(found);
        }
    }

    /// `upstream` is asked now.
    pub(crate) fn turned_to(&mut self, upstream: &Upstream) {
        if let Some(log) = &mut self.log {
            log.turned_to(upstream);
        }
    }

    /// The rest of it is somebody else's.
    pub(crate) fn handed_over(&mut self) -> Self {
        Self {
            begun: self.begun,
            site: self.site.take(),
            log: self.log.take(),
        }
    }

    /// The client gets a page of so many bytes.
    pub(crate) fn refused(&mut self, refusal: &Refusal, bytes: u64, unknown: &Meter) {
        self.site.as_deref().unwrap_or(unknown).refused();
        if let Some(log) = &mut self.log {
            log.refused(refusal.code(), refusal.status(), bytes);
        }
    }

    /// `upstream` has answered.
    pub(crate) fn answered(&mut self, upstream: &Upstream, status: StatusCode) {
        let took = self.begun.elapsed();
        if let Some(log) = &mut self.log {
            log.answered(status);
        }
        self.for_both(upstream, |meter| meter.answered(status, took));
    }

    /// `upstream` has answered, but that is not what the client gets.
    pub(crate) fn passed_over(&self, upstream: &Upstream, status: StatusCode) {
        let took = self.begun.elapsed();
        upstream.meter().answered(status, took);
        upstream.meter().ended(took);
    }

    /// The client gets an earlier answer, with so many bytes of a body.
    pub(crate) fn kept(&mut self, status: StatusCode, bytes: u64) {
        if let Some(log) = &mut self.log {
            log.answered(status);
        }
        if let Some(moved) = self.moved() {
            moved.sent(bytes);
        }
        if let Some(site) = &self.site {
            let took = self.begun.elapsed();
            site.answered(status, took);
            site.sent(bytes);
            site.ended(took);
        }
    }

    /// So much of the answer was passed on.
    pub(crate) fn sent(&self, upstream: &Upstream, bytes: usize) {
        if let Some(moved) = self.moved() {
            moved.sent(bytes as u64);
        }
        self.for_both(upstream, |meter| meter.sent(bytes as u64));
    }

    /// Nothing more comes.
    pub(crate) fn ended(&self, upstream: &Upstream) {
        let took = self.begun.elapsed();
        self.for_both(upstream, |meter| meter.ended(took));
    }

    /// For the bytes that the client sends to `upstream`.
    pub(crate) fn bill(&self, upstream: &Upstream) -> Bill {
        Bill {
            site: self.site.clone(),
            upstream: upstream.clone(),
            moved: self.moved().cloned(),
        }
    }

    fn moved(&self) -> Option<&Arc<Moved>> {
        self.log.as_ref()?.moved()
    }

    fn for_both(&self, upstream: &Upstream, count: impl Fn(&Meter)) {
        count(upstream.meter());
        if let Some(site) = &self.site {
            count(site);
        }
    }
}

/// Who gets bytes counted.
pub(crate) struct Bill {
    site: Option<Arc<Meter>>,
    upstream: Upstream,
    moved: Option<Arc<Moved>>,
}

impl Bill {
    pub(crate) fn received(&self, bytes: usize) {
        if let Some(moved) = &self.moved {
            moved.received(bytes as u64);
        }
        self.for_both(|meter| meter.received(bytes as u64));
    }

    pub(crate) fn sent(&self, bytes: usize) {
        if let Some(moved) = &self.moved {
            moved.sent(bytes as u64);
        }
        self.for_both(|meter| meter.sent(bytes as u64));
    }

    pub(crate) fn messages_received(&self, messages: u64) {
        self.for_both(|meter| meter.messages_received(messages));
    }

    pub(crate) fn messages_sent(&self, messages: u64) {
        self.for_both(|meter| meter.messages_sent(messages));
    }

    fn for_both(&self, count: impl Fn(&Meter)) {
        count(self.upstream.meter());
        if let Some(site) = &self.site {
            count(site);
        }
    }
}

/// A connection that has switched protocols; counted until dropped.
pub(crate) struct UpgradedRecord {
    bill: Bill,
    /// Told when this is dropped.
    _log: Option<Pending>,
}

impl UpgradedRecord {
    pub(crate) fn begin(record: &mut Record, upstream: &Upstream) -> Self {
        let bill = record.bill(upstream);
        bill.for_both(Meter::upgraded);
        let _log = record.log.take();
        Self { bill, _log }
    }

    pub(crate) fn bill(&self) -> &Bill {
        &self.bill
    }
}

impl Drop for UpgradedRecord {
    fn drop(&mut self) {
        self.bill.for_both(Meter::upgrade_ended);
    }
}
