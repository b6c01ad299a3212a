use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::{HeaderMap, Response};
use hyper::body::Body;
use parking_lot::Mutex;

use super::asset::{Asset, path_of};
use super::coding::Coding;
use super::copy::Copy;
use super::kept::KeptAsset;
use super::shelf::{Entry, Key, Shelf};
use super::storable::StorableHead;
use super::{Counts, Origin};
use crate::config::Config;
use crate::route::Route;
use crate::route_table::RouteTable;

/// Assets that have passed, for those who ask for one when no replica has it any more.
pub(crate) struct AssetCache {
    most_bytes: usize,
    /// How long an asset is kept when its release has left.
    time: Duration,
    table: Arc<ArcSwap<RouteTable>>,
    /// Locked for a look-up or an entry, by requests for assets only, and by who publishes a table.
    shelf: Mutex<Shelf>,
    /// Bytes of copies that are not finished.
    copying: AtomicUsize,
    pub(crate) counts: Counts,
}

impl AssetCache {
    pub(crate) fn new(config: &Config, table: Arc<ArcSwap<RouteTable>>) -> Self {
        Self {
            most_bytes: config.asset_cache_bytes,
            time: config.asset_cache_time,
            table,
            shelf: Mutex::new(Shelf::new(config.asset_cache_bytes)),
            copying: AtomicUsize::new(0),
            counts: Counts::default(),
        }
    }

    /// How much is kept, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.shelf.lock().bytes()
    }

    /// What takes a copy of `response` to a request with the headers `request`, if that may and need be kept.
    pub(crate) fn copy<B: Body>(
        self: &Arc<Self>,
        asset: &Asset,
        request: &HeaderMap,
        response: &Response<B>,
        origin: &Origin,
        now: Instant,
    ) -> Option<Box<Copy>> {
        // Without a release nobody could tell when it leaves.
        let is_wanted = self.most_bytes > 0 && !origin.release.is_empty();
        if !is_wanted || !asset.may_be_kept() || asset.is_missed_by(response) {
            return None;
        }
        let head = StorableHead::of(request, response, now)?;
        let bytes = usize::try_from(head.bytes.unwrap_or(0)).ok()?;
        let key = key(asset, head.coding);
        let fits = self.has_room(self.copying.load(Relaxed), 0, bytes);
        if !fits || self.has(&key, origin, now) {
            return None;
        }
        Some(Box::new(Copy::new(
            Arc::clone(self),
            key,
            origin.clone(),
            head,
        )))
    }

    /// The asset for a client that sent the headers `request`, as one of the releases of `app` had it.
    pub(crate) fn find(
        &self,
        asset: &Asset,
        app: &str,
        request: &HeaderMap,
        now: Instant,
    ) -> Option<Arc<KeptAsset>> {
        if self.most_bytes == 0 {
            return None;
        }
        let codings = Coding::ALL.into_iter();
        let mut codings = codings.filter(|coding| coding.is_accepted(request));
        let mut shelf = self.shelf.lock();
        codings.find_map(|coding| {
            let entry = shelf.get(&key(asset, coding))?;
            let is_valid =
                *entry.origin.app == *app && !self.is_over(entry, now) && entry.asset.is_fresh(now);
            is_valid.then(|| Arc::clone(&entry.asset))
        })
    }

    /// Enters what was copied.
    pub(super) fn keep(&self, key: Key, origin: Origin, asset: KeptAsset, now: Instant) {
        let mut entry = Entry {
            asset: Arc::new(asset),
            origin,
            left: None,
        };
        let mut shelf = self.shelf.lock();
        // Asked under the lock: either this sees that the release has left, or `follow` sees this entry.
        let stays = self.stays(&self.table.load(), &key, &mut entry, now);
        shelf.retain(|_, entry| !self.is_over(entry, now));
        if stays {
            shelf.insert(key, entry);
        }
    }

    /// Takes over which releases are live from the table in force.
    pub(crate) fn follow(&self, now: Instant) {
        let mut shelf = self.shelf.lock();
        let table = self.table.load();
        shelf.retain(|key, entry| self.stays(&table, key, entry, now));
    }

    /// Reserves memory for `more` bytes of a copy that has `had` so far.
    pub(super) fn reserve(&self, had: usize, more: usize) -> bool {
        let all = self.copying.fetch_add(more, Relaxed);
        let has_room = self.has_room(all, had, more);
        if !has_room {
            self.give_back(more);
        }
        has_room
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.copying.fetch_sub(bytes, Relaxed);
    }

    /// Whether a copy that has `had` bytes, of `all` that copies have, may have so many more.
    fn has_room(&self, all: usize, had: usize, more: usize) -> bool {
        let most = self.most_bytes / COPIES_SHARE;
        all.saturating_add(more) <= most && had.saturating_add(more) <= MOST_OF_ONE
    }

    /// Whether the asset is here already. From now on it is that of `origin`, which may be the newer release.
    fn has(&self, key: &Key, origin: &Origin, now: Instant) -> bool {
        let mut shelf = self.shelf.lock();
        let Some(entry) = shelf.get(key) else {
            return false;
        };
        if entry.origin.app != origin.app || !entry.asset.is_fresh(now) {
            return false;
        }
        entry.origin = origin.clone();
        entry.left = None;
        self.stays(&self.table.load(), key, entry, now)
    }

    /// Whether an entry is kept by `table`: not what another app has left at this address, nor what is over.
    fn stays(&self, table: &RouteTable, key: &Key, entry: &mut Entry, now: Instant) -> bool {
        let site = table.find(&key.host, path_of(&key.target));
        let site = site.map(|found| found.site);
        if site.is_some_and(|site| site.app != entry.origin.app) {
            return false;
        }
        let is_live = site.is_some_and(|site| match &site.route {
            Route::To(upstreams) => upstreams.have_release(&entry.origin.release),
            Route::Redirect(_) | Route::Unavailable(_) => false,
        });
        entry.left = match is_live {
            true => None,
            false => entry.left.or(Some(now)),
        };
        !self.is_over(entry, now)
    }

    fn is_over(&self, entry: &Entry, now: Instant) -> bool {
        let left = entry.left;
        left.is_some_and(|left| now.saturating_duration_since(left) >= self.time)
    }
}

