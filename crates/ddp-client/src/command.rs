use std::time::Instant;

use ddp_protocol::client::{CallOptions, LimitError};
use ddp_protocol::ejson::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::Error;
use crate::subscription::SubscriptionState;

/// What handles ask of the client's task.
pub(crate) enum Command {
    Call(CallCommand),
    /// Nobody waits for the call of this ticket any more.
    Cancel(Ticket),
    Subscribe {
        id: String,
        name: String,
        params: Vec<Value>,
        state: watch::Sender<SubscriptionState>,
        taken: oneshot::Sender<Result<(), LimitError>>,
    },
    Unsubscribe(String),
    Reconnect,
    Disconnect,
    Close,
}

/// A call, before the connection has given it an id.
pub(crate) struct CallCommand {
    pub(crate) ticket: Ticket,
    pub(crate) request: Request,
    pub(crate) reply: Reply,
}

pub(crate) type Ticket = u64;
pub(crate) type Reply = oneshot::Sender<Result<Option<Value>, Error>>;
pub(crate) type Commands = mpsc::UnboundedSender<Command>;

pub(crate) enum Request {
    Method {
        name: String,
        params: Vec<Value>,
        options: CallOptions,
    },
    Login {
        options: Value,
        deadline: Instant,
    },
    Logout {
        deadline: Instant,
    },
}
