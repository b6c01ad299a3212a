use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::upstream::{Upstream, WeakUpstream};

/// Which upstream has which SockJS session: its requests must all go there, also without cookies.
///
/// Known by a keyed hash of host and session, so that a session costs the same whatever it is called. Forgotten
/// when it has asked for nothing for [`FORGOTTEN`] and nothing of it is open; the app has closed it long before.
pub(crate) struct Sessions {
    shards: Box<[Shard]>,
    hasher: RandomState,
    most: usize,
}

type Shard = Arc<Mutex<HashMap<u64, Entry>>>;

struct Entry {
    upstream: WeakUpstream,
    /// Requests and connections that are under way.
    open: u32,
    used: Instant,
}

/// A session of which something is open, until dropped.
pub(crate) struct InUse {
    shard: Shard,
    key: u64,
}

impl Sessions {
    pub(crate) fn key(&self, host: &str, session: &str) -> u64 {
        self.hasher.hash_one((host, session))
    }

    pub(crate) fn upstream(&self, key: u64) -> Option<Upstream> {
        self.shard(key).lock().get(&key)?.upstream.upgrade()
    }

    /// From now on, `upstream` has the session. Nothing is remembered while there is no room.
    pub(crate) fn enter(&self, key: u64, upstream: &Upstream) -> Option<InUse> {
        let shard = self.shard(key);
        let (mut known, now) = (shard.lock(), Instant::now());
        if known.len() >= self.most && !known.contains_key(&key) {
            known.retain(|_, entry| !entry.is_over(now));
            if known.len() >= self.most {
                return None;
            }
        }
        let entry = known.entry(key).or_insert_with(|| Entry {
            upstream: upstream.downgrade(),
            open: 0,
            used: now,
        });
        entry.upstream = upstream.downgrade();
        entry.open += 1;
        entry.used = now;
        Some(InUse {
            shard: Arc::clone(shard),
            key,
        })
    }

    fn shard(&self, key: u64) -> &Shard {
        let number = self.shards.len() as u64;
        &self.shards[(key % number) as usize]
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::new(),
            most: MOST / SHARDS,
        }
    }
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        self.open == 0 && now.duration_since(self.used) >= FORGOTTEN
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(entry) = self.shard.lock().get_mut(&self.key) {
            entry.open = entry.open.saturating_sub(1);
            entry.used = Instant::now();
        }
    }
}

/// Twice what a SockJS server in Node waits for a client that has gone silent, and Meteor's is the same.
const FORGOTTEN: Duration = Duration::from_secs(120);

const SHARDS: usize = 16;

/// So many cost about 8 MiB.
const MOST: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(port: u16) -> Upstream {
        Upstream::new("127.0.0.1", port)
    }

    #[test]
    fn a_session_is_where_it_was_seen_last() {
        let (sessions, [one, two]) = (Sessions::default(), [upstream(1), upstream(2)]);
        let key = sessions.key("a.test", "123/abc");
        assert_ne!(key, sessions.key("b.test", "123/abc"));
        assert!(sessions.upstream(key).is_none());
        drop(sessions.enter(key, &one));
        assert_eq!(sessions.upstream(key), Some(one));
        drop(sessions.enter(key, &two));
        assert_eq!(sessions.upstream(key), Some(two));
    }

    #[test]
    fn an_upstream_that_is_gone_has_none() {
        let sessions = Sessions::default();
        drop(sessions.enter(1, &upstream(1)));
        assert!(sessions.upstream(1).is_none());
    }

    #[test]
    fn what_is_open_or_fresh_is_kept_and_the_number_is_bounded() {
        let sessions = Sessions {
            most: 2,
            ..Sessions::default()
        };
        let one = upstream(1);
        let number = SHARDS as u64;
        let open = sessions.enter(0, &one).unwrap();
        drop(sessions.enter(number, &one));
        assert!(sessions.enter(2 * number, &one).is_none(), "no room");
        assert!(
            sessions.enter(number, &one).is_some(),
            "known ones need none"
        );
        let long_ago = Instant::now().checked_sub(FORGOTTEN).unwrap();
        for entry in sessions.shards[0].lock().values_mut() {
            entry.used = long_ago;
        }
        assert!(sessions.enter(2 * number, &one).is_some());
        assert!(sessions.upstream(0).is_some(), "it is open");
        assert!(sessions.upstream(number).is_none(), "it was forgotten");
        drop(open);
    }
}
