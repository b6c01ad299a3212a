use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::Origin;
use super::coding::Coding;
use super::kept::KeptAsset;

/// What an answer is kept for: a host, a path with its query, and who takes its coding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) host: Arc<str>,
    pub(crate) target: Arc<str>,
    pub(crate) coding: Coding,
}

/// An answer, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) asset: Arc<KeptAsset>,
    pub(crate) origin: Origin,
    /// Since when no replica of that release is live.
    pub(crate) left: Option<Instant>,
}

/// Entries up to so many bytes: the one that was used longest ago goes first.
#[derive(Debug)]
pub(crate) struct Shelf {
    most_bytes: usize,
    bytes: usize,
    uses: u64,
    places: HashMap<Key, Place>,
    by_use: BTreeMap<u64, Key>,
}

#[derive(Debug)]
struct Place {
    entry: Entry,
    bytes: usize,
    used: u64,
}

impl Shelf {
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            bytes: 0,
            uses: 0,
            places: HashMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    /// How much is taken.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entry, which counts as used now.
    pub(crate) fn get(&mut self, key: &Key) -> Option<&mut Entry> {
        let place = self.places.get_mut(key)?;
        self.uses += 1;
        if let Some(key) = self.by_use.remove(&place.used) {
            self.by_use.insert(self.uses, key);
        }
        place.used = self.uses;
        Some(&mut place.entry)
    }

    /// Puts the entry in the place of one with that key, and makes room for it. What is too large alone is left.
    pub(crate) fn insert(&mut self, key: Key, entry: Entry) {
        self.remove(&key);
        let bytes = OVERHEAD + key.host.len() + key.target.len() + entry.asset.bytes();
        if bytes > self.most_bytes {
            return;
        }
        while self.bytes + bytes > self.most_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            self.remove(&oldest);
        }
        self.uses += 1;
        let used = self.uses;
        self.by_use.insert(used, key.clone());
        self.bytes += bytes;
        self.places.insert(key, Place { entry, bytes, used });
    }

    /// Keeps those that `stays` says so of.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&Key, &mut Entry) -> bool) {
        let (by_use, bytes) = (&mut self.by_use, &mut self.bytes);
        self.places.retain(|key, place| {
            let stays = stays(key, &mut place.entry);
            if !stays {
                by_use.remove(&place.used);
                *bytes -= place.bytes;
            }
            stays
        });
    }

    fn remove(&mut self, key: &Key) {
        if let Some(place) = self.places.remove(key) {
            self.by_use.remove(&place.used);
            self.bytes -= place.bytes;
        }
    }
}

/// About what an entry takes beside its text.
const OVERHEAD: usize = 512;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Response};
    use http_body_util::Full;

    use super::super::storable::StorableHead;
    use super::*;

    fn key(name: &str) -> Key {
        Key {
            host: "".into(),
            target: name.into(),
            coding: Coding::Identity,
        }
    }

    /// An entry that takes `bytes` with a key of one letter.
    fn entry(bytes: usize) -> Entry {
        let response = Response::new(Full::new(Bytes::new()));
        let head = StorableHead::of(&HeaderMap::new(), &response, Instant::now()).unwrap();
        let body = vec![0; bytes - OVERHEAD - 1];
        Entry {
            asset: Arc::new(KeptAsset::new(head, body.into())),
            origin: Origin {
                app: "".into(),
                release: "1".into(),
            },
            left: None,
        }
    }

    fn names(shelf: &Shelf) -> Vec<&str> {
        assert_eq!(shelf.by_use.len(), shelf.places.len());
        let all = shelf.places.values().map(|place| place.bytes);
        assert_eq!(all.sum::<usize>(), shelf.bytes);
        shelf.by_use.values().map(|key| &*key.target).collect()
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let mut shelf = Shelf::new(3_000);
        for name in ["a", "b", "c"] {
            shelf.insert(key(name), entry(1_000));
        }
        assert!(shelf.get(&key("a")).is_some());
        shelf.insert(key("d"), entry(1_500));
        assert_eq!(names(&shelf), ["a", "d"]);
        assert!(shelf.get(&key("b")).is_none());
        assert_eq!(shelf.bytes(), 2_500);
    }

    #[test]
    fn one_takes_the_place_of_another_of_its_name() {
        let mut shelf = Shelf::new(3_000);
        shelf.insert(key("a"), entry(1_000));
        shelf.insert(key("b"), entry(1_000));
        shelf.insert(key("a"), entry(2_000));
        assert_eq!(names(&shelf), ["b", "a"]);
    }

    #[test]
    fn what_has_no_room_alone_costs_nobody_his_place_but_its_own() {
        let mut shelf = Shelf::new(3_000);
        shelf.insert(key("a"), entry(1_000));
        shelf.insert(key("b"), entry(3_001));
        assert_eq!(names(&shelf), ["a"]);
        shelf.insert(key("a"), entry(3_001));
        assert_eq!(names(&shelf), [""; 0]);
    }

    #[test]
    fn what_is_not_retained_is_gone() {
        let mut shelf = Shelf::new(3_000);
        for name in ["a", "b", "c"] {
            shelf.insert(key(name), entry(1_000));
        }
        shelf.retain(|key, _| &*key.target != "b");
        assert_eq!(names(&shelf), ["a", "c"]);
    }
}
