use std::time::Duration;

use ddp_protocol::ejson::{self, Value};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::command::{Command, Commands, Ticket};
use crate::error::Error;

/// How a method is to be called; [`Client::call_with`](crate::Client::call_with) takes it.
///
/// ```
/// use std::time::Duration;
/// use ddp_client::CallOptions;
///
/// let options = CallOptions::new().no_retry().timeout(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct CallOptions {
    pub(crate) wait: bool,
    pub(crate) no_retry: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) random_seed: Option<String>,
}

impl CallOptions {
    /// A call like any other.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends the call when all earlier ones are over, and later ones when it is over. All data is
    /// held back meanwhile.
    pub fn wait(mut self) -> Self {
        self.wait = true;
        self
    }

    /// Lets the call fail with [`Error::ConnectionLost`] when the connection is lost while it is
    /// on its way. Otherwise it is sent again, and the method may run twice.
    pub fn no_retry(mut self) -> Self {
        self.no_retry = true;
        self
    }

    /// Gives up after this time, whether the client is connected or not. Default: what the
    /// builder's [`call_timeout`](crate::Builder::call_timeout) says.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The seed for ids that client and server make alike.
    pub fn random_seed(mut self, seed: impl Into<String>) -> Self {
        self.random_seed = Some(seed.into());
        self
    }
}

/// A call that somebody waits for. Dropping it takes the call back.
pub(crate) struct Pending {
    pub(crate) ticket: Ticket,
    pub(crate) commands: Commands,
    pub(crate) answer: oneshot::Receiver<Result<Option<Value>, Error>>,
    pub(crate) answered: bool,
}

impl Pending {
    pub(crate) async fn wait(mut self) -> Result<Option<Value>, Error> {
        let answer = (&mut self.answer).await;
        self.answered = true;
        answer.unwrap_or(Err(Error::Closed))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.answered {
            let _client_is_closed = self.commands.send(Command::Cancel(self.ticket));
        }
    }
}

/// The arguments as a list. `()` is none.
pub(crate) fn params(params: &(impl Serialize + ?Sized)) -> Result<Vec<Value>, Error> {
    match ejson::to_result(params).map_err(Error::Params)? {
        Some(Value::Array(params)) => Ok(params),
        None => Ok(Vec::new()),
        Some(_) => Err(Error::ParamsNoList),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_a_list() {
        assert_eq!(params(&(1, "x")).unwrap(), [1.into(), "x".into()]);
        assert_eq!(params(&[1]).unwrap(), [1.into()]);
        assert_eq!(params(&vec![Value::Null]).unwrap(), [Value::Null]);
        assert_eq!(params(&((),)).unwrap(), [Value::Null]);
        assert!(params(&()).unwrap().is_empty());
        assert!(matches!(params("x"), Err(Error::ParamsNoList)));
        assert!(matches!(params(&(u64::MAX,)), Err(Error::Params(_))));
    }
}
