//! What callers can ask about hosts.

use std::sync::Arc;

use super::Launcher;
use crate::{
    Error,
    hosts::{HostChange, LOCAL},
};

impl Launcher {
    /// Changes what a host may be given. What runs goes on running.
    ///
    /// # Errors
    /// [`Error::NoSuchHost`].
    pub async fn set_host(&self, id: &str, change: HostChange) -> Result<(), Error> {
        self.hosts.set(id, change).await
    }

    /// Asks the engine of a host, or of all, what it and its machine are, and tells the observer.
    ///
    /// # Errors
    /// [`Error::NoSuchHost`], or why the engine does not answer.
    pub async fn refresh_host(&self, id: Option<&str>) -> Result<(), Error> {
        self.hosts.refresh(id.unwrap_or(LOCAL)).await
    }

    /// Somebody begins to look at the hosts: what is not fresh is asked for again.
    pub fn hosts_are_watched(&self) {
        let (hosts, stop) = (Arc::clone(&self.hosts), self.stop.clone());
        self.reconciler.spawn(async move {
            stop.run_until_cancelled(hosts.refresh_if_old()).await;
        });
    }
}
