use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;

use crate::access_log::{AccessLog, Pending};
use crate::assets::AssetCache;
use crate::client_limits::ClientTable;
use crate::config::Config;
use crate::connection::{self, Accepted};
use crate::connections::Connections;
use crate::load::UpstreamStats;
use crate::meter::{Meter, Record, Refusals, TrafficFigures, UpstreamFigures};
use crate::pacing;
use crate::pages::Refusal;
use crate::registry::Registry;
use crate::route_table::RouteTable;
use crate::sessions::Sessions;
use crate::shutdown::Tasks;
use crate::upstream::{Address, Upstream};

/// Accepts clients and forwards their requests by the newest [`RouteTable`]. Clones are the same
/// proxy, with the same table, limits and counts.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
}

/// The one hand that changes the table of a [`Proxy`]. Dropping it leaves the last table in force.
pub struct RouteWriter {
    table: Arc<ArcSwap<RouteTable>>,
    registry: Arc<Registry>,
    assets: Arc<AssetCache>,
    config: Arc<Config>,
    has_published: AtomicBool,
}

/// What a [`Proxy`] has to do at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Client connections that are open, upgraded ones included.
    pub open_connections: usize,
    /// Those that have switched protocols, as WebSockets do.
    pub upgraded: usize,
    /// How often accepting a connection has failed since the start, for instance because the process
    /// had no file descriptor left.
    pub accept_errors: u64,
    /// How many requests are missing in the access log: more came than could be written, or writing failed.
    pub access_log_dropped: u64,
    /// How often a client got a file of another release from a replica of that one, since its own had none.
    pub assets_bridged: u64,
    /// How often it got that from the cache of assets.
    pub assets_from_cache: u64,
    /// How many bytes the cache of assets has.
    pub asset_cache_bytes: usize,
}

pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) table: Arc<ArcSwap<RouteTable>>,
    registry: Arc<Registry>,
    /// Of requests that belong to no site.
    pub(crate) unknown: Meter,
    pub(crate) refusals: Refusals,
    pub(crate) connections: Connections,
    pub(crate) sessions: Sessions,
    pub(crate) clients: ClientTable,
    pub(crate) assets: Arc<AssetCache>,
    accept_errors: AtomicU64,
}

impl Proxy {
    /// A proxy with an empty table (every hostname is unknown), and the writer of that table.
    pub fn new(config: Config) -> (Self, RouteWriter) {
        let (table, registry) = (Arc::new(ArcSwap::default()), Arc::new(Registry::default()));
        let config = Arc::new(config);
        let assets = Arc::new(AssetCache::new(&config, Arc::clone(&table)));
        let writer = RouteWriter {
            table: Arc::clone(&table),
            registry: Arc::clone(&registry),
            assets: Arc::clone(&assets),
            config: Arc::clone(&config),
            has_published: AtomicBool::new(false),
        };
        let shared = Shared {
            connections: Connections::at_most(config.max_connections),
            clients: ClientTable::new(CLIENTS),
            sessions: Sessions::default(),
            assets,
            config,
            table,
            registry,
            unknown: Meter::default(),
            refusals: Refusals::default(),
            accept_errors: AtomicU64::new(0),
        };
        (
            Self {
                shared: Arc::new(shared),
            },
            writer,
        )
    }

