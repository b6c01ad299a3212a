use std::sync::Arc;

use ddp_protocol::client::{CallError, LimitError};
use ddp_protocol::ejson::SerdeError;

/// Why something did not work. No password or token ever shows up in it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server says so: a method or publication has failed.
    #[error(transparent)]
    Server(ddp_protocol::Error),
    /// The address makes no sense.
    #[error("no address of a DDP server: {0}")]
    Address(String),
    /// An option of the client makes no sense.
    #[error("invalid option: {0}")]
    Option(String),
    /// There is no connection, and the first attempt has failed.
    #[error("cannot connect: {0}")]
    Connect(Arc<str>),
    /// The server speaks no version of DDP that this client speaks.
    #[error("the server speaks no version of DDP that this client speaks")]
    NoCommonVersion,
    /// The arguments cannot be said in EJSON.
    #[error("the arguments cannot be sent: {0}")]
    Params(SerdeError),
    /// The arguments are no list.
    #[error("the arguments must be a tuple, an array or (), one item for each argument")]
    ParamsNoList,
    /// The result is not what was expected.
    #[error("the result is not as expected: {0}")]
    Result(SerdeError),
    /// The result is EJSON that cannot be read.
    #[error("the result cannot be read")]
    UnreadableResult,
    /// A document is not what was expected.
    #[error("a document is not as expected: {0}")]
    Document(SerdeError),
    /// The answer did not come in time. The method may have run, or run still.
    #[error("not answered in time")]
    Timeout,
    /// The connection was lost while a call was on its way that must not be sent twice. The
    /// method may have run.
    #[error("the connection was lost; the method may have run or not")]
    ConnectionLost,
    /// Too much is waiting already.
    #[error(transparent)]
    Limit(LimitError),
    /// The publication has stopped without an error.
    #[error("the subscription has ended")]
    Stopped,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Server(error) => Self::Server(error),
            CallError::UnreadableResult => Self::UnreadableResult,
            CallError::ConnectionLost => Self::ConnectionLost,
            CallError::Timeout => Self::Timeout,
            CallError::NoCommonVersion => Self::NoCommonVersion,
        }
    }
}

impl From<LimitError> for Error {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::NoCommonVersion => Self::NoCommonVersion,
            other => Self::Limit(other),
        }
    }
}
