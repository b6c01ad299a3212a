//! First come, first served: the order in which an image's builds were asked for.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Weak},
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::ImageName;

/// A queue for each image, by its canonical name, while somebody is in it.
#[derive(Default)]
pub(super) struct Queues(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

/// The first place in a queue, until it is dropped.
pub(super) type First = OwnedMutexGuard<()>;

impl Queues {
    /// Enters the queue at once. Whoever is not the first in it waits for that; to drop what is waited
    /// for is to leave the queue.
    pub(super) fn enter(
        &self,
        name: &ImageName,
    ) -> Result<First, impl Future<Output = First> + Send + 'static> {
        let mut waiting = Box::pin(self.queue(name).lock_owned());
        // The lock is fair, and whoever has asked for it once has a place.
        waiting.as_mut().now_or_never().ok_or(waiting)
    }

    fn queue(&self, name: &ImageName) -> Arc<tokio::sync::Mutex<()>> {
        let mut queues = self.0.lock();
        queues.retain(|_, queue| queue.strong_count() > 0);
        let known = queues.get(&name.canonical()).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let queue = Arc::default();
            queues.insert(name.canonical(), Arc::downgrade(&queue));
            queue
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_came_first_is_served_first_and_who_leaves_holds_up_nobody() {
        let queues = Queues::default();
        let name = |text| ImageName::parse(text).unwrap();
        let Ok(first) = queues.enter(&name("app")) else {
            panic!("nobody was there before");
        };
        let second = queues.enter(&name("app:latest")).err().unwrap();
        let leaves = queues.enter(&name("app")).err().unwrap();
        let mut last = queues.enter(&name("app")).err().unwrap();
        assert!(queues.enter(&name("other")).is_ok());
        drop(leaves);
        drop(first);
        assert!((&mut last).now_or_never().is_none());
        let second = second.await;
        assert!((&mut last).now_or_never().is_none());
        drop(second);
        drop(last.await);
        assert!(queues.enter(&name("app")).is_ok());
        assert_eq!(
            queues.0.lock().len(),
            1,
            "queues that are empty are forgotten"
        );
    }
}