    /// Serves the clients of `listener` until `shutdown` ends. Then it closes the listener, idle
    /// connections and upgraded ones, lets answers in flight finish for [`Config::drain`], cuts the
    /// rest and returns. Can run for several listeners at once; dropping it cuts its connections.
    pub async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let tasks = Tasks::new();
        let _cut = tasks.cut_on_drop();
        tokio::select! {
            never = self.accept_all(&listener, &tasks) => match never {},
            () = shutdown => {}
        }
        drop(listener);
        tasks.finish(self.shared.config.drain).await;
    }

    /// Counts at this moment.
    pub fn stats(&self) -> Stats {
        let (assets_bridged, assets_from_cache) = self.shared.assets.counts.read();
        Stats {
            open_connections: self.shared.connections.count_open(),
            upgraded: self.shared.connections.count_upgraded(),
            accept_errors: self.shared.accept_errors.load(Relaxed),
            access_log_dropped: self
                .shared
                .config
                .access_log
                .as_ref()
                .map_or(0, AccessLog::dropped),
            assets_bridged,
            assets_from_cache,
            asset_cache_bytes: self.shared.assets.bytes(),
        }
    }

    /// What goes through the upstream at this address (the host as it was given to
    /// [`Upstream::new`]) at this moment. `None` if the table does not name it and nothing is open
    /// there; its totals are forgotten then.
    ///
    /// When an upstream has been taken out of the table and this was 0 of requests, upgraded connections and
    /// sessions afterwards, nothing more will be sent to it, except, while it is named as draining, requests for
    /// assets whose failure no visitor sees.
    pub fn upstream_stats(&self, host: &str, port: u16) -> Option<UpstreamStats> {
        let host = host.into();
        let upstream = self.shared.registry.get(&Address { host, port })?;
        Some(upstream.stats())
    }

    /// The same of all upstreams that the table names or where something is open, in no order.
    pub fn upstreams(&self) -> impl Iterator<Item = (Upstream, UpstreamStats)> + use<> {
        let all = self.shared.registry.all().into_iter();
        all.map(|upstream| {
            let stats = upstream.stats();
            (upstream, stats)
        })
    }

    /// What went through each site and upstream that had a request.
    pub fn traffic(&self) -> TrafficFigures {
        let shared = &self.shared;
        let table = shared.table.load_full();
        let unknown = ("(unknown)".to_owned(), &shared.unknown);
        let meters = table.meters().chain([unknown]);
        let site = |(address, meter): (String, &Meter)| Some((address.into(), meter.figures()?));
        let mut sites: Vec<_> = meters.filter_map(site).collect();
        sites.sort_by_key(|(_, figures)| figures.place);
        let upstream = |(upstream, stats): (Upstream, UpstreamStats)| {
            let figures = upstream.meter().figures()?;
            Some(UpstreamFigures {
                upstream,
                stats,
                figures,
            })
        };
        let mut upstreams: Vec<_> = self.upstreams().filter_map(upstream).collect();
        upstreams.sort_by_key(|known| known.figures.place);
        TrafficFigures {
            sites,
            upstreams,
            refusals: shared.refusals.all(),
        }
    }

    async fn accept_all(&self, listener: &TcpListener, tasks: &Tasks) -> Infallible {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let place = self.shared.connections.place().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    pause = SHORTEST_PAUSE;
                    let accepted = Accepted {
                        stream,
                        peer,
                        place,
                    };
                    let shared = Arc::clone(&self.shared);
                    tasks.spawn(connection::serve(accepted, shared, tasks.clone()));
                }
                Err(error) => {
                    self.shared.accept_errors.fetch_add(1, Relaxed);
                    pause_after(&error, &mut pause).await;
                }
            }
        }
    }
}

impl Shared {
    /// Notes that a request got a page of the proxy's own, of so many bytes.
    pub(crate) fn refused(&self, record: &mut Record, refusal: &Refusal, bytes: u64) {
        record.refused(refusal, bytes, &self.unknown);
        if !matches!(refusal, Refusal::Moved(_)) {
            self.refusals.count(refusal.code());
        }
    }

    /// The same where what came from `client` was no request that could be read.
    pub(crate) fn refused_unread(&self, client: IpAddr, refusal: &Refusal, bytes: u64) {
        let log = self.config.access_log.as_ref();
        let mut record = Record::begin(log.map(|log| Pending::new(log, client, None)));
        self.refused(&mut record, refusal, bytes);
    }
}

impl RouteWriter {
    /// Replaces the table, all of it at once: every request that begins after this uses `table`, also
    /// one over a client's connection that is older. Upstreams that are known at the same address
    /// keep their connections and counts; requests in flight are not touched, except that those that no
    /// upstream has got yet follow `table`, too. Upgraded connections to upstreams that it does not lead to are
    /// ended one by one within [`Config::draining`].
    ///
    /// Upstreams that did not serve until now are held to have just started ([`Config::admission`]), except those of
    /// the first table: who begins to route finds apps that have run for long.
    pub fn publish(&self, table: RouteTable) {
        let is_first = !self.has_published.load(Relaxed);
        self.replace(table, is_first);
    }

    /// The same where nothing is known of upstreams that did not serve until now but that they may have run for long:
    /// none is held to have just started.
    pub fn publish_settled(&self, table: RouteTable) {
        self.replace(table, true);
    }

    fn replace(&self, table: RouteTable, is_settled: bool) {
        self.has_published.store(true, Relaxed);
        let Config {
            affinity,
            admission,
            ..
        } = &*self.config;
        let now = Instant::now();
        let prepare = |upstream: &Upstream, served: bool| {
            if let Some(affinity) = affinity {
                upstream.name(affinity);
            }
            if let (Some(admission), false) = (admission, served || is_settled) {
                upstream.admission().begin(admission, now);
            }
        };
        for upstream in self.registry.publish(table, &self.table, prepare) {
            pacing::begin(upstream, self.config.draining);
        }
        self.assets.follow(Instant::now());
    }
}

/// Of how many client addresses something is remembered; more than connections can be open.
const CLIENTS: usize = 64 * 1024;

const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is wrong with one connection does not keep the next from being accepted. Everything else
/// (no file descriptor left, no memory) would fail again at once, and lasts until something is closed.
async fn pause_after(error: &io::Error, pause: &mut Duration) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if [ConnectionAborted, ConnectionReset, Interrupted].contains(&error.kind()) {
        return;
    }
    tracing::warn!(%error, ?pause, "accepting connections fails; trying again after a pause");
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}
