use std::sync::Arc;

use ddp_protocol::ejson::{Fields, Value};
use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::{CallKey, Work};
use ddp_protocol::{DocumentId, Error, LiveChange};

/// What handlers and live collections say to a session. One channel carries all of it, so that a
/// method's result comes after the data that the method has written. What is large is in a box, as
/// commands lie side by side.
#[derive(Debug)]
pub(crate) enum Command {
    Unblock(Work),
    MethodReturned(Box<Returned>),
    BeginWrite(CallKey),
    CommitWrite(CallKey),
    Change(Box<Told>),
    SetUserId(Box<SetUserId>),
    StartUniversal,
    Live {
        sub: SubscriptionKey,
        change: Arc<LiveChange>,
    },
    Ready(SubscriptionKey),
    Stop(SubscriptionKey),
    Fail(SubscriptionKey, Box<Error>),
    PublicationReturned(SubscriptionKey),
    Close,
}

/// What a method has returned.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) call: CallKey,
    pub(crate) result: Result<Option<Value>, Error>,
}

/// A method makes the client another user.
#[derive(Debug)]
pub(crate) struct SetUserId {
    pub(crate) call: CallKey,
    pub(crate) user_id: Option<Arc<str>>,
}

/// What one publication says to one session.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) sub: SubscriptionKey,
    pub(crate) collection: Box<str>,
    pub(crate) change: Change,
}

/// What a publication says of a document.
#[derive(Debug)]
pub(crate) enum Change {
    Added {
        id: DocumentId,
        fields: Fields,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_small() {
        assert!(size_of::<Command>() <= 24, "{}", size_of::<Command>());
    }
}
