use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::avoidance::now;

/// The upgraded connections of one upstream that are open, and the SockJS sessions over HTTP that it has, so that they
/// can be ended one by one.
#[derive(Default)]
pub(crate) struct Sockets {
    open: Mutex<HashMap<u64, Arc<Socket>>>,
    next: AtomicU64,
}

/// One of them.
pub(crate) struct Socket {
    leave: CancellationToken,
    /// When something came through it last.
    active: AtomicU64,
    /// Of a session, how many of its requests are under way.
    requests: Option<AtomicU32>,
}

impl Sockets {
    /// The number by which it is closed.
    pub(crate) fn open(&self) -> (u64, Arc<Socket>) {
        self.enter(None)
    }

    /// The same of a session, which nobody closes: clients leave without a word.
    pub(crate) fn open_session(&self) -> (u64, Arc<Socket>) {
        self.enter(Some(AtomicU32::new(0)))
    }

    fn enter(&self, requests: Option<AtomicU32>) -> (u64, Arc<Socket>) {
        let socket = Arc::new(Socket {
            leave: CancellationToken::new(),
            active: AtomicU64::new(now()),
            requests,
        });
        let number = self.next.fetch_add(1, Relaxed);
        self.open.lock().insert(number, Arc::clone(&socket));
        (number, socket)
    }

    pub(crate) fn close(&self, number: u64) {
        self.open.lock().remove(&number);
    }

    /// Asks the one to end through which nothing has come for the longest time. `false` if all have been asked.
    pub(crate) fn ask_idlest(&self) -> bool {
        let open = self.open.lock();
        let staying = open.values().filter(|socket| !socket.leave.is_cancelled());
        let idlest = staying.min_by_key(|socket| socket.active.load(Relaxed));
        idlest.inspect(|socket| socket.ask()).is_some()
    }

    /// Asks the sessions to end whose clients seem to have gone: they have nothing open, and are not heard of.
    pub(crate) fn ask_silent(&self) {
        self.ask_silent_at(now());
    }

    fn ask_silent_at(&self, now: u64) {
        let open = self.open.lock();
        let silent = open.values().filter(|socket| socket.is_silent(now));
        silent.for_each(|socket| socket.ask());
    }

    /// How many sessions have not been asked to end.
    pub(crate) fn sessions(&self) -> usize {
        let open = self.open.lock();
        let sessions = open.values().filter(|socket| socket.requests.is_some());
        sessions.filter(|socket| !socket.is_asked()).count()
    }

    /// How many have not been asked to end.
    pub(crate) fn staying(&self) -> usize {
        let open = self.open.lock();
        let staying = open.values().filter(|socket| !socket.leave.is_cancelled());
        staying.count()
    }
}

impl Socket {
    pub(crate) fn moved(&self) {
        self.active.store(now(), Relaxed);
    }

    /// A request of the session has begun.
    pub(crate) fn begin_request(&self) {
        self.moved();
        if let Some(requests) = &self.requests {
            requests.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn end_request(&self) {
        self.moved();
        if let Some(requests) = &self.requests {
            requests.fetch_sub(1, Relaxed);
        }
    }

    fn is_silent(&self, now: u64) -> bool {
        let requests = self.requests.as_ref();
        let is_idle = requests.is_some_and(|requests| requests.load(Relaxed) == 0);
        is_idle && now.saturating_sub(self.active.load(Relaxed)) >= SILENT
    }

    pub(crate) fn ask(&self) {
        self.leave.cancel();
    }

    /// Ends when it is asked to end.
    pub(crate) async fn asked(&self) {
        self.leave.cancelled().await;
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.leave.is_cancelled()
    }
}

/// After so many milliseconds without a request: clients that are there ask again at once.
const SILENT: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idlest_is_asked_first_and_each_once() {
        let sockets = Sockets::default();
        let all = [(); 3].map(|()| sockets.open());
        for ((_, socket), active) in all.iter().zip([20, 10, 30]) {
            socket.active.store(active, Relaxed);
        }
        let asked = || all.each_ref().map(|(_, socket)| socket.is_asked());
        assert!(sockets.ask_idlest());
        assert_eq!(asked(), [false, true, false]);
        sockets.close(all[0].0);
        assert_eq!(sockets.staying(), 1);
        assert!(sockets.ask_idlest());
        assert_eq!(asked(), [false, true, true]);
        assert!(!sockets.ask_idlest());
    }

    #[test]
    fn sessions_of_which_nothing_is_heard_are_asked_first() {
        let sockets = Sockets::default();
        let (_, connection) = sockets.open();
        let all = [(); 3].map(|()| sockets.open_session().1);
        let [silent, polling, fresh] = &all;
        polling.begin_request();
        fresh.active.store(2 * SILENT, Relaxed);
        for old in [&connection, silent, polling] {
            old.active.store(SILENT, Relaxed);
        }
        assert_eq!(sockets.sessions(), 3);
        sockets.ask_silent_at(2 * SILENT);
        assert!(silent.is_asked());
        assert!(
            ![&connection, polling, fresh]
                .iter()
                .any(|socket| socket.is_asked())
        );
        assert_eq!(sockets.staying(), sockets.sessions() + 1);
    }
}
