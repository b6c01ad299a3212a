//! What the server says to a connection.

use std::time::Instant;

use super::calls::{CallKey, Purpose};
use super::event::{CallError, Event, Loss, Status};
use super::quiescence::{Mark, Quiescence};
use super::{Connection, Phase};
use crate::Error;
use crate::ejson::Value;
use crate::heartbeat::Heartbeat;
use crate::message::{ClientMessage, Data, ResultError, Told};
use crate::session::VERSIONS;

impl Connection {
    pub(super) fn handle_message(&mut self, message: Told, bytes: usize, now: Instant) {
        match message {
            Told::Connected { session } if self.is_opening() => self.begin_session(session, now),
            Told::Failed { version } if self.is_opening() => self.change_version(&version),
            Told::Ping { id } => {
                let pong = ClientMessage::Pong { id };
                self.outbox.push_pong(pong.to_text());
            }
            Told::Pong => {}
            Told::Error { reason } => self.events.push_back(Event::Misunderstood { reason }),
            // twice the same, or before there is a session
            Told::Connected { .. } | Told::Failed { .. } => self.ignored += 1,
            _ if self.is_opening() => self.ignored += 1,
            Told::Result { id, result } => self.handle_result(&id, result),
            Told::NoSub { id, error } => self.end_subscription(id, error),
            Told::Data(data) => self.handle_data(data, bytes, now),
            Told::Ready { subs } => self.handle_mark(Mark::Ready(subs), bytes, now),
            Told::Updated { methods } => self.handle_mark(Mark::Updated(methods), bytes, now),
        }
    }

    fn begin_session(&mut self, session: Option<String>, now: Instant) {
        self.phase = Phase::Open;
        self.refused.clear();
        self.heartbeat = (self.version != "pre1").then(|| {
            let config = &self.config;
            Heartbeat::new(config.heartbeat_interval, config.heartbeat_timeout, now)
        });
        self.events.push_back(Event::Status(Status::Connected));
        let again = self.session.is_some();
        self.session = Some(session.unwrap_or_default());
        // On the first connection nothing is shown that could flap. Calls that have their result
        // but not their data do not hold anything back: they are over when the data is there.
        let on_the_way = self
            .calls
            .keys_where(|call| call.started && call.result.is_none() && (again || call.wait));
        let subs = self.subscriptions.ready_ids().cloned();
        let on_the_way = on_the_way.into_iter();
        self.quiescence.begin(subs, on_the_way, again, now);
        if !self.quiescence.is_waiting() {
            self.release();
        }
    }

    /// The server speaks another version. If it is one of ours, the next connection tries it.
    fn change_version(&mut self, wanted: &str) {
        self.refused.push(self.version);
        let wanted = VERSIONS.into_iter().find(|version| *version == wanted);
        match wanted.filter(|version| !self.refused.contains(version)) {
            Some(version) => {
                self.version = version;
                self.lose(Loss::OtherVersion);
            }
            None => {
                self.version = VERSIONS[0];
                self.refused.clear();
                self.lose(Loss::NoCommonVersion);
            }
        }
    }

    fn handle_result(&mut self, id: &str, result: Result<Option<Value>, ResultError>) {
        let key = CallKey::from_wire(id);
        let call = key.and_then(|key| self.calls.get_mut(key));
        let Some((key, call)) = key.zip(call).filter(|(_, call)| call.result.is_none()) else {
            self.ignored += 1;
            return;
        };
        if matches!(call.purpose, Purpose::Login | Purpose::Relogin)
            && let Ok(result) = &result
        {
            self.account.remember_token(result.as_ref());
        }
        call.result = Some(result.map_err(|error| match error {
            ResultError::Server(error) => CallError::Server(error),
            ResultError::Unreadable => CallError::UnreadableResult,
        }));
        self.finish_call(key);
    }

    /// Meteor's client, too, does not hold this back.
    fn end_subscription(&mut self, sub: String, error: Option<Error>) {
        self.release_after(|quiescence| quiescence.sub_is_done(&sub));
        if self.subscriptions.remove(&sub).is_some() {
            self.events.push_back(Event::Stopped { sub, error });
        }
    }

    fn handle_data(&mut self, data: Data, bytes: usize, now: Instant) {
        if !self.quiescence.is_waiting() {
            return self.apply(vec![data], false);
        }
        self.quiescence.hold_data(data, bytes, now);
        self.release_too_much();
    }

    fn handle_mark(&mut self, mark: Mark, bytes: usize, now: Instant) {
        if !self.quiescence.is_waiting() {
            return self.take_mark(mark);
        }
        self.quiescence.hold_mark(mark, bytes, now);
        if self.quiescence.is_waiting() {
            self.release_too_much();
        } else {
            self.release();
        }
    }

    fn release_too_much(&mut self) {
        if self.quiescence.held_bytes() > self.config.max_held_bytes {
            self.release_early();
        }
    }

    pub(super) fn release_overdue(&mut self, now: Instant) {
        let deadline = self.quiescence.deadline(self.config.max_hold_time);
        if deadline.is_some_and(|deadline| deadline <= now) {
            self.release_early();
        }
    }

    /// What is not whole yet is better than what is old for good, or what fills the memory.
    fn release_early(&mut self) {
        self.quiescence.stop_waiting();
        self.events.push_back(Event::ShownEarly);
        self.release();
    }

    /// Ends a reason to hold data back; if it was the last one, the data takes effect. Before
    /// there is a session nothing is held, and what is to be waited for is not known.
    pub(super) fn release_after(&mut self, end: impl FnOnce(&mut Quiescence)) {
        let was_waiting = self.quiescence.is_waiting();
        end(&mut self.quiescence);
        if was_waiting && !self.quiescence.is_waiting() && self.phase == Phase::Open {
            self.release();
        }
    }

    /// Nothing holds the data back any more: it takes effect at once.
    fn release(&mut self) {
        let (held, replaces) = self.quiescence.release();
        self.apply(held.data, replaces);
        for mark in held.marks {
            self.take_mark(mark);
        }
        if replaces {
            self.finish_calls_of_lost_sessions();
        }
    }

    /// The result of these calls came before the connection was lost, their data did not. If it
    /// is to be seen at all, it is there now.
    fn finish_calls_of_lost_sessions(&mut self) {
        let half = self
            .calls
            .keys_where(|call| call.result.is_some() && !call.started);
        for key in half {
            if let Some(call) = self.calls.get_mut(key) {
                call.updated = true;
            }
            self.finish_call(key);
        }
    }

    fn apply(&mut self, data: Vec<Data>, replaces: bool) {
        let changes = if replaces {
            self.store.replace(data)
        } else {
            self.store.apply(data)
        };
        self.events.extend(changes.into_iter().map(Event::Data));
    }

    fn take_mark(&mut self, mark: Mark) {
        match mark {
            Mark::Ready(subs) => {
                for sub in subs {
                    if self.subscriptions.make_ready(&sub) {
                        self.events.push_back(Event::Ready { sub });
                    }
                }
            }
            Mark::Updated(methods) => {
                for key in methods.iter().filter_map(|id| CallKey::from_wire(id)) {
                    if let Some(call) = self.calls.get_mut(key) {
                        call.updated = true;
                    }
                    self.finish_call(key);
                }
            }
        }
    }
}
