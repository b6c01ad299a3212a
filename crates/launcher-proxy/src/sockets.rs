use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::avoidance::now;

/// The upgraded connections of one upstream that are open, so that they can be ended one by one.
#[derive(Default)]
pub(crate) struct Sockets {
    open: Mutex<HashMap<u64, Arc<Socket>>>,
    next: AtomicU64,
}

/// One upgraded connection.
pub(crate) struct Socket {
    leave: CancellationToken,
    /// When something came through it last.
    active: AtomicU64,
}

impl Sockets {
    /// The number by which it is closed.
    pub(crate) fn open(&self) -> (u64, Arc<Socket>) {
        let socket = Arc::new(Socket {
            leave: CancellationToken::new(),
            active: AtomicU64::new(now()),
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
}
