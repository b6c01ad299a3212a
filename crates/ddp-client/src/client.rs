use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ddp_protocol::client;
use ddp_protocol::ejson::{self, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{oneshot, watch};

use crate::builder::Builder;
use crate::call::{self, CallOptions, Pending};
use crate::collection::Collection;
use crate::command::{CallCommand, Command, Commands, Request};
use crate::error::Error;
use crate::event::Events;
use crate::id::random_id;
use crate::login::{self, Login, Token, User};
use crate::shared::Shared;
use crate::status::Status;
use crate::subscription::{Subscription, SubscriptionState};
use crate::time::later;

/// A client of a DDP server. Clones are the same client.
///
/// It keeps itself connected: what is called and subscribed to while there is no connection waits
/// for the next one, and a lost connection is replaced without anybody noticing more than the
/// time it takes. It is closed by [`close`](Self::close), or when the last clone and the last
/// [`Subscription`] are dropped.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    commands: Commands,
    tickets: Arc<AtomicU64>,
    call_timeout: Duration,
}

impl Client {
    /// Connects to a server and waits until there is a session.
    ///
    /// Addresses are read as by Meteor's `DDP.connect`: `host:port`, `http(s)://…` and
    /// `ws(s)://…`, all with a path if the app has one; `/websocket` is added behind it.
    ///
    /// # Errors
    ///
    /// As [`Builder::connect`].
    pub async fn connect(address: &str) -> Result<Self, Error> {
        Self::builder(address)?.connect().await
    }

    /// Begins with an address and the usual options.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] when the address makes no sense.
    pub fn builder(address: &str) -> Result<Builder, Error> {
        Builder::new(address)
    }

    pub(crate) fn new(shared: Arc<Shared>, commands: Commands, call_timeout: Duration) -> Self {
        Self {
            shared,
            commands,
            tickets: Arc::default(),
            call_timeout,
        }
    }

