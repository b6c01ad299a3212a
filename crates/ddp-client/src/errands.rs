//! What handles have asked for, and who is to be told what came of it.

use std::collections::HashMap;

use ddp_protocol::Error as ServerError;
use ddp_protocol::client::{CallError, CallKey, Connection, LimitError};
use ddp_protocol::ejson::Value;
use tokio::sync::watch;

use crate::command::{CallCommand, Command, Reply, Request, Ticket};
use crate::subscription::SubscriptionState;

/// The calls and subscriptions of the handles. When it is dropped, those who wait learn that the
/// client is closed.
#[derive(Default)]
pub(crate) struct Errands {
    calls: HashMap<CallKey, (Ticket, Reply)>,
    tickets: HashMap<Ticket, CallKey>,
    subscriptions: HashMap<String, watch::Sender<SubscriptionState>>,
}

impl Errands {
    pub(crate) fn take(&mut self, command: Command, connection: &mut Connection) {
        match command {
            Command::Call(call) => self.call(call, connection),
            Command::Cancel(ticket) => {
                if let Some(call) = self.tickets.remove(&ticket) {
                    self.calls.remove(&call);
                    connection.cancel(call);
                }
            }
            Command::Subscribe {
                id,
                name,
                params,
                state,
                taken,
            } => {
                let outcome = connection.subscribe(&id, name, params);
                if outcome.is_ok() {
                    self.subscriptions.insert(id, state);
                }
                // whoever did not wait for the answer has dropped the subscription, which says so
                let _not_awaited = taken.send(outcome);
            }
            Command::Unsubscribe(id) => {
                self.subscriptions.remove(&id);
                connection.unsubscribe(&id);
            }
            Command::Reconnect | Command::Disconnect | Command::Close => {}
        }
    }

    fn call(&mut self, call: CallCommand, connection: &mut Connection) {
        match start(call.request, connection) {
            Ok(key) => {
                self.calls.insert(key, (call.ticket, call.reply));
                self.tickets.insert(call.ticket, key);
            }
            Err(limit) => {
                let _not_awaited = call.reply.send(Err(limit.into()));
            }
        }
    }

    pub(crate) fn finish_call(&mut self, call: CallKey, result: Result<Option<Value>, CallError>) {
        if let Some((ticket, reply)) = self.calls.remove(&call) {
            self.tickets.remove(&ticket);
            let _not_awaited = reply.send(result.map_err(Into::into));
        }
    }

    pub(crate) fn make_ready(&self, sub: &str) {
        if let Some(state) = self.subscriptions.get(sub) {
            state.send_replace(SubscriptionState::Ready);
        }
    }

    pub(crate) fn stop(&mut self, sub: &str, error: Option<ServerError>) {
        if let Some(state) = self.subscriptions.remove(sub) {
            state.send_replace(SubscriptionState::Stopped(error));
        }
    }
}

fn start(request: Request, connection: &mut Connection) -> Result<CallKey, LimitError> {
    match request {
        Request::Method {
            name,
            params,
            options,
        } => connection.call(name, params, options),
        Request::Login { options, deadline } => connection.login(options, Some(deadline)),
        Request::Logout { deadline } => connection.logout(Some(deadline)),
    }
}
