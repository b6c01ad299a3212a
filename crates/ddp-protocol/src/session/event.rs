use std::sync::Arc;

use super::queue::CallKey;
use crate::ejson::Value;
use crate::merge_box::SubscriptionKey;

/// Something that the application has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The client has said `connect` and was told the session's id.
    Connected,
    /// Run a method; answer with [`Session::method_returned`](super::Session::method_returned).
    Method {
        /// Names the call in commands.
        call: CallKey,
        /// The method.
        name: String,
        /// Its arguments.
        params: Vec<Value>,
        /// The seed for ids that client and server make alike.
        random_seed: Option<String>,
        /// Who the client is at the start of the call.
        user_id: Option<Arc<str>>,
    },
    /// Run a publication; say
    /// [`Session::publication_returned`](super::Session::publication_returned) when the handler
    /// has returned.
    Subscribe {
        /// Names the subscription in commands.
        sub: SubscriptionKey,
        /// Which publication, and for whom.
        origin: Origin,
        /// Who the client is. A subscription never sees another user: when that changes, it is
        /// stopped and begun again.
        user_id: Option<Arc<str>>,
        /// Whether it is begun again because the user has changed: the client has not asked for it
        /// anew.
        again: bool,
    },
    /// A subscription is over, for whatever reason: nobody listens to its publication any more.
    Stopped {
        /// The subscription.
        sub: SubscriptionKey,
    },
}

/// What a subscription came from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// The client asked for it.
    Client {
        /// The id that the client gave it.
        id: String,
        /// The publication.
        name: String,
        /// Its arguments.
        params: Vec<Value>,
    },
    /// Every client gets it: the universal publication of this number, counted from 0
    /// ([`Names::universal`](super::Names::universal)).
    Universal(usize),
}
