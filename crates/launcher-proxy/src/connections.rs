use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many client connections are open, and how many may be.
pub(crate) struct Connections {
    places: Arc<Semaphore>,
    open: Arc<AtomicUsize>,
    upgraded: Arc<AtomicUsize>,
}

impl Connections {
    pub(crate) fn at_most(number: usize) -> Self {
        let places = Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS)));
        Self {
            places,
            open: Arc::default(),
            upgraded: Arc::default(),
        }
    }

    /// Waits until one more connection may be accepted.
    pub(crate) async fn place(&self) -> Place {
        // An error would mean that the semaphore was closed, which nobody does.
        Place {
            _permit: Arc::clone(&self.places).acquire_owned().await.ok(),
        }
    }

    pub(crate) fn open(&self, place: Place) -> OpenConnection {
        OpenConnection {
            _place: place,
            _open: Counted::new(&self.open),
            upgraded: Arc::clone(&self.upgraded),
        }
    }

    pub(crate) fn count_open(&self) -> usize {
        self.open.load(Relaxed)
    }

    pub(crate) fn count_upgraded(&self) -> usize {
        self.upgraded.load(Relaxed)
    }
}

/// The right to accept one connection.
pub(crate) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

/// One accepted connection; it is counted, and keeps its place, until dropped.
pub(crate) struct OpenConnection {
    _place: Place,
    _open: Counted,
    upgraded: Arc<AtomicUsize>,
}

impl OpenConnection {
    /// Counts the connection as upgraded until the result is dropped.
    pub(crate) fn upgraded(&self) -> Counted {
        Counted::new(&self.upgraded)
    }
}

/// Adds one to a number for as long as it lives.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(number: &Arc<AtomicUsize>) -> Self {
        number.fetch_add(1, Relaxed);
        Self(Arc::clone(number))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_free_again_when_its_connection_is_closed() {
        let connections = Connections::at_most(1);
        let open = connections.open(connections.place().await);
        assert_eq!(
            (
                connections.count_open(),
                connections.places.available_permits()
            ),
            (1, 0)
        );
        let upgraded = open.upgraded();
        assert_eq!(connections.count_upgraded(), 1);
        drop((open, upgraded));
        assert_eq!(
            (connections.count_open(), connections.count_upgraded()),
            (0, 0)
        );
        connections.place().await;
    }
}
