use std::fmt;

use super::calls::CallKey;
use super::store::Change;
use crate::Error;
use crate::ejson::Value;

/// Something that the application may want to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The connection is in another state.
    Status(Status),
    /// A call is over. It is told once for each call, unless the call was
    /// [cancelled](super::Connection::cancel).
    CallFinished {
        /// The call.
        call: CallKey,
        /// What came of it; `Ok(None)` is JavaScript's `undefined`.
        result: Result<Option<Value>, CallError>,
    },
    /// The initial data of a subscription is there. It is told once, not after every reconnect.
    Ready {
        /// The subscription.
        sub: String,
    },
    /// The server has ended a subscription.
    Stopped {
        /// The subscription.
        sub: String,
        /// Why, unless its publication just stopped.
        error: Option<Error>,
    },
    /// A document has come, changed or gone.
    Data(Change),
    /// Data was held back for longer than `max_hold_time`, or more of it than `max_held_bytes`. It
    /// takes effect, though not all is there that was there before.
    ShownEarly,
    /// Another user is logged in, or none.
    User {
        /// The user.
        id: Option<String>,
    },
    /// The login could not be repeated on a new connection: nobody is logged in any more.
    LoginLost(CallError),
    /// The server did not understand a message. Its reason; the message is not repeated here,
    /// since it may hold a secret.
    Misunderstood {
        /// What the server says.
        reason: String,
    },
}

/// The state of a [`Connection`](super::Connection).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// There is no connection, and this is why.
    Offline(Loss),
    /// The server was asked for a session.
    Connecting,
    /// There is a session.
    Connected,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// There was none yet.
    NeverConnected,
    /// It was closed by the server, or broke.
    Disconnected,
    /// The server did not answer `connect` in time.
    ConnectTimeout,
    /// The server did not answer a ping in time.
    HeartbeatTimeout,
    /// The server speaks another version of DDP, which is to be tried at once.
    OtherVersion,
    /// The server speaks no version of DDP that this client speaks. A new attempt makes sense
    /// only with another server.
    NoCommonVersion,
    /// The server did not answer the repeated login in time.
    LoginTimeout,
    /// [`disconnect`](super::Connection::disconnect) was called.
    Requested,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverConnected => "not connected yet",
            Self::Disconnected => "the connection is gone",
            Self::ConnectTimeout => "the server did not answer in time",
            Self::HeartbeatTimeout => "the server did not answer a ping",
            Self::OtherVersion => "the server speaks another version of DDP",
            Self::NoCommonVersion => "no common version of DDP",
            Self::LoginTimeout => "the server did not answer the login in time",
            Self::Requested => "disconnected on request",
        })
    }
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The method, or the server before it, has failed.
    #[error(transparent)]
    Server(Error),
    /// The result is EJSON that cannot be read.
    #[error("the server's result cannot be read")]
    UnreadableResult,
    /// The connection was lost while the call was on its way, and it must not be sent twice
    /// (`no_retry`). The method may have run.
    #[error("the connection was lost; the method may have run or not")]
    ConnectionLost,
    /// The result was not there in time. The method may have run, or run still.
    #[error("the call was not answered in time")]
    Timeout,
    /// The server speaks no version of DDP that this client speaks.
    #[error("the server speaks no version of DDP that this client speaks")]
    NoCommonVersion,
}

/// Too much is waiting already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// More calls are unfinished than `max_calls`.
    #[error("too many calls are unfinished")]
    Calls,
    /// The messages of unfinished calls have more bytes than `max_call_bytes`.
    #[error("the unfinished calls take too many bytes")]
    CallBytes,
    /// More subscriptions are open than `max_subscriptions`.
    #[error("too many subscriptions are open")]
    Subscriptions,
    /// There is a subscription of this id.
    #[error("the id of the subscription is in use")]
    SubscriptionId,
    /// The server speaks no version of DDP that this client speaks.
    #[error("the server speaks no version of DDP that this client speaks")]
    NoCommonVersion,
}
