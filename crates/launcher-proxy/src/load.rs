use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::sessions::InUse;
use crate::sockets::Socket;
use crate::upstream::Upstream;

/// What goes through one upstream.
#[derive(Default)]
pub(crate) struct Load {
    requests: Flow,
    upgraded: Flow,
}

/// What goes, and went, through one upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamStats {
    /// Requests from the moment their head was received until the last byte of their answer.
    pub open_requests: usize,
    /// Connections that have switched protocols, as WebSockets do, and are open.
    pub upgraded: usize,
    /// All requests so far, those that did not get an answer included.
    pub requests_total: u64,
    /// All connections that have switched protocols so far.
    pub upgraded_total: u64,
    /// SockJS sessions over HTTP that it has and that have not been sent away. Such whose clients have left may be among
    /// them, for two minutes or more.
    pub sessions: usize,
    /// Whether a route leads there, so that the numbers can rise.
    pub serving: bool,
}

impl Load {
    pub(crate) fn open(&self) -> usize {
        self.requests.open() + self.upgraded.open()
    }

    /// `sessions` are counted twice: one can become a session while its first request is open, and one that has been
    /// sent away can have a request that is open. So nothing is missed that was there all the time.
    pub(crate) fn stats(&self, serving: bool, sessions: impl Fn() -> usize) -> UpstreamStats {
        let before = sessions();
        let mut stats = self.flows(serving);
        stats.sessions = before.max(sessions());
        stats
    }

    fn flows(&self, serving: bool) -> UpstreamStats {
        UpstreamStats {
            open_requests: self.requests.open(),
            upgraded: self.upgraded.open(),
            requests_total: self.requests.begun(),
            upgraded_total: self.upgraded.begun(),
            sessions: 0,
            serving,
        }
    }
}

/// How often something has begun and ended. Two numbers that only grow, since totals are wanted, too.
#[derive(Default)]
struct Flow {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Flow {
    fn begin(&self) {
        self.begun.fetch_add(1, SeqCst);
    }

    fn end(&self) {
        self.ended.fetch_add(1, SeqCst);
    }

    fn begun(&self) -> u64 {
        self.begun.load(SeqCst)
    }

    /// What ends while this reads still counts: 0 means that nothing was open.
    fn open(&self) -> usize {
        let ended = self.ended.load(SeqCst);
        usize::try_from(self.begun() - ended).unwrap_or(usize::MAX)
    }
}

/// A request that an upstream has been given; counted until dropped.
pub(crate) struct OpenRequest {
    upstream: Upstream,
    session: Option<InUse>,
}

impl OpenRequest {
    /// `None` if `upstream` gets no requests any more.
    ///
    /// Counted first and asked afterwards, while retiring comes first and the count is read
    /// afterwards (both in the one order of `SeqCst`): whoever has retired an upstream and then read
    /// 0 knows that nothing will be sent to it.
    pub(crate) fn begin(upstream: &Upstream) -> Option<Self> {
        let open = Self::begin_unpromised(upstream);
        upstream.is_serving().then_some(open)
    }

    /// Also if `upstream` drains. What `begin` promises does not hold for such a request: it is counted, but may be sent
    /// after 0 was read. So it must be one whose failure nobody sees.
    pub(crate) fn begin_unpromised(upstream: &Upstream) -> Self {
        upstream.load().requests.begin();
        Self {
            upstream: upstream.clone(),
            session: None,
        }
    }

    /// The same for a request of a session that the upstream has: it goes there, even if nothing else does, until the
    /// session has been asked to end.
    ///
    /// Here, too, whoever has retired an upstream and then read 0 of sessions and of requests knows that nothing will be
    /// sent to it: a session stops to count when it is asked to end, and a request that was not refused by then
    /// counts already.
    pub(crate) fn continue_session(upstream: &Upstream, session: &Socket) -> Option<Self> {
        upstream.load().requests.begin();
        let open = Self {
            upstream: upstream.clone(),
            session: None,
        };
        (!session.is_asked()).then_some(open)
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The session over HTTP that the request belongs to.
    pub(crate) fn session(&self) -> Option<&Arc<Socket>> {
        self.session.as_ref()?.socket()
    }

    /// Keeps a SockJS session that the request belongs to in use.
    pub(crate) fn keep(&mut self, session: InUse) {
        self.session = Some(session);
    }

    /// The request has become something else.
    pub(crate) fn upgrade(mut self) -> OpenUpgrade {
        let upstream = self.upstream.clone();
        upstream.load().upgraded.begin();
        let (number, socket) = upstream.sockets().open();
        OpenUpgrade {
            upstream,
            number,
            socket,
            _session: self.session.take(),
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.upstream.load().requests.end();
    }
}

/// A connection to an upstream that has switched protocols; counted until dropped.
pub(crate) struct OpenUpgrade {
    upstream: Upstream,
    number: u64,
    socket: Arc<Socket>,
    _session: Option<InUse>,
}

impl OpenUpgrade {
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }
}

impl Drop for OpenUpgrade {
    fn drop(&mut self) {
        self.upstream.sockets().close(self.number);
        self.upstream.load().upgraded.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_until_it_ends_and_an_upgrade_takes_its_place() {
        let upstream = Upstream::new("127.0.0.1", 1);
        let counts = || {
            let stats = upstream.stats();
            (stats.open_requests, stats.upgraded)
        };
        let first = OpenRequest::begin(&upstream).unwrap();
        let second = OpenRequest::begin(&upstream).unwrap();
        assert_eq!(counts(), (2, 0));
        let upgraded = first.upgrade();
        assert_eq!(counts(), (1, 1));
        drop((second, upgraded));
        assert_eq!(counts(), (0, 0));
        let stats = upstream.stats();
        assert_eq!((stats.requests_total, stats.upgraded_total), (2, 1));
    }

    #[test]
    fn nothing_begins_where_nothing_is_served() {
        let upstream = Upstream::new("127.0.0.1", 1);
        upstream.retire();
        assert!(OpenRequest::begin(&upstream).is_none());
        assert_eq!(upstream.stats().open_requests, 0);
        let unpromised = OpenRequest::begin_unpromised(&upstream);
        assert_eq!(upstream.stats().open_requests, 1);
        drop(unpromised);
        upstream.serve();
        assert!(OpenRequest::begin(&upstream).is_some());
    }

    #[test]
    fn a_session_goes_on_where_nothing_else_begins_until_it_is_asked_to_end() {
        let upstream = Upstream::new("127.0.0.1", 1);
        let (_, session) = upstream.sockets().open_session();
        upstream.retire();
        assert!(OpenRequest::begin(&upstream).is_none());
        let goes_on = || OpenRequest::continue_session(&upstream, &session);
        assert!(goes_on().is_some());
        assert_eq!(upstream.stats().sessions, 1);
        session.ask();
        assert!(goes_on().is_none());
        let stats = upstream.stats();
        assert_eq!((stats.sessions, stats.open_requests), (0, 0));
    }
}
