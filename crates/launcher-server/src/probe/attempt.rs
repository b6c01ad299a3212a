//! One probe while it goes on: whom it asks, until when, and why it came to nothing.

use std::{fmt, future::Future, io, time::Duration};

use launcher_core::health::{ProbeTarget, in_words};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// How the launcher introduces itself.
pub(super) const USER_AGENT: &str = "meteor-launcher-probe";

pub(super) struct Attempt<'a> {
    pub(super) target: &'a ProbeTarget,
    until: Instant,
}

/// Why a probe came to nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What came is not HTTP.
    NotHttp,
    /// The connection was closed before anything came.
    Closed,
    /// Anything else, in words.
    Other(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "the answer is not HTTP",
            Self::Closed => "the connection was closed without an answer",
            Self::Other(why) => why,
        })
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn new(target: &'a ProbeTarget) -> Self {
        Self {
            target,
            until: Instant::now() + target.timeout,
        }
    }

    pub(super) async fn connect(&self) -> Result<TcpStream, Refusal> {
        let address = (self.target.host.as_str(), self.target.port);
        let connected = self.within(TcpStream::connect(address)).await;
        let connected = connected.ok_or_else(|| self.too_late("no connection"))?;
        connected.map_err(|error| Refusal::Other(in_short(&error).to_owned()))
    }

    /// What comes of it, unless the probe's time is over before.
    pub(super) async fn within<F: Future>(&self, work: F) -> Option<F::Output> {
        timeout_at(self.until, work).await.ok()
    }

    /// The same, but not longer than that.
    pub(super) async fn briefly<F: Future>(&self, most: Duration, work: F) -> Option<F::Output> {
        let until = self.until.min(Instant::now() + most);
        timeout_at(until, work).await.ok()
    }

    /// `what` … within the time that the probe had.
    pub(super) fn too_late(&self, what: &str) -> Refusal {
        let time = in_words(self.target.timeout);
        Refusal::Other(format!("{what} within {time}"))
    }

    /// A path below the one that the app is at.
    pub(super) fn path(&self, path: &str) -> String {
        let prefix = self.target.prefix.as_deref().unwrap_or_default();
        format!("{prefix}{path}")
    }

    /// What goes into `Host`.
    pub(super) fn host(&self) -> String {
        let target = self.target;
        match &target.hostname {
            Some(hostname) => hostname.to_string(),
            None if target.host.contains(':') => format!("[{}]:{}", target.host, target.port),
            None => format!("{}:{}", target.host, target.port),
        }
    }

    /// What goes into `X-Forwarded-Proto`.
    pub(super) fn proto(&self) -> &'static str {
        match self.target.https {
            true => "https",
            false => "http",
        }
    }
}

fn in_short(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "host unreachable",
        io::ErrorKind::TimedOut => "no connection",
        _ => "connection failed",
    }
}
