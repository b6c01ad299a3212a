use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::error::Error;
use crate::status::Status;

/// Something that a user interface may want to show.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The connection is in another state.
    Status(Status),
    /// Another user is logged in, or none.
    User(Option<String>),
    /// Data was held back for too long after a reconnect or for a `wait` call, or too much of it
    /// ([`Builder::max_held`](crate::Builder::max_held)). It is shown now, though documents that
    /// were there before may be missing until the server sends them.
    ShownEarly,
    /// The login could not be repeated after a reconnect: nobody is logged in any more.
    LoginLost(Error),
    /// The server did not understand a message of ours; this is what it says.
    Misunderstood(String),
    /// So many events were not seen, because nobody asked for them in time.
    Missed(u64),
}

/// The events of a client, from [`Client::events`](crate::Client::events).
#[derive(Debug)]
pub struct Events(pub(crate) broadcast::Receiver<Event>);

impl Events {
    /// Waits for the next event. `None` when the client is closed.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}
