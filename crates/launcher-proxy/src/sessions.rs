use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sockets::Socket;
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

type Shard = Arc<Mutex<Known>>;

#[derive(Default)]
struct Known {
    entries: HashMap<u64, Entry>,
    /// How many were left when it was last looked who is over.
    left: usize,
}

struct Entry {
    upstream: WeakUpstream,
    /// Present once it has received over HTTP: how it is asked to end.
    over_http: Option<OverHttp>,
    /// Requests and connections that are under way.
    open: u32,
    used: Instant,
}

/// A session over HTTP among what its upstream has, until dropped.
struct OverHttp {
    upstream: WeakUpstream,
    number: u64,
    socket: Arc<Socket>,
}

/// What is known of a session.
pub(crate) enum Found {
    /// It is there; over HTTP until it is asked to end.
    At(Upstream, Option<Arc<Socket>>),
    /// It was asked to end.
    Ended,
}

/// A session of which something is open, until dropped.
pub(crate) struct InUse {
    shard: Shard,
    key: u64,
    socket: Option<Arc<Socket>>,
}

impl Sessions {
    pub(crate) fn key(&self, host: &str, session: &str) -> u64 {
        self.hasher.hash_one((host, session))
    }

    pub(crate) fn find(&self, key: u64) -> Option<Found> {
        let known = self.shard(key).lock();
        let entry = known.entries.get(&key)?;
        let socket = entry.over_http.as_ref().map(|session| &session.socket);
        if socket.is_some_and(|socket| socket.is_asked()) {
            return (!entry.is_over(Instant::now())).then_some(Found::Ended);
        }
        Some(Found::At(entry.upstream.upgrade()?, socket.cloned()))
    }

