use std::io;
use std::time::Duration;

use http::StatusCode;
use http::header::LOCATION;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Response;

/// Why there is no connection, for people who look for what is wrong with an address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[cfg(feature = "tls")]
    #[error("no TLS is spoken there")]
    NoTls,
    #[cfg(feature = "tls")]
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("no HTTP is spoken there")]
    NoHttp,
    #[error("the server answers {0} instead of opening a WebSocket")]
    Status(StatusCode),
    #[error("the server answers {0} instead of opening a WebSocket, and leads to {1}")]
    Redirect(StatusCode, String),
    #[error("{0}")]
    WebSocket(Box<tungstenite::Error>),
}

impl From<tungstenite::Error> for DialError {
    fn from(error: tungstenite::Error) -> Self {
        use ProtocolError::{HttparseError, WrongHttpVersion};
        match error {
            tungstenite::Error::Http(response) => Self::from_answer(&response),
            tungstenite::Error::Io(error) => Self::Io(error),
            tungstenite::Error::Protocol(HttparseError(_) | WrongHttpVersion) => Self::NoHttp,
            other => Self::WebSocket(Box::new(other)),
        }
    }
}

impl DialError {
    fn from_answer(answer: &Response) -> Self {
        let status = answer.status();
        let location = answer.headers().get(LOCATION);
        match location.and_then(|location| location.to_str().ok()) {
            // what comes behind the path may be a secret
            Some(location) if status.is_redirection() => {
                let end = location.find(['?', '#']).unwrap_or(location.len());
                Self::Redirect(status, location[..end].to_owned())
            }
            _ => Self::Status(status),
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn from_tls(error: io::Error) -> Self {
        let cause = error.get_ref();
        match cause.and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidMessage(_)) => Self::NoTls,
            Some(_) => Self::Tls(error),
            None => Self::Io(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, location: &str) -> String {
        let answer = http::Response::builder().status(status);
        let answer = answer.header(LOCATION, location).body(None).unwrap();
        DialError::from(tungstenite::Error::Http(Box::new(answer))).to_string()
    }

    #[test]
    fn a_redirect_tells_where_to_but_no_secrets() {
        let expected = "the server answers 301 Moved Permanently instead of opening a WebSocket, \
                        and leads to https://a.test/websocket";
        let told = answer(301, "https://a.test/websocket?token=secret#secret");
        assert_eq!(told, expected);
        let told = answer(403, "https://a.test/");
        let expected = "the server answers 403 Forbidden instead of opening a WebSocket";
        assert_eq!(told, expected);
    }
}
