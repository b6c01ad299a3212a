//! A prober for tests, which says what it is told to say.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{HealthKind, ProbeTarget, Prober};

/// Answers by port. A port of which nothing was said refuses.
#[derive(Default)]
pub(crate) struct FakeProber {
    answers: Mutex<HashMap<u16, Answer>>,
    asked: watch::Sender<Vec<Asked>>,
}

/// How an app takes a probe.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Ready(HealthKind),
    Fails(&'static str),
    /// It takes the whole timeout and more.
    Hangs,
    Panics,
}

/// A probe that was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Asked {
    pub(crate) port: u16,
    pub(crate) kind: HealthKind,
    pub(crate) thorough: bool,
}

impl FakeProber {
    /// From now on the app on this port answers so.
    pub(crate) fn answer(&self, port: u16, answer: Answer) {
        self.answers.lock().insert(port, answer);
    }

    /// All probes so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    /// Waits until so many probes have been made.
    pub(crate) async fn asked_times(&self, times: usize) {
        let mut asked = self.asked.subscribe();
        asked.wait_for(|asked| asked.len() >= times).await.unwrap();
    }
}

#[async_trait]
impl Prober for FakeProber {
    async fn probe(&self, target: &ProbeTarget, thorough: bool) -> Result<HealthKind, String> {
        let asked = Asked {
            port: target.port,
            kind: target.kind,
            thorough,
        };
        self.asked.send_modify(|all| all.push(asked));
        let answer = self.answers.lock().get(&target.port).cloned();
        match answer {
            Some(Answer::Ready(kind)) => Ok(kind),
            Some(Answer::Fails(why)) => Err(why.to_owned()),
            Some(Answer::Hangs) => {
                tokio::time::sleep(target.timeout + Duration::from_secs(60)).await;
                Err("hung".to_owned())
            }
            Some(Answer::Panics) => panic!("as it was told"),
            None => Err("connection refused".to_owned()),
        }
    }
}
