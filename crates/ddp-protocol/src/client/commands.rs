//! What the application wants of a connection, and what follows for its calls.

use std::time::Instant;

use super::calls::{CallKey, CallOptions, Purpose};
use super::event::{CallError, Event, LimitError, Loss, Status};
use super::{Connection, Phase};
use crate::ejson::Value;
use crate::message::ClientMessage;

impl Connection {
    /// Calls a method. Without a connection the call waits for one.
    ///
    /// # Errors
    ///
    /// [`LimitError`] when too much is waiting already, or when waiting is in vain.
    pub fn call(
        &mut self,
        method: impl Into<String>,
        params: Vec<Value>,
        options: CallOptions,
    ) -> Result<CallKey, LimitError> {
        self.start_call(Purpose::Plain, method.into(), params, options)
    }

    /// Logs in: calls the method `login` with these options as a `wait` call. When it succeeds,
    /// the token in its result is used to log in again after each reconnect.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn login(
        &mut self,
        login: Value,
        deadline: Option<Instant>,
    ) -> Result<CallKey, LimitError> {
        let options = CallOptions {
            wait: true,
            deadline,
            ..CallOptions::default()
        };
        self.start_call(Purpose::Login, "login".into(), vec![login], options)
    }

    /// Logs out: calls the method `logout` as a `wait` call. When it succeeds, the login is not
    /// repeated any more.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn logout(&mut self, deadline: Option<Instant>) -> Result<CallKey, LimitError> {
        let options = CallOptions {
            wait: true,
            deadline,
            ..CallOptions::default()
        };
        self.start_call(Purpose::Logout, "logout".into(), Vec::new(), options)
    }

    /// Sets the call that is sent ahead of everything else on each new connection, such as a
    /// login of another kind. It is a `wait` call; when it fails, it is not made again, and
    /// [`Event::LoginLost`] tells.
    pub fn set_on_reconnect(&mut self, call: Option<(String, Vec<Value>)>) {
        self.account.set_resume(call);
    }

    /// Nobody waits for this call any more: it is not sent, if it was not, and not sent again.
    pub fn cancel(&mut self, call: CallKey) {
        self.drop_call(call);
    }

    /// Subscribes to a publication. The id names the subscription; make it as Meteor does, of 17
    /// random characters, and use it only once: the end of a former subscription of the same id
    /// would be taken for the end of this one.
    ///
    /// # Errors
    ///
    /// [`LimitError`] when there are too many subscriptions, or one of this id.
    pub fn subscribe(
        &mut self,
        id: impl Into<String>,
        name: impl Into<String>,
        params: Vec<Value>,
    ) -> Result<(), LimitError> {
        let id = id.into();
        if self.subscriptions.contains(&id) {
            return Err(LimitError::SubscriptionId);
        }
        if self.subscriptions.len() >= self.config.max_subscriptions {
            return Err(LimitError::Subscriptions);
        }
        self.subscriptions.insert(id.clone(), name.into(), params);
        if !self.is_offline() {
            self.outbox.push_subscription(id);
        }
        Ok(())
    }

    /// Ends a subscription. What it alone had goes when the server says so.
    pub fn unsubscribe(&mut self, id: &str) {
        let Some(sent) = self.subscriptions.remove(id) else {
            return;
        };
        if sent {
            self.send(&ClientMessage::Unsub { id: id.to_owned() });
        } else {
            self.outbox.take_back_subscription(id);
            // the server will never answer for it
            self.release_after(|quiescence| quiescence.sub_is_done(id));
        }
    }

    /// Closes the connection. Calls and subscriptions stay, for the next one.
    pub fn disconnect(&mut self) {
        let loss = Loss::Requested;
        if self.is_offline() && self.phase != Phase::Offline(loss) {
            self.phase = Phase::Offline(loss);
            self.events.push_back(Event::Status(Status::Offline(loss)));
        }
        self.lose(loss);
    }

    fn start_call(
        &mut self,
        purpose: Purpose,
        method: String,
        params: Vec<Value>,
        options: CallOptions,
    ) -> Result<CallKey, LimitError> {
        if self.phase == Phase::Offline(Loss::NoCommonVersion) {
            return Err(LimitError::NoCommonVersion);
        }
        self.calls
            .check_room(self.config.max_calls, self.config.max_call_bytes)?;
        let key = self.calls.push(purpose, method, params, options);
        if !self.is_offline() {
            let starting = self.calls.start_pushed(key);
            self.start(starting);
        }
        Ok(key)
    }

    /// Sends the calls whose turn has come.
    pub(super) fn start_calls(&mut self) {
        if !self.is_offline() {
            let starting = self.calls.start();
            self.start(starting);
        }
    }

    fn start(&mut self, starting: Vec<CallKey>) {
        for key in starting {
            self.outbox.push_call(key);
            if self.calls.get(key).is_some_and(|call| call.wait) {
                self.quiescence.wait_for_call(key);
            }
        }
    }

    /// A call is over, without the data that it may still cause: nothing waits for it any more.
    fn drop_call(&mut self, key: CallKey) {
        let Some(call) = self.calls.remove(key) else {
            return;
        };
        if call.started && !call.sent {
            self.outbox.take_back_call(key);
        }
        self.release_after(|quiescence| quiescence.call_is_done(key));
        self.start_calls();
    }

    pub(super) fn fail_call(&mut self, call: CallKey, error: CallError) {
        self.events.push_back(Event::CallFinished {
            call,
            result: Err(error),
        });
        self.drop_call(call);
    }

    pub(super) fn give_up_overdue_calls(&mut self, now: Instant) {
        while let Some(key) = self.calls.overdue(now) {
            match self.calls.get(key).map(|call| call.purpose) {
                // the token may be as good as ever: it is tried again on the next connection
                Some(Purpose::Relogin) => self.lose(Loss::LoginTimeout),
                _ => self.fail_call(key, CallError::Timeout),
            }
        }
    }

    /// A call is over if its result and its data are there.
    pub(super) fn finish_call(&mut self, key: CallKey) {
        let done = |call: &super::calls::Call| call.result.is_some() && call.updated;
        if !self.calls.get(key).is_some_and(done) {
            return;
        }
        let Some(call) = self.calls.remove(key) else {
            return;
        };
        if let Some(result) = call.result {
            self.tell_result(key, call.purpose, result);
        }
        self.start_calls();
    }

    fn tell_result(
        &mut self,
        call: CallKey,
        purpose: Purpose,
        result: Result<Option<Value>, CallError>,
    ) {
        match (purpose, &result) {
            (Purpose::Login | Purpose::Relogin, Ok(result)) => {
                let id = result.as_ref().and_then(|result| result.get("id"));
                let id = id.and_then(Value::as_str).map(str::to_owned);
                // a call of the application's own making may say nothing of a user
                if id.is_some() {
                    self.set_user(id);
                }
            }
            (Purpose::Logout, Ok(_)) => {
                self.account.set_resume(None);
                self.set_user(None);
            }
            _ => {}
        }
        match (purpose, result) {
            (Purpose::Relogin, Ok(_)) => {}
            (Purpose::Relogin, Err(error)) => self.lose_login(error),
            (_, result) => self.events.push_back(Event::CallFinished { call, result }),
        }
    }

    fn lose_login(&mut self, error: CallError) {
        self.account.set_resume(None);
        self.set_user(None);
        self.events.push_back(Event::LoginLost(error));
    }

    fn set_user(&mut self, id: Option<String>) {
        if self.account.set_user(id.clone()) {
            self.events.push_back(Event::User { id });
        }
    }

    /// The connection is over. What was asked for stays, for the next one.
    pub(super) fn lose(&mut self, loss: Loss) {
        if self.is_offline() {
            return;
        }
        self.phase = Phase::Offline(loss);
        self.heartbeat = None;
        self.outbox.end(loss != Loss::Disconnected);
        self.quiescence.forget();
        self.subscriptions.lose_connection();
        self.events.push_back(Event::Status(Status::Offline(loss)));
        for call in self
            .calls
            .keys_where(|call| call.purpose == Purpose::Relogin)
        {
            self.calls.remove(call);
        }
        let lost = self.calls.lose_connection();
        // a server that refuses the version has looked at nothing else
        if loss != Loss::OtherVersion {
            for call in lost {
                self.fail_call(call, CallError::ConnectionLost);
            }
        }
        if loss == Loss::NoCommonVersion {
            for call in self.calls.keys_where(|_| true) {
                self.fail_call(call, CallError::NoCommonVersion);
            }
        }
    }
}
