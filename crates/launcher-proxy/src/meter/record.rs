use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;

use super::Meter;
use crate::upstream::Upstream;

/// One request, from its head to the end of its answer, as the counts see it.
pub(crate) struct Record {
    begun: Instant,
    /// `None` as long as it is not known, and if there is none.
    site: Option<Arc<Meter>>,
}

impl Record {
    pub(crate) fn begin() -> Self {
        Self {
            begun: Instant::now(),
            site: None,
        }
    }

    pub(crate) fn belongs_to(&mut self, site: &Arc<Meter>) {
        // Asked again where another upstream is tried.
        if self.site.is_none() {
            self.site = Some(Arc::clone(site));
        }
    }

    /// The rest of it is somebody else's.
    pub(crate) fn handed_over(&mut self) -> Self {
        Self {
            begun: self.begun,
            site: self.site.take(),
        }
    }

    pub(crate) fn refused(&self, unknown: &Meter) {
        self.site.as_deref().unwrap_or(unknown).refused();
    }

    /// `upstream` has answered.
    pub(crate) fn answered(&self, upstream: &Upstream, status: StatusCode) {
        let took = self.begun.elapsed();
        self.for_both(upstream, |meter| meter.answered(status, took));
    }

    /// So much of the answer was passed on.
    pub(crate) fn sent(&self, upstream: &Upstream, bytes: usize) {
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
        }
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
}

impl Bill {
    pub(crate) fn received(&self, bytes: usize) {
        self.for_both(|meter| meter.received(bytes as u64));
    }

    pub(crate) fn sent(&self, bytes: usize) {
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
}

impl UpgradedRecord {
    pub(crate) fn begin(record: &Record, upstream: &Upstream) -> Self {
        let bill = record.bill(upstream);
        bill.for_both(Meter::upgraded);
        Self { bill }
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
