//! Both machines, and what is on the wire.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use ddp_protocol::client::{
    self, CallError, CallKey, CallOptions, Connection, ConnectionConfig, Status,
};
use ddp_protocol::ejson::{Fields, Value};
use ddp_protocol::session;

use crate::server::Server;

/// Client and server, and the frames between them.
pub(crate) struct World {
    pub(crate) client: Connection,
    pub(crate) server: Server,
    pub(crate) to_server: VecDeque<String>,
    pub(crate) to_client: VecDeque<String>,
    pub(crate) sent: Vec<String>,
    pub(crate) finished: BTreeMap<CallKey, Vec<Result<Option<Value>, CallError>>>,
    pub(crate) changes: Vec<client::Change>,
    pub(crate) stopped: Vec<String>,
    pub(crate) mirror: BTreeMap<String, Fields>,
    pub(crate) now: Instant,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            client: Connection::new(ConnectionConfig::default()),
            server: Server::new(),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            sent: Vec::new(),
            finished: BTreeMap::new(),
            changes: Vec::new(),
            stopped: Vec::new(),
            mirror: BTreeMap::new(),
            now: Instant::now(),
        }
    }

    pub(crate) fn connected() -> Self {
        let mut world = World::new();
        world.open();
        world.settles();
        world
    }

    pub(crate) fn open(&mut self) {
        if matches!(self.client.status(), Status::Offline(_)) {
            self.server.open();
            self.client.handle_open(self.now);
        }
    }

    /// Everything that is on its way is lost, on both sides.
    pub(crate) fn cut(&mut self) {
        self.to_server.clear();
        self.to_client.clear();
        self.client.handle_disconnect();
        self.server.session.handle_disconnect();
        self.listens();
    }

    pub(crate) fn client_sends(&mut self) -> bool {
        let Some(client::Transmit::Text(frame)) = self.client.poll_transmit() else {
            return false;
        };
        self.sent.push(frame.clone());
        self.to_server.push_back(frame);
        true
    }

    pub(crate) fn server_sends(&mut self) -> bool {
        let Some(session::Transmit::Text(frame)) = self.server.session.poll_transmit() else {
            return false;
        };
        self.to_client.push_back(frame.into_string());
        true
    }

    pub(crate) fn server_hears(&mut self) -> bool {
        let frame = self.to_server.pop_front();
        if let Some(frame) = &frame {
            self.server.session.handle_text(frame, self.now);
        }
        frame.is_some()
    }

    pub(crate) fn client_hears(&mut self) -> bool {
        let frame = self.to_client.pop_front();
        if let Some(frame) = &frame {
            self.client.handle_text(frame, self.now);
        }
        self.listens();
        frame.is_some()
    }

    /// Until nobody has anything to do.
    pub(crate) fn settles(&mut self) {
        while self.client_sends()
            | self.server_hears()
            | self.server.works()
            | self.server_sends()
            | self.client_hears()
        {}
    }

    /// What the application hears, and that it makes sense.
    pub(crate) fn listens(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                client::Event::CallFinished { call, result } => {
                    self.finished.entry(call).or_default().push(result);
                }
                client::Event::Data(change) => {
                    self.follow(&change);
                    self.changes.push(change);
                }
                client::Event::Stopped { sub, .. } => self.stopped.push(sub),
                _ => {}
            }
        }
    }

    /// Each change begins where the last one ended.
    pub(crate) fn follow(&mut self, change: &client::Change) {
        let id = change.id.to_string();
        let before = change.before.as_deref();
        assert_eq!(self.mirror.get(&id), before, "{id}");
        assert_ne!(change.before, change.after, "a change that is none");
        match &change.after {
            Some(after) => self.mirror.insert(id, (**after).clone()),
            None => self.mirror.remove(&id),
        };
    }

    pub(crate) fn subscribe(&mut self, id: &str, name: &str) {
        self.client.subscribe(id, name, vec![]).unwrap();
    }

    pub(crate) fn set(&mut self, id: &str, n: i32, options: CallOptions) -> CallKey {
        let ticket = self.server.runs.len().to_string();
        self.set_with_ticket(id, Some(n), &ticket, options)
    }

    pub(crate) fn set_with_ticket(
        &mut self,
        id: &str,
        n: Option<i32>,
        ticket: &str,
        options: CallOptions,
    ) -> CallKey {
        let n = n.map_or(Value::Null, Value::from);
        let params = vec![id.into(), n, ticket.into()];
        self.client.call("set", params, options).unwrap()
    }

    /// What kinds of message the client has sent since this was last asked.
    pub(crate) fn said(&mut self) -> Vec<String> {
        let frames = std::mem::take(&mut self.sent);
        let kind = |frame: String| frame.split('"').nth(3).unwrap().to_owned();
        frames.into_iter().map(kind).collect()
    }

    pub(crate) fn assert_same_data(&self, publications: &[&str]) {
        let documents = self.client.collection("docs");
        let documents: BTreeMap<String, Fields> = documents
            .into_iter()
            .flatten()
            .map(|(id, fields)| (id.to_string(), (**fields).clone()))
            .collect();
        assert_eq!(documents, self.server.published(publications));
        assert_eq!(documents, self.mirror);
    }
}
