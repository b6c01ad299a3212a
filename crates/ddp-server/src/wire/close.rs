use ddp_protocol::session::CloseReason;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding;

/// Why a connection is closed, as the client is told (RFC 6455 §7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseCode {
    /// 1000.
    Normal,
    /// 1002: what was said is no WebSocket message.
    Protocol,
    /// 1007: a text is no UTF-8.
    Invalid,
    /// 1008: the client says more than it may.
    TooMuch,
    /// 1009.
    TooLong,
    /// 1013: the client does not keep up. Nothing that it has said is wrong, and when it comes
    /// again it begins with what is true then.
    TryAgainLater,
    /// 3000: a text is no frame of SockJS.
    BrokenFraming,
    /// 3000: the client did not answer a ping of SockJS.
    NoHeartbeat,
}

impl CloseCode {
    /// The code for why a session is over.
    pub(crate) fn of_session(reason: CloseReason) -> Self {
        match reason {
            CloseReason::SlowReader => Self::TryAgainLater,
            CloseReason::TooManyMessages => Self::TooMuch,
            _ => Self::Normal,
        }
    }

    pub(crate) fn number(self) -> u16 {
        coding::CloseCode::from(self).into()
    }

    /// What the client is told besides.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Normal => "Normal closure",
            Self::Protocol | Self::Invalid | Self::TooLong => "",
            Self::TooMuch => "Too many messages",
            Self::TryAgainLater => "Too much waits to be read",
            Self::BrokenFraming => "Broken framing.",
            Self::NoHeartbeat => "No response from heartbeat",
        }
    }

    /// Whether the session ends, and not only what it was heard on.
    pub(super) fn ends_session(self) -> bool {
        matches!(
            self,
            Self::Normal | Self::TooMuch | Self::TryAgainLater | Self::NoHeartbeat
        )
    }

    /// The code for what went wrong, where the client can still be told one.
    pub(super) fn of_error(error: &Error) -> Option<Self> {
        match error {
            Error::Capacity(_) => Some(Self::TooLong),
            Error::Utf8(_) => Some(Self::Invalid),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
            Error::Protocol(_) => Some(Self::Protocol),
            _ => None,
        }
    }
}

impl From<CloseCode> for coding::CloseCode {
    fn from(code: CloseCode) -> Self {
        match code {
            CloseCode::Normal => Self::Normal,
            CloseCode::Protocol => Self::Protocol,
            CloseCode::Invalid => Self::Invalid,
            CloseCode::TooMuch => Self::Policy,
            CloseCode::TooLong => Self::Size,
            CloseCode::TryAgainLater => Self::Again,
            CloseCode::BrokenFraming | CloseCode::NoHeartbeat => Self::Library(3000),
        }
    }
}
