//! A session and the two that talk to it: a client that sends frames, and a moved clock.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod listener;
pub(crate) mod login;
pub(crate) mod model;
pub(crate) mod said;
pub(crate) mod script;
pub(crate) mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::session::{CallKey, Event, Names, Origin, Session, SessionConfig, Transmit};

/// Every name exists but those that begin with `no`, and so many universal publications.
#[derive(Default)]
pub(crate) struct Most {
    pub(crate) universal: AtomicUsize,
}

impl Names for Most {
    fn has_method(&self, name: &str) -> bool {
        !name.starts_with("no")
    }

    fn has_publication(&self, name: &str) -> bool {
        !name.starts_with("no")
    }

    fn universal(&self) -> usize {
        self.universal.load(Ordering::Relaxed)
    }
}

pub(crate) struct Talk {
    pub(crate) session: Session,
    pub(crate) names: Arc<Most>,
    pub(crate) now: Instant,
}

impl Talk {
    pub(crate) fn new(config: SessionConfig) -> Self {
        let (now, names) = (Instant::now(), Arc::new(Most::default()));
        let offered = Arc::clone(&names) as Arc<dyn Names>;
        Self {
            session: Session::new(Arc::new(config), offered, "S", now),
            names,
            now,
        }
    }

    pub(crate) fn connected(config: SessionConfig) -> Self {
        let mut talk = Self::new(config);
        talk.connects();
        talk
    }

    pub(crate) fn connects(&mut self) {
        self.says(r#"{"msg":"connect","version":"1","support":["1"]}"#);
        assert_eq!(self.hears(), [r#"{"msg":"connected","session":"S"}"#]);
        assert_eq!(self.session.poll_event(), Some(Event::Connected));
    }

    pub(crate) fn says(&mut self, frame: &str) {
        self.session.handle_text(frame, self.now);
    }

    /// Calls a method that has its own name as id.
    pub(crate) fn calls(&mut self, name: &str) {
        self.says(&format!(
            r#"{{"msg":"method","id":"{name}","method":"{name}"}}"#
        ));
    }

    /// Subscribes to a publication that has its own name as id.
    pub(crate) fn subscribes(&mut self, name: &str) {
        self.says(&format!(r#"{{"msg":"sub","id":"{name}","name":"{name}"}}"#));
    }

    /// Everything that is to be sent; a close is an empty frame.
    pub(crate) fn hears(&mut self) -> Vec<String> {
        let frames = std::iter::from_fn(|| self.session.poll_transmit());
        frames
            .map(|transmit| match transmit {
                Transmit::Text(frame) => frame.into_string(),
                Transmit::Close => String::new(),
            })
            .collect()
    }

    /// The method that is to run now.
    pub(crate) fn runs_method(&mut self, expected: &str) -> CallKey {
        match self.session.poll_event() {
            Some(Event::Method { call, name, .. }) if name == expected => call,
            other => panic!("{other:?} instead of the method {expected}"),
        }
    }

    /// The publication that is to run now.
    pub(crate) fn runs_publication(&mut self, expected: &str) -> SubscriptionKey {
        match self.session.poll_event() {
            Some(Event::Subscribe {
                sub,
                origin: Origin::Client { name, .. },
                ..
            }) if name == expected => sub,
            other => panic!("{other:?} instead of the publication {expected}"),
        }
    }

    /// The universal publication that is to run now.
    pub(crate) fn runs_universal(&mut self, expected: usize) -> SubscriptionKey {
        match self.session.poll_event() {
            Some(Event::Subscribe {
                sub,
                origin: Origin::Universal(number),
                ..
            }) if number == expected => sub,
            other => panic!("{other:?} instead of the universal publication {expected}"),
        }
    }

    /// A subscription that is over now.
    pub(crate) fn stops(&mut self, expected: SubscriptionKey) {
        let event = self.session.poll_event();
        assert_eq!(event, Some(Event::Stopped { sub: expected }));
    }

    /// Lets time pass, and the session act at each moment that it asked for.
    pub(crate) fn passes(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.session.handle_timeout(at);
        }
        self.now = until;
    }
}
