//! Which containers serve: where requests go.

use super::{Seen, Situation, rollout};
use crate::{Wanted, health::Health};

/// An instance's containers by what they are for.
#[derive(Clone, Debug, Default)]
pub struct Service<'a> {
    /// The number of the release that serves.
    pub release: u64,
    /// Its containers, by replica, whether they run or not.
    pub replicas: Vec<&'a Seen>,
    /// Those of them that requests go to.
    pub routed: Vec<&'a Seen>,
    /// Containers that run but get no new requests.
    pub leaving: Vec<&'a Seen>,
    /// Containers of a release that is to take the place of the one that serves.
    pub coming: Vec<&'a Seen>,
}

/// Which containers serve, as things stand.
#[must_use]
pub fn service<'a>(situation: &Situation<'a>) -> Service<'a> {
    let s = situation;
    let release = serving_release(s);
    let mut replicas: Vec<&Seen> = s
        .containers
        .iter()
        .filter(|seen| seen.container.generation == release && is_in_number(s, seen))
        .collect();
    replicas.sort_by_key(|seen| (seen.container.replica, !seen.is_running()));
    let serves = |seen: &&&Seen| seen.is_running() && !is_leaving(s, seen);
    let running: Vec<&Seen> = replicas.iter().filter(serves).copied().collect();
    let routed = routed(&running);
    let is_coming = |seen: &&Seen| rollout::is_pending(s) && seen.container.generation == s.release;
    let coming: Vec<&Seen> = s.containers.iter().filter(is_coming).collect();
    let has_place = |seen: &&Seen| {
        let same = |other: &&Seen| other.id() == seen.id();
        running.iter().any(same) || coming.iter().any(same)
    };
    let leaving = s
        .containers
        .iter()
        .filter(|seen| seen.is_running() && !has_place(seen));
    Service {
        release,
        leaving: leaving.collect(),
        replicas,
        routed,
        coming,
    }
}

/// While another release is on its way, the newest of those before it that runs.
pub(super) fn serving_release(s: &Situation<'_>) -> u64 {
    let numbers = |only_running: bool| {
        let fits = move |seen: &&Seen| {
            let is_known = seen.container.generation <= s.release && !s.was_overtaken(seen);
            is_known && (seen.is_running() || !only_running)
        };
        s.containers
            .iter()
            .filter(fits)
            .map(|seen| seen.container.generation)
    };
    let is_old = |number: &u64| *number < s.release;
    match s.wanted {
        Wanted::Running { .. } if rollout::is_pending(s) => {
            let runs = numbers(true).filter(is_old).max();
            // What is about to be started again.
            runs.or(s.replaces).unwrap_or(s.release)
        }
        Wanted::Running { .. } if numbers(false).any(|number| number == s.release) => s.release,
        _ => numbers(true)
            .max()
            .or_else(|| numbers(false).max())
            .unwrap_or(s.release),
    }
}

fn is_in_number(s: &Situation<'_>, seen: &Seen) -> bool {
    seen.container.generation != s.release || seen.container.replica < s.replicas
}

fn is_leaving(s: &Situation<'_>, seen: &Seen) -> bool {
    s.memory.was_asked(&seen.container) || s.memory.draining.contains_key(seen.id())
}

/// Those that answer; where none does, those that did.
fn routed<'a>(running: &[&'a Seen]) -> Vec<&'a Seen> {
    let answers =
        |seen: &&&Seen| matches!(seen.health, Health::Healthy | Health::None) || seen.inherited;
    let healthy: Vec<_> = running.iter().filter(answers).copied().collect();
    if !healthy.is_empty() {
        return healthy;
    }
    let did = |seen: &&&Seen| seen.health == Health::Unhealthy;
    running.iter().filter(did).copied().collect()
}
