//! What the client says to a session, and the order in which it is served.

use std::time::Instant;

use super::event::{Event, Origin};
use super::queue::{CallKey, Waiting, Work};
use super::{CloseReason, Phase, Session, VERSIONS};
use crate::Error;
use crate::ejson::Value;
use crate::heartbeat::Heartbeat;
use crate::merge_box::SubscriptionKey;
use crate::message::{Incoming, Kind, Request, ServerMessage};

impl Session {
    /// The order of checks matters: clients see which one failed.
    pub(super) fn handle_message(&mut self, message: Incoming, bytes: usize, now: Instant) {
        match (message.kind(), self.phase) {
            (_, Phase::Closed(_)) | (Kind::Pong, Phase::Open { pings: true }) => {}
            (Kind::Missing, _) => self.send_error("Bad request", Some(message.into_offending())),
            (Kind::Connect, Phase::Opening { .. }) => self.connect(&message, now),
            (Kind::Connect, Phase::Open { .. }) => {
                self.send_error("Already connected", Some(message.into_offending()));
            }
            (_, Phase::Opening { .. }) => {
                self.send_error("Must connect first", Some(message.into_offending()));
            }
            (Kind::Ping, Phase::Open { pings: true }) => {
                self.send(&ServerMessage::Pong {
                    id: message.id().cloned(),
                });
            }
            (Kind::Ping | Kind::Pong | Kind::Other, Phase::Open { .. }) => {
                let request = message.into_request();
                self.enqueue(Waiting { request, bytes });
            }
        }
    }

    fn connect(&mut self, message: &Incoming, now: Instant) {
        let Some(version) = negotiate(message) else {
            let best = message
                .versions()
                .and_then(|(_, support)| common_version(&support));
            self.send(&ServerMessage::Failed {
                version: best.unwrap_or(VERSIONS[0]).to_owned(),
            });
            return self.close_with(CloseReason::VersionMismatch);
        };
        let pings = version != "pre1";
        self.phase = Phase::Open { pings };
        self.heartbeat = pings.then(|| {
            Heartbeat::new(
                self.config.heartbeat_interval,
                self.config.heartbeat_timeout,
                now,
            )
        });
        self.send(&ServerMessage::Connected {
            session: self.id.to_string(),
        });
        self.events.push_back(Event::Connected);
        self.start_universal();
    }

    fn enqueue(&mut self, waiting: Waiting) {
        if self.queue.is_idle() && self.rerun.is_none() {
            return self.start(waiting);
        }
        let incoming = self.queue.bytes() + self.subscriptions.bytes();
        if self.queue.len() >= self.config.max_queued_messages
            || incoming > self.config.max_incoming_bytes
        {
            return self.refuse(waiting.request);
        }
        self.queue.push(waiting);
        self.advance();
    }

    /// Starts what waits, until something that runs holds the queue up.
    pub(super) fn advance(&mut self) {
        while self.is_open() && self.rerun.is_none() {
            let Some(waiting) = self.queue.next() else {
                return;
            };
            self.start(waiting);
        }
    }

    fn start(&mut self, waiting: Waiting) {
        match waiting.request {
            Request::Method {
                id,
                name,
                params,
                random_seed,
            } => self.start_method(id, name, params, random_seed),
            Request::Sub { id, name, params } => {
                self.start_publication(id, name, params, waiting.bytes);
            }
            Request::Unsub { id } => self.unsubscribe(id),
            Request::Refuse { reason, offending } => self.send_error(reason, Some(offending)),
        }
    }

    fn start_method(
        &mut self,
        id: String,
        name: String,
        params: Vec<Value>,
        random_seed: Option<String>,
    ) {
        if !self.names.has_method(&name) {
            return self.refuse_method(id, Error::not_found(format!("Method '{name}' not found")));
        }
        if self.calls.len() >= self.config.max_running_calls {
            let error = Error::new("too-many-requests", "Too many methods are running");
            return self.refuse_method(id, error);
        }
        let call = CallKey(self.key());
        self.calls.insert(call, id);
        self.queue.block(Work::Method(call));
        self.events.push_back(Event::Method {
            call,
            name,
            params,
            random_seed,
            user_id: self.user_id.clone(),
        });
    }

    fn start_publication(&mut self, id: String, name: String, params: Vec<Value>, bytes: usize) {
        if !self.names.has_publication(&name) {
            let error = Error::not_found(format!("Subscription '{name}' not found"));
            return self.send_nosub(Some(id.into()), Some(error));
        }
        if self.subscriptions.key_of(&id).is_some() {
            return;
        }
        if self.subscriptions.named() >= self.config.max_subscriptions
            || self.subscriptions.bytes() > self.config.max_incoming_bytes
        {
            let error = Error::new("too-many-subscriptions", "Too many subscriptions are open");
            return self.send_nosub(Some(id.into()), Some(error));
        }
        let sub = self.subscribe(Origin::Client { id, name, params }, bytes, false);
        self.queue.block(Work::Publication(sub));
    }

    /// Begins a subscription. `bytes` is the size of the message that asked for it.
    pub(super) fn subscribe(
        &mut self,
        origin: Origin,
        bytes: usize,
        again: bool,
    ) -> SubscriptionKey {
        let sub = SubscriptionKey(self.key());
        self.subscriptions.insert(sub, origin.clone(), bytes);
        self.events.push_back(Event::Subscribe {
            sub,
            origin,
            user_id: self.user_id.clone(),
            again,
        });
        sub
    }

    fn unsubscribe(&mut self, id: Option<Value>) {
        let sub = id
            .as_ref()
            .and_then(Value::as_str)
            .and_then(|id| self.subscriptions.key_of(id));
        match sub {
            Some(sub) => self.end_subscription(sub, None),
            None => self.send_nosub(id, None),
        }
    }

    /// Answers what does not fit into the queue any more. Subscriptions are ended nevertheless:
    /// that takes no room, and the client will not ask again.
    fn refuse(&mut self, request: Request) {
        const REASON: &str = "Too many messages are waiting to be processed";
        let error = || Error::new("too-many-requests", REASON);
        match request {
            Request::Method { id, .. } => self.refuse_method(id, error()),
            Request::Sub { id, .. } => self.send_nosub(Some(id.into()), Some(error())),
            Request::Unsub { id } => self.unsubscribe(id),
            Request::Refuse { .. } => self.send_error(REASON, None),
        }
    }

    fn refuse_method(&mut self, id: String, error: Error) {
        self.send(&ServerMessage::Result {
            id: id.clone(),
            result: Err(error),
        });
        self.send(&ServerMessage::Updated { methods: vec![id] });
    }
}

/// The version that both sides speak, if it is the one that the client proposed.
fn negotiate(message: &Incoming) -> Option<&str> {
    let (version, support) = message.versions()?;
    (common_version(&support).unwrap_or(VERSIONS[0]) == version).then_some(version)
}

/// The first of the client's versions that this server speaks.
fn common_version<'a>(support: &[&'a str]) -> Option<&'a str> {
    support
        .iter()
        .copied()
        .find(|version| VERSIONS.contains(version))
}
