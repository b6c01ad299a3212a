//! Scripts and styles of the version of an app that a page is of, also when other replicas answer by now.
//!
//! A page that was loaded before a deployment asks for its scripts by names that only its own version knows. The
//! answer that says so is not passed on at once: `bridging` looks for the asset in the cache, then at one replica of
//! another release. `asset` says what such a request is and what a miss looks like, `storable` what may be kept and
//! `coding` for whom, `copy` keeps it as it passes, `cache` holds it on a `shelf`
//! of limited size, and `kept` answers from there.
//!
//! Nothing is fetched in advance: after a deployment there is what somebody has asked for before.

mod asset;
mod bridging;
mod cache;
mod coding;
mod copy;
mod kept;
mod shelf;
mod storable;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(crate) use self::asset::Asset;
pub(crate) use self::bridging::Looked;
pub(crate) use self::cache::AssetCache;
pub(crate) use self::copy::Copy;

/// Who has given an answer: which app, in which version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) app: Arc<str>,
    pub(crate) release: Arc<str>,
}

/// How often a client has got what his replica had not.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    bridged: AtomicU64,
    from_cache: AtomicU64,
}

impl Counts {
    fn bridged(&self) {
        self.bridged.fetch_add(1, Relaxed);
    }

    fn served(&self) {
        self.from_cache.fetch_add(1, Relaxed);
    }

    /// From a replica of another release, and from the cache.
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.bridged.load(Relaxed), self.from_cache.load(Relaxed))
    }
}