    /// From now on, `upstream` has the session, which receives over HTTP or does not yet. Nothing is remembered while
    /// there is no room.
    pub(crate) fn enter(
        &self,
        key: u64,
        upstream: &Upstream,
        receives_over_http: bool,
    ) -> Option<InUse> {
        let shard = self.shard(key);
        let (mut known, now) = (shard.lock(), Instant::now());
        if !known.has_room(key, self.most, now) {
            return None;
        }
        let entry = known.entries.entry(key).or_insert_with(|| Entry {
            upstream: upstream.downgrade(),
            over_http: None,
            open: 0,
            used: now,
        });
        entry.move_to(upstream);
        if receives_over_http && entry.over_http.is_none() {
            entry.over_http = Some(OverHttp::begin(upstream));
        }
        entry.open += 1;
        entry.used = now;
        let session = entry.over_http.as_ref();
        let socket = session.map(|session| Arc::clone(&session.socket));
        socket.iter().for_each(|socket| socket.begin_request());
        Some(InUse {
            shard: Arc::clone(shard),
            key,
            socket,
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

impl Known {
    /// Forgets those that are over whenever as many have come as were left the last time.
    fn has_room(&mut self, key: u64, most: usize, now: Instant) -> bool {
        let number = self.entries.len();
        if self.entries.contains_key(&key) || number < (2 * self.left).max(FEW).min(most) {
            return true;
        }
        self.entries.retain(|_, entry| !entry.is_over(now));
        self.left = self.entries.len();
        self.left < most
    }
}

impl OverHttp {
    fn begin(upstream: &Upstream) -> Self {
        let (number, socket) = upstream.sockets().open_session();
        Self {
            upstream: upstream.downgrade(),
            number,
            socket,
        }
    }
}

impl Drop for OverHttp {
    fn drop(&mut self) {
        if let Some(upstream) = self.upstream.upgrade() {
            upstream.sockets().close(self.number);
        }
    }
}

impl InUse {
    /// Where the session is asked to end, if it is one over HTTP.
    pub(crate) fn socket(&self) -> Option<&Arc<Socket>> {
        self.socket.as_ref()
    }
}

impl Entry {
    fn move_to(&mut self, upstream: &Upstream) {
        if self.upstream.upgrade().as_ref() != Some(upstream) {
            self.upstream = upstream.downgrade();
            self.over_http = None;
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.open == 0 && now.duration_since(self.used) >= FORGOTTEN
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            socket.end_request();
        }
        if let Some(entry) = self.shard.lock().entries.get_mut(&self.key) {
            entry.open = entry.open.saturating_sub(1);
            entry.used = Instant::now();
        }
    }
}

/// Twice what a SockJS server in Node waits for a client that has gone silent, and Meteor's is the same.
const FORGOTTEN: Duration = Duration::from_secs(120);

const SHARDS: usize = 16;

/// So many in one part are not worth looking at.
const FEW: usize = 64;

/// So many cost about 8 MiB, and sessions over HTTP 16 MiB more.
const MOST: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(port: u16) -> Upstream {
        Upstream::new("127.0.0.1", port)
    }

    fn at(sessions: &Sessions, key: u64) -> Option<Upstream> {
        match sessions.find(key)? {
            Found::At(upstream, _) => Some(upstream),
            Found::Ended => None,
        }
    }

    #[test]
    fn a_session_is_where_it_was_seen_last() {
        let (sessions, [one, two]) = (Sessions::default(), [upstream(1), upstream(2)]);
        let key = sessions.key("a.test", "123/abc");
        assert_ne!(key, sessions.key("b.test", "123/abc"));
        assert!(at(&sessions, key).is_none());
        drop(sessions.enter(key, &one, true));
        assert_eq!(at(&sessions, key), Some(one));
        drop(sessions.enter(key, &two, true));
        assert_eq!(at(&sessions, key), Some(two));
    }

    #[test]
    fn an_upstream_that_is_gone_has_none() {
        let sessions = Sessions::default();
        drop(sessions.enter(1, &upstream(1), true));
        assert!(at(&sessions, 1).is_none());
    }

    #[test]
    fn what_is_open_or_fresh_is_kept_and_the_number_is_bounded() {
        let sessions = Sessions {
            most: 2,
            ..Sessions::default()
        };
        let one = upstream(1);
        let number = SHARDS as u64;
        let open = sessions.enter(0, &one, true).unwrap();
        drop(sessions.enter(number, &one, true));
        assert!(sessions.enter(2 * number, &one, true).is_none(), "no room");
        assert!(
            sessions.enter(number, &one, true).is_some(),
            "known ones need none"
        );
        let long_ago = Instant::now().checked_sub(FORGOTTEN).unwrap();
        for entry in sessions.shards[0].lock().entries.values_mut() {
            entry.used = long_ago;
        }
        assert!(sessions.enter(2 * number, &one, true).is_some());
        assert!(at(&sessions, 0).is_some(), "it is open");
        assert!(at(&sessions, number).is_none(), "it was forgotten");
        drop(open);
    }

    #[test]
    fn a_session_over_http_is_among_what_its_upstream_has_until_it_is_asked_to_end() {
        let (sessions, [one, two]) = (Sessions::default(), [upstream(1), upstream(2)]);
        drop(sessions.enter(1, &one, false));
        assert_eq!(one.stats().sessions, 0, "it has only sent");
        drop(sessions.enter(1, &one, true));
        drop(sessions.enter(1, &one, false));
        assert_eq!(one.stats().sessions, 1);
        drop(sessions.enter(1, &two, true));
        assert_eq!((one.stats().sessions, two.stats().sessions), (0, 1));
        two.sockets().ask_idlest();
        drop(two);
        assert!(matches!(sessions.find(1), Some(Found::Ended)), "for good");
    }

    #[test]
    fn those_that_are_over_are_forgotten_also_while_there_is_room() {
        let (sessions, one, number) = (Sessions::default(), upstream(1), SHARDS as u64);
        let long_ago = Instant::now().checked_sub(FORGOTTEN).unwrap();
        for key in 0..FEW as u64 {
            drop(sessions.enter(key * number, &one, true));
        }
        for entry in sessions.shards[0].lock().entries.values_mut() {
            entry.used = long_ago;
        }
        drop(sessions.enter(FEW as u64 * number, &one, true));
        assert_eq!(one.stats().sessions, 1);
    }
}
