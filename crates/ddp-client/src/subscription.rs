use std::fmt;

use ddp_protocol::Error as ServerError;
use tokio::sync::watch;

use crate::command::{Command, Commands};
use crate::error::Error;

/// A subscription to a publication. It ends when this is dropped; a client lives as long as there
/// is a subscription of it.
#[must_use = "the subscription ends when this is dropped"]
pub struct Subscription {
    id: String,
    name: String,
    state: watch::Receiver<SubscriptionState>,
    commands: Commands,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SubscriptionState {
    Pending,
    Ready,
    Stopped(Option<ServerError>),
}

impl Subscription {
    pub(crate) fn new(
        id: String,
        name: String,
        state: watch::Receiver<SubscriptionState>,
        commands: Commands,
    ) -> Self {
        Self {
            id,
            name,
            state,
            commands,
        }
    }

    /// Its id on the wire.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The publication.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the initial data is there. Once it is, this is so for good: reconnects do not
    /// change it. Bound the time where the server may never be reached.
    ///
    /// # Errors
    ///
    /// [`Error::Server`] when the publication has failed, [`Error::Stopped`] when it has stopped,
    /// [`Error::Closed`] when the client was closed.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| *state != SubscriptionState::Pending);
        match settled.await.as_deref() {
            Ok(SubscriptionState::Stopped(Some(error))) => Err(Error::Server(error.clone())),
            Ok(SubscriptionState::Stopped(None)) => Err(Error::Stopped),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Closed),
        }
    }

    /// Whether the initial data is there.
    pub fn is_ready(&self) -> bool {
        *self.state.borrow() == SubscriptionState::Ready
    }

    /// Waits until the server ends the subscription, and tells why, unless it just stopped.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the client was closed.
    pub async fn stopped(&self) -> Result<Option<ServerError>, Error> {
        let mut state = self.state.clone();
        let stopped = state.wait_for(|state| matches!(state, SubscriptionState::Stopped(_)));
        match stopped.await.as_deref() {
            Ok(SubscriptionState::Stopped(error)) => Ok(error.clone()),
            _ => Err(Error::Closed),
        }
    }

    /// Ends the subscription, as dropping it does.
    pub fn stop(self) {}
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let _client_is_closed = self.commands.send(Command::Unsubscribe(self.id.clone()));
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}
