//! A server whose documents are numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ddp_protocol::ejson::{Fields, Value};
use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::{self, Names, Session, SessionConfig};
use ddp_protocol::{Error, fields, object};

struct Any;

impl Names for Any {
    fn has_method(&self, _name: &str) -> bool {
        true
    }

    fn has_publication(&self, name: &str) -> bool {
        name != "none"
    }
}

/// A server with numbers as documents. Publication `all` has them all, `even` those whose number
/// is even, with a field of its own; method `set(id, n)` writes and counts.
pub(crate) struct Server {
    pub(crate) session: Session,
    pub(crate) documents: BTreeMap<String, i32>,
    pub(crate) publications: BTreeMap<SubscriptionKey, String>,
    pub(crate) runs: BTreeMap<String, u32>,
    pub(crate) sessions: u32,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            session: session(0),
            documents: BTreeMap::new(),
            publications: BTreeMap::new(),
            runs: BTreeMap::new(),
            sessions: 0,
        }
    }

    pub(crate) fn open(&mut self) {
        self.sessions += 1;
        self.session = session(self.sessions);
        self.publications.clear();
    }

    /// Does one thing that the session asks for. Whether there was one.
    pub(crate) fn works(&mut self) -> bool {
        match self.session.poll_event() {
            Some(session::Event::Method {
                call, name, params, ..
            }) => {
                let result = self.run(&name, &params);
                self.session.method_returned(call, result);
            }
            Some(session::Event::Subscribe { sub, origin, .. }) => {
                let session::Origin::Client { name, .. } = origin else {
                    unreachable!("nothing is universal here");
                };
                self.publications.insert(sub, name);
                for (id, n) in self.documents.clone() {
                    self.publish(sub, &id, None, Some(n));
                }
                self.session.ready(sub);
                self.session.publication_returned(sub);
            }
            Some(session::Event::Stopped { sub }) => {
                self.publications.remove(&sub);
            }
            Some(_) => {}
            None => return false,
        }
        true
    }

    pub(crate) fn run(&mut self, name: &str, params: &[Value]) -> Result<Option<Value>, Error> {
        let text = |at: usize| params.get(at).and_then(Value::as_str);
        match name {
            "set" => {
                let id = text(0).ok_or_else(Error::match_failed)?.to_owned();
                let n = params.get(1).and_then(Value::as_f64);
                let ticket = text(2).unwrap_or_default().to_owned();
                *self.runs.entry(ticket.clone()).or_default() += 1;
                self.write(&id, n.map(|n| n as i32));
                Ok(Some(ticket.into()))
            }
            "login" => Ok(Some(object! { "id": "u", "token": "t" })),
            _ => Err(Error::not_found(name)),
        }
    }

    /// Sets or removes a document, and tells the publications.
    pub(crate) fn write(&mut self, id: &str, n: Option<i32>) {
        let before = match n {
            Some(n) => self.documents.insert(id.to_owned(), n),
            None => self.documents.remove(id),
        };
        for sub in self.publications.keys().copied().collect::<Vec<_>>() {
            self.publish(sub, id, before, n);
        }
    }

    pub(crate) fn publish(
        &mut self,
        sub: SubscriptionKey,
        id: &str,
        before: Option<i32>,
        n: Option<i32>,
    ) {
        let publication = self.publications[&sub].clone();
        let visible = |n: Option<i32>| n.and_then(|n| view(&publication, n));
        let session = &mut self.session;
        let id = &id.into();
        let outcome = match (visible(before), visible(n)) {
            (None, Some(fields)) => {
                session.added(sub, "docs", id, fields);
                Ok(())
            }
            (Some(_), Some(fields)) => session.changed(sub, "docs", id, &fields, &[]),
            (Some(_), None) => session.removed(sub, "docs", id),
            (None, None) => Ok(()),
        };
        outcome.unwrap();
    }

    /// What a client with these publications should have.
    pub(crate) fn published(&self, publications: &[&str]) -> BTreeMap<String, Fields> {
        let mut expected: BTreeMap<String, Fields> = BTreeMap::new();
        for (id, n) in &self.documents {
            for fields in publications.iter().filter_map(|name| view(name, *n)) {
                expected.entry(id.clone()).or_default().extend(fields);
            }
        }
        expected
    }
}

fn session(number: u32) -> Session {
    let config = Arc::new(SessionConfig::default());
    Session::new(config, Arc::new(Any), format!("S{number}"), Instant::now())
}

fn view(publication: &str, n: i32) -> Option<Fields> {
    match publication {
        "all" => Some(fields! { "n": n }),
        "even" if n % 2 == 0 => Some(fields! { "n": n, "half": n / 2 }),
        _ => None,
    }
}
