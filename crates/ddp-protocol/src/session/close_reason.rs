use std::fmt;

/// Why a session was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// No version of DDP that both sides speak.
    VersionMismatch,
    /// The client did not say `connect` in time.
    ConnectTimeout,
    /// The client did not answer a ping in time.
    HeartbeatTimeout,
    /// The application asked for it.
    Application,
    /// The connection is gone.
    Disconnected,
    /// The client reads more slowly than it is written to.
    SlowReader,
    /// The client sends more messages than are allowed in a time.
    TooManyMessages,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VersionMismatch => "no common version of DDP",
            Self::ConnectTimeout => "the client never said connect",
            Self::HeartbeatTimeout => "the client did not answer a ping",
            Self::Application => "closed by the server",
            Self::Disconnected => "the connection is gone",
            Self::SlowReader => "the client does not read what it is sent",
            Self::TooManyMessages => "the client sends too many messages",
        })
    }
}
