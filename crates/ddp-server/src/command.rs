use std::sync::Arc;

use ddp_protocol::ejson::{Fields, Value};
use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::{CallKey, Work};
use ddp_protocol::{DocumentId, Error};
use tokio::sync::mpsc;

/// What handlers and live collections say to a session. One channel carries all of it, so that a
/// method's result comes after the data that the method has written.
#[derive(Debug)]
pub(crate) enum Command {
    Unblock(Work),
    MethodReturned {
        call: CallKey,
        result: Result<Option<Value>, Error>,
    },
    BeginWrite(CallKey),
    CommitWrite(CallKey),
    Change {
        sub: SubscriptionKey,
        collection: Arc<str>,
        change: Arc<Change>,
    },
    Ready(SubscriptionKey),
    Stop(SubscriptionKey),
    Fail(SubscriptionKey, Error),
    PublicationReturned(SubscriptionKey),
    Close,
}

/// What has happened to a document; shared by all the sessions that hear of it.
#[derive(Debug)]
pub(crate) enum Change {
    Added {
        id: DocumentId,
        fields: Arc<Fields>,
    },
    Changed {
        id: DocumentId,
        fields: Fields,
        cleared: Vec<String>,
    },
    Removed {
        id: DocumentId,
    },
}

/// The way to a session's task. Talking to a session that is over does nothing.
#[derive(Debug, Clone)]
pub(crate) struct Commands(mpsc::UnboundedSender<Command>);

impl Commands {
    /// The channel is bounded by what may wait for the client, since the session's task never
    /// stops emptying it.
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<Command>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub(crate) fn send(&self, command: Command) {
        let _session_is_over = self.0.send(command);
    }
}
