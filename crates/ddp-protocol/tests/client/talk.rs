//! A client, and a server made of strings.

use ddp_protocol::ejson::Value;
use ddp_protocol::json;
use std::time::{Duration, Instant};

use ddp_protocol::client::{
    CallError, CallKey, CallOptions, Connection, ConnectionConfig, Event, Transmit,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A client, and a server made of strings.
pub(crate) struct Talk {
    pub(crate) client: Connection,
    pub(crate) now: Instant,
}

impl Talk {
    pub(crate) fn new(config: ConnectionConfig) -> Self {
        Self {
            client: Connection::new(config),
            now: Instant::now(),
        }
    }

    pub(crate) fn connected() -> Self {
        let mut talk = Self::new(ConnectionConfig::default());
        talk.connects();
        talk.happens();
        talk
    }

    /// Opens a connection, and the server agrees. What the client said.
    pub(crate) fn connects(&mut self) -> Vec<String> {
        self.client.handle_open(self.now);
        let said = self.says();
        self.hears(r#"{"msg":"connected","session":"S"}"#);
        said
    }

    /// Opens a connection to a server that answers all it is asked at once.
    pub(crate) fn connects_and_answers(&mut self) {
        for frame in self.connects() {
            self.answers(&frame);
        }
    }

    /// The server answers a message as a server does that publishes nothing.
    pub(crate) fn answers(&mut self, frame: &str) {
        let message = json::parse(frame).unwrap();
        let text = |key| message.get(key).and_then(Value::as_str).unwrap_or_default();
        let id = text("id");
        match text("msg") {
            "method" => {
                self.hears(&format!(r#"{{"msg":"updated","methods":["{id}"]}}"#));
                self.hears(&format!(r#"{{"msg":"result","id":"{id}"}}"#));
            }
            "sub" => self.hears(&ready(id)),
            "unsub" => self.hears(&format!(r#"{{"msg":"nosub","id":"{id}"}}"#)),
            _ => {}
        }
    }

    pub(crate) fn reconnects(&mut self) -> Vec<String> {
        self.client.handle_disconnect();
        self.connects()
    }

    pub(crate) fn hears(&mut self, frame: &str) {
        self.client.handle_text(frame, self.now);
    }

    /// What the client sends; a close is an empty frame.
    pub(crate) fn says(&mut self) -> Vec<String> {
        let frames = std::iter::from_fn(|| self.client.poll_transmit());
        frames
            .map(|transmit| match transmit {
                Transmit::Text(frame) => frame,
                Transmit::Close => String::new(),
            })
            .collect()
    }

    /// What the application is told, but for the status.
    pub(crate) fn happens(&mut self) -> Vec<Event> {
        let events = std::iter::from_fn(|| self.client.poll_event());
        events
            .filter(|event| !matches!(event, Event::Status(_)))
            .collect()
    }

    pub(crate) fn calls(&mut self, options: CallOptions) -> CallKey {
        self.client.call("m", vec![], options).unwrap()
    }

    pub(crate) fn subscribes(&mut self, id: &str) {
        self.client.subscribe(id, "pub", vec![]).unwrap();
    }

    /// Subscribes, and the server adds a document of the same id.
    pub(crate) fn has(&mut self, id: &str) {
        self.subscribes(id);
        self.hears(&added(id, 1));
        self.hears(&ready(id));
        self.says();
        self.happens();
    }

    pub(crate) fn passes(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.client.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.client.handle_timeout(at);
        }
        self.now = until;
    }

    pub(crate) fn ids(&self) -> Vec<&str> {
        let documents = self.client.collection("c");
        documents
            .into_iter()
            .flatten()
            .map(|(id, _)| id.as_wire())
            .collect()
    }
}

pub(crate) fn added(id: &str, n: i32) -> String {
    format!(r#"{{"msg":"added","collection":"c","id":"{id}","fields":{{"n":{n}}}}}"#)
}

pub(crate) fn ready(sub: &str) -> String {
    format!(r#"{{"msg":"ready","subs":["{sub}"]}}"#)
}

pub(crate) fn updated(call: CallKey) -> String {
    format!(r#"{{"msg":"updated","methods":["{call}"]}}"#)
}

pub(crate) fn result(call: CallKey) -> String {
    format!(r#"{{"msg":"result","id":"{call}","result":1}}"#)
}

pub(crate) fn method(call: CallKey) -> String {
    format!(r#"{{"msg":"method","method":"m","params":[],"id":"{call}"}}"#)
}

pub(crate) fn sub(id: &str) -> String {
    format!(r#"{{"msg":"sub","id":"{id}","name":"pub","params":[]}}"#)
}

pub(crate) fn finished(call: CallKey) -> Event {
    Event::CallFinished {
        call,
        result: Ok(Some(1.into())),
    }
}

pub(crate) fn failed(call: CallKey, error: CallError) -> Event {
    Event::CallFinished {
        call,
        result: Err(error),
    }
}

pub(crate) fn wait() -> CallOptions {
    CallOptions {
        wait: true,
        ..CallOptions::default()
    }
}

pub(crate) fn no_retry() -> CallOptions {
    CallOptions {
        no_retry: true,
        ..CallOptions::default()
    }
}

pub(crate) fn plain() -> CallOptions {
    CallOptions::default()
}

pub(crate) const CONNECT: &str = r#"{"msg":"connect","version":"1","support":["1","pre2","pre1"]}"#;
