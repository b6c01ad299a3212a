use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ddp_protocol::client::{Backoff, BackoffPolicy, Connection, ConnectionConfig};
use ddp_protocol::ejson::TypeRegistry;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;

use crate::address::Address;
use crate::client::Client;
use crate::dial::Dialer;
use crate::driver::{Driver, Ending, Link};
use crate::errands::Errands;
use crate::error::Error;
use crate::shared::Shared;
use crate::status::Status;

/// Puts a [`Client`] together.
///
/// ```no_run
/// # async fn example() -> Result<(), ddp_client::Error> {
/// use std::time::Duration;
/// use ddp_client::Client;
///
/// let client = Client::builder("https://app.example.com")?
///     .header("user-agent", "example")?
///     .call_timeout(Duration::from_secs(10))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Builder {
    address: Address,
    headers: HeaderMap,
    config: ConnectionConfig,
    call_timeout: Duration,
    max_message_bytes: usize,
    backoff: BackoffPolicy,
    reconnects: bool,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Builder {
    pub(crate) fn new(address: &str) -> Result<Self, Error> {
        let address = Address::parse(address)?;
        if address.tls && cfg!(not(feature = "tls")) {
            let reason = "wss needs the feature `tls` of this crate";
            return Err(Error::Address(reason.to_owned()));
        }
        Ok(Self {
            address,
            headers: HeaderMap::new(),
            config: ConnectionConfig::default(),
            call_timeout: Duration::from_secs(60),
            max_message_bytes: 0x3ff_ffff,
            backoff: BackoffPolicy::default(),
            reconnects: true,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    /// Adds a header to the request that opens the WebSocket. Its value never shows up in what
    /// this crate writes.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for what cannot be a header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let invalid = |what: &str| Error::Option(format!("the {what} of a header"));
        let name = HeaderName::try_from(name).map_err(|_| invalid("name"))?;
        let mut value = HeaderValue::try_from(value).map_err(|_| invalid("value"))?;
        value.set_sensitive(true);
        self.headers.append(name, value);
        Ok(self)
    }

    /// How long it may take to open a connection, and how long the server may then take to give a
    /// session. Default: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// How long the server may take to answer the login that is repeated on a new connection. When
    /// it takes longer, another connection is made. Default: 30 s.
    pub fn login_timeout(mut self, timeout: Duration) -> Self {
        self.config.login_timeout = timeout;
        self
    }

    /// How long a call may take, the time without a connection included. Default: 60 s.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// How often to look whether the server still talks (zero: never), and how long it may take
    /// to answer a ping. Default: 17.5 s and 15 s, as Meteor's client.
    pub fn heartbeat(mut self, interval: Duration, timeout: Duration) -> Self {
        self.config.heartbeat_interval = interval;
        self.config.heartbeat_timeout = timeout;
        self
    }

    /// The longest message that is read; a longer one ends the connection. Default: 67,108,863
    /// bytes.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// How many calls may be unfinished, those that wait for a connection among them, and how
    /// many bytes they may have. Default: 10,000 calls and 16 MiB.
    pub fn max_calls(mut self, calls: usize, bytes: usize) -> Self {
        self.config.max_calls = calls;
        self.config.max_call_bytes = bytes;
        self
    }

    /// How many subscriptions may be open. Default: 1,000.
    pub fn max_subscriptions(mut self, subscriptions: usize) -> Self {
        self.config.max_subscriptions = subscriptions;
        self
    }

    /// For how long, and how many bytes of, data may be held back after a reconnect or while a
    /// `wait` call runs. Then it is shown as it is, and [`Event::ShownEarly`](crate::Event) tells.
    /// Default: 60 s and 64 MiB.
    pub fn max_held(mut self, time: Duration, bytes: usize) -> Self {
        self.config.max_hold_time = time;
        self.config.max_held_bytes = bytes;
        self
    }

    /// How long to wait before the next attempt to connect. Default: as Meteor's client.
    pub fn backoff(mut self, policy: BackoffPolicy) -> Self {
        self.backoff = policy;
        self
    }

    /// Whether a lost connection is replaced, and a failed attempt made again. Default: yes.
    pub fn reconnects(mut self, reconnects: bool) -> Self {
        self.reconnects = reconnects;
        self
    }

    /// The application's own EJSON types. Default: none; a message with one is not understood.
    pub fn types(mut self, types: TypeRegistry) -> Self {
        self.config.types = types;
        self
    }

    /// What to trust and how to prove who we are, for `wss`. Default: the certificates that the
    /// platform trusts, and no proof.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Connects, and waits until there is a session.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] when the first attempt fails.
    pub async fn connect(self) -> Result<Client, Error> {
        let client = self.spawn(true);
        let mut status = client.status();
        let settled = status.wait_for(|status| *status != Status::Connecting);
        match settled.await.as_deref() {
            Ok(Status::Connected) => {}
            Ok(Status::Failed { reason } | Status::Waiting { reason, .. }) => {
                return Err(Error::Connect(Arc::clone(reason)));
            }
            _ => return Err(Error::Closed),
        }
        Ok(client)
    }

    /// Begins to connect, and goes on until it works. Must be called in a tokio runtime.
    pub fn start(self) -> Client {
        self.spawn(false)
    }

    fn spawn(self, must_begin: bool) -> Client {
        let (commands, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new());
        let client = Client::new(Arc::clone(&shared), commands, self.call_timeout);
        let driver = Driver {
            dialer: Arc::new(Dialer {
                address: self.address,
                headers: self.headers,
                timeout: self.config.connect_timeout,
                max_message_bytes: self.max_message_bytes,
                #[cfg(feature = "tls")]
                tls: self.tls,
            }),
            connection: Connection::new(self.config),
            backoff: Backoff::new(self.backoff),
            reconnects: self.reconnects,
            must_begin,
            connected_at: None,
            commands: receiver,
            _ending: Ending(Arc::clone(&shared)),
            shared,
            errands: Errands::default(),
            link: Link::Idle,
            last_words: None,
        };
        tokio::spawn(driver.run());
        client
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("host", &self.address.host)
            .field("port", &self.address.port)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