/// Largest body that is kept, in bytes.
const MOST_OF_ONE: usize = 8 * 1024 * 1024;

/// Copies that are not finished take at most so small a share of what the cache may hold, beside it. So clients who
/// read slowly do not make it larger.
const COPIES_SHARE: usize = 4;

fn key(asset: &Asset, coding: Coding) -> Key {
    Key {
        host: Arc::clone(&asset.host),
        target: Arc::clone(&asset.target),
        coding,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::{Empty, Full};

    use super::*;
    use crate::route::{Replica, Site};
    use crate::upstream::Upstream;

    const TIME: Duration = Duration::from_secs(600);
    const TARGET: &str = "/0123456789abcdef0123456789abcdef01234567.js";

    fn cache(most_bytes: usize) -> Arc<AssetCache> {
        let config = Config {
            asset_cache_bytes: most_bytes,
            asset_cache_time: TIME,
            ..Config::default()
        };
        Arc::new(AssetCache::new(&config, Arc::default()))
    }

    /// What `a.test` is from `now` on: an app with a release that serves, and others that drain.
    fn publish(cache: &AssetCache, app: &str, releases: &[&str], now: Instant) {
        let replica = |(port, release): (u16, &&str)| {
            Replica::new(Upstream::new("127.0.0.1", port), *release)
        };
        let mut replicas = (1..).zip(releases).map(replica);
        let route = Route::switched(replicas.next(), replicas);
        let site = Site::new(route).of_app(app);
        let table = RouteTable::builder().site("a.test", site).build();
        cache.table.store(Arc::new(table));
        cache.follow(now);
    }

    fn asset() -> Asset {
        let request = Request::builder().uri(TARGET);
        Asset::of(&request.body(Empty::<Bytes>::new()).unwrap(), "a.test").unwrap()
    }

    fn response(coding: Option<&'static str>) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from_static(b"script")));
        let coding = coding.map(http::HeaderValue::from_static);
        coding.map(|coding| response.headers_mut().insert("content-encoding", coding));
        response
    }

    fn copy(cache: &Arc<AssetCache>, release: &str, now: Instant) -> Option<Box<Copy>> {
        copy_of(cache, release, &response(None), now)
    }

    fn copy_of(
        cache: &Arc<AssetCache>,
        release: &str,
        response: &Response<Full<Bytes>>,
        now: Instant,
    ) -> Option<Box<Copy>> {
        let origin = Origin {
            app: "app".into(),
            release: release.into(),
        };
        cache.copy(&asset(), &HeaderMap::new(), response, &origin, now)
    }

    fn keep(cache: &Arc<AssetCache>, release: &str, now: Instant) {
        let copy = copy(cache, release, now).unwrap();
        copy.with(&Bytes::from_static(b"script")).unwrap().finish();
    }

    fn has(cache: &AssetCache, now: Instant) -> bool {
        let found = cache.find(&asset(), "app", &HeaderMap::new(), now);
        found.is_some()
    }

    #[test]
    fn an_asset_is_kept_while_its_release_is_live_and_for_a_time_after() {
        let (cache, start) = (cache(1 << 20), Instant::now());
        publish(&cache, "app", &["1"], start);
        keep(&cache, "1", start);
        publish(&cache, "app", &["2", "1"], start);
        let later = start + 9 * TIME;
        assert!(has(&cache, later), "it drains");
        publish(&cache, "app", &["2"], later);
        publish(&cache, "app", &["2"], later + TIME / 2);
        assert!(has(&cache, later + TIME - Duration::from_millis(1)));
        assert!(!has(&cache, later + TIME));
        publish(&cache, "app", &["1"], later + TIME / 2);
        publish(&cache, "app", &["2"], later + TIME);
        assert!(has(&cache, later + TIME), "it was back");
        publish(&cache, "app", &["2"], later + 2 * TIME);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn a_site_that_is_gone_or_does_not_run_has_no_live_release() {
        let (cache, start) = (cache(1 << 20), Instant::now());
        publish(&cache, "app", &["1"], start);
        keep(&cache, "1", start);
        cache.table.store(Arc::default());
        cache.follow(start);
        assert!(has(&cache, start));
        publish(&cache, "app", &[], start + TIME / 2);
        assert!(!has(&cache, start + TIME));
    }

    #[test]
    fn another_app_at_the_address_has_nothing_of_the_last_one() {
        let (cache, start) = (cache(1 << 20), Instant::now());
        publish(&cache, "app", &["1"], start);
        keep(&cache, "1", start);
        let found = cache.find(&asset(), "other", &HeaderMap::new(), start);
        assert!(found.is_none());
        publish(&cache, "other", &["1"], start);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn what_both_releases_have_is_the_newer_ones() {
        let (cache, start) = (cache(1 << 20), Instant::now());
        publish(&cache, "app", &["1"], start);
        keep(&cache, "1", start);
        publish(&cache, "app", &["2"], start);
        assert!(copy(&cache, "2", start).is_none(), "it is here");
        assert!(has(&cache, start + 9 * TIME));
    }

    #[test]
    fn a_copy_that_ends_when_its_release_has_left_is_kept_for_no_longer() {
        let (cache, start) = (cache(1 << 20), Instant::now());
        publish(&cache, "app", &["1"], start);
        let copy = copy(&cache, "1", start).unwrap();
        publish(&cache, "app", &["2"], start);
        copy.finish();
        let now = Instant::now();
        assert!(has(&cache, now));
        assert!(!has(&cache, now + TIME));
    }

    #[test]
    fn each_client_gets_a_coding_that_it_takes() {
        let (cache, start) = (cache(1 << 20), Instant::now());
        publish(&cache, "app", &["1"], start);
        let compressed = copy_of(&cache, "1", &response(Some("gzip")), start);
        compressed.unwrap().finish();
        assert!(!has(&cache, start));
        let accept = http::HeaderValue::from_static("br, gzip");
        let accepting = HeaderMap::from_iter([(http::header::ACCEPT_ENCODING, accept)]);
        let found = || cache.find(&asset(), "app", &accepting, start);
        assert_eq!(found().unwrap().bytes(), "content-encodinggzip".len());
        keep(&cache, "1", start);
        assert!(has(&cache, start) && found().is_some());
    }

    #[test]
    fn copies_under_way_have_a_limit_of_their_own_and_give_it_back() {
        let (cache, start) = (cache(4_000), Instant::now());
        publish(&cache, "app", &["1"], start);
        let part = Bytes::from(vec![0; 600]);
        let first = copy(&cache, "1", start).unwrap().with(&part).unwrap();
        assert!(copy(&cache, "1", start).unwrap().with(&part).is_none());
        drop(first);
        let again = copy(&cache, "1", start).unwrap().with(&part);
        assert!(again.unwrap().with(&part).is_none());
        assert_eq!(cache.copying.load(Relaxed), 0);
        keep(&cache, "1", start);
        assert_eq!(cache.copying.load(Relaxed), 0);
        let mut large = Box::new(Some(large_copy()));
        let chunk = Bytes::from(vec![0; MOST_OF_ONE / 2]);
        *large = large
            .take()
            .and_then(|copy| copy.with(&chunk)?.with(&chunk));
        assert!(large.is_some(), "as large as may be");
        assert!(large.unwrap().with(&Bytes::from_static(b"1")).is_none());
    }

    /// One whose cache has room for more than one asset may take.
    fn large_copy() -> Box<Copy> {
        let cache = cache(64 * MOST_OF_ONE);
        copy(&cache, "1", Instant::now()).unwrap()
    }

    #[test]
    fn nothing_is_kept_where_it_is_off_or_nobody_knows_the_release() {
        let now = Instant::now();
        assert!(copy(&cache(0), "1", now).is_none());
        assert!(copy(&cache(1 << 20), "", now).is_none());
    }
}