    /// Calls a method. The arguments are a tuple, an array, or `()`; the result is what the
    /// caller says it is, and `undefined` is read as `null`.
    ///
    /// The call is over when its result is there *and* the collections have what it has written.
    /// Dropping the future takes the call back: it is not sent, if it was not yet, and not again.
    ///
    /// ```no_run
    /// # async fn example(client: ddp_client::Client) -> Result<(), ddp_client::Error> {
    /// let sum: f64 = client.call("add", (1, 2)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Server`] when the method has failed; [`Error::Timeout`] when the answer does not
    /// come in time; the other kinds of [`Error`] as they say.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: impl Serialize,
    ) -> Result<T, Error> {
        self.call_with(method, params, CallOptions::new()).await
    }

    /// As [`call`](Self::call), with options.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call), and [`Error::ConnectionLost`] for calls that must not be sent
    /// twice.
    pub async fn call_with<T: DeserializeOwned>(
        &self,
        method: &str,
        params: impl Serialize,
        options: CallOptions,
    ) -> Result<T, Error> {
        let params = call::params(&params)?;
        let result = self.call_value(method, params, options).await?;
        ejson::from_value(result.unwrap_or(Value::Null)).map_err(Error::Result)
    }

    /// As [`call_with`](Self::call_with), with EJSON values. A result of `None` is `undefined`.
    ///
    /// # Errors
    ///
    /// As [`call_with`](Self::call_with).
    pub async fn call_value(
        &self,
        method: &str,
        params: Vec<Value>,
        options: CallOptions,
    ) -> Result<Option<Value>, Error> {
        let deadline = later(options.timeout.unwrap_or(self.call_timeout));
        let request = Request::Method {
            name: method.to_owned(),
            params,
            options: client::CallOptions {
                wait: options.wait,
                no_retry: options.no_retry,
                deadline: Some(deadline),
                random_seed: options.random_seed,
            },
        };
        self.request(request).await
    }

    /// Logs in with a password, which travels as its digest. After a reconnect the client logs in
    /// again by itself, with the token that the server gave it.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub async fn login_with_password(
        &self,
        user: impl Into<User>,
        password: &str,
    ) -> Result<Login, Error> {
        self.login(login::by_password(user.into(), password)).await
    }

    /// Logs in with a token that an earlier login has brought.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub async fn login_with_token(&self, token: impl Into<Token>) -> Result<Login, Error> {
        self.login(login::by_token(&token.into())).await
    }

    /// Logs in with what a login handler of the server understands, such as
    /// `object! { "password": … }`.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub async fn login(&self, options: Value) -> Result<Login, Error> {
        let deadline = later(self.call_timeout);
        let result = self.request(Request::Login { options, deadline }).await?;
        let login = result.as_ref().and_then(Login::read);
        login.ok_or(Error::UnreadableResult)
    }

    /// Logs out.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub async fn logout(&self) -> Result<(), Error> {
        let deadline = later(self.call_timeout);
        self.request(Request::Logout { deadline }).await.map(drop)
    }

    /// The user that is logged in.
    pub fn user_id(&self) -> Option<String> {
        self.shared.user.borrow().clone()
    }

    /// Subscribes to a publication. The documents come into the [`collection`](Self::collection)s;
    /// [`Subscription::ready`] tells when those that there are have come.
    ///
    /// # Errors
    ///
    /// [`Error::Params`] and [`Error::ParamsNoList`] for arguments that cannot be sent,
    /// [`Error::Limit`] when there are too many subscriptions, [`Error::Closed`].
    pub async fn subscribe(
        &self,
        name: &str,
        params: impl Serialize,
    ) -> Result<Subscription, Error> {
        let params = call::params(&params)?;
        let (id, name) = (random_id(), name.to_owned());
        let (state, receiver) = watch::channel(SubscriptionState::Pending);
        let (taken, outcome) = oneshot::channel();
        let command = Command::Subscribe {
            id: id.clone(),
            name: name.clone(),
            params,
            state,
            taken,
        };
        self.commands.send(command).map_err(|_| Error::Closed)?;
        // made before the answer is awaited: if nobody waits for it, this ends the subscription
        let subscription = Subscription::new(id, name, receiver, self.commands.clone());
        outcome.await.map_err(|_| Error::Closed)??;
        Ok(subscription)
    }

    /// A collection of documents. It need not exist on the server, or not yet.
    pub fn collection(&self, name: &str) -> Collection {
        self.shared.collection(name)
    }

    /// Whether the client is connected, to look at and to wait for changes.
    ///
    /// ```no_run
    /// # async fn example(client: ddp_client::Client) {
    /// use ddp_client::Status;
    ///
    /// let mut status = client.status();
    /// let _closed = status.wait_for(|status| *status == Status::Connected).await;
    /// # }
    /// ```
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    /// What happens from now on, for a user interface. Who does not ask for it in time misses the
    /// oldest events, and is told how many.
    pub fn events(&self) -> Events {
        Events(self.shared.listen())
    }

    /// Connects now, if there is no connection.
    pub fn reconnect(&self) {
        let _client_is_closed = self.commands.send(Command::Reconnect);
    }

    /// Closes the connection until [`reconnect`](Self::reconnect) is called. Calls and
    /// subscriptions wait for that.
    pub fn disconnect(&self) {
        let _client_is_closed = self.commands.send(Command::Disconnect);
    }

    /// Closes the client and waits until that is done. Calls that are not over fail with
    /// [`Error::Closed`].
    pub async fn close(&self) {
        let mut status = self.status();
        let _client_is_closed = self.commands.send(Command::Close);
        let _client_is_closed = status.wait_for(|status| *status == Status::Closed).await;
    }

    async fn request(&self, request: Request) -> Result<Option<Value>, Error> {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let pending = Pending {
            ticket,
            commands: self.commands.clone(),
            answer,
            answered: false,
        };
        let call = CallCommand {
            ticket,
            request,
            reply,
        };
        let sent = self.commands.send(Command::Call(call));
        sent.map_err(|_| Error::Closed)?;
        pending.wait().await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("status", &*self.shared.status.borrow())
            .finish_non_exhaustive()
    }
}
