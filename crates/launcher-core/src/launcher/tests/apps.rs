//! The apps in the containers, as far as anybody asks them.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{
    OpenConnections, Traffic,
    health::{HealthKind, ProbeTarget, Prober},
};

/// All answer, and nobody visits them, until something else is said.
#[derive(Default)]
pub(super) struct Apps {
    silent: Mutex<Silent>,
    busy: Mutex<HashSet<u16>>,
    asked: Mutex<HashMap<u16, HashSet<String>>>,
}

#[derive(Default)]
struct Silent {
    ports: HashSet<u16>,
    /// Those that have a higher one.
    from: Option<u16>,
}

impl Apps {
    /// Apps that are started from now on do not answer.
    pub(super) fn be_silent_after(&self, port: u16) {
        self.silent.lock().from = Some(port);
    }

    /// The app on this port does not answer any more.
    pub(super) fn fall_silent(&self, port: u16) {
        self.silent.lock().ports.insert(port);
    }

    /// The paths that the app on this port was asked for.
    pub(super) fn asked(&self, port: u16) -> Vec<String> {
        let asked = self.asked.lock();
        asked.get(&port).into_iter().flatten().cloned().collect()
    }

    /// All answer.
    pub(super) fn heal(&self) {
        *self.silent.lock() = Silent::default();
    }

    /// Somebody waits for an answer of the app on this port, or no longer.
    pub(super) fn be_busy(&self, port: u16, is_busy: bool) {
        match is_busy {
            true => drop(self.busy.lock().insert(port)),
            false => drop(self.busy.lock().remove(&port)),
        }
    }
}

#[async_trait]
impl Prober for Apps {
    async fn probe(&self, target: &ProbeTarget, _thorough: bool) -> Result<HealthKind, String> {
        let path = target.path.clone().unwrap_or_default();
        let mut asked = self.asked.lock();
        asked.entry(target.port).or_default().insert(path);
        let silent = self.silent.lock();
        let is_silent = silent.ports.contains(&target.port)
            || silent.from.is_some_and(|from| target.port > from);
        match is_silent {
            true => Err("connection refused".to_owned()),
            false => Ok(HealthKind::Http),
        }
    }
}

impl Traffic for Apps {
    fn open(&self, _host: &str, port: u16) -> OpenConnections {
        let requests = usize::from(self.busy.lock().contains(&port));
        OpenConnections {
            requests,
            websockets: 0,
            sessions: 0,
        }
    }
}
