use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};

use crate::config::Config;
use crate::connections::{Connections, Place};
use crate::head_timer::{ClientIo, HeadTimer};
use crate::headers::Origin;
use crate::load::UpstreamStats;
use crate::registry::Registry;
use crate::route_table::RouteTable;
use crate::service::Client;
use crate::shutdown::Tasks;
use crate::upstream::{Address, DEFAULT_MAX_HEADERS, Upstream};

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
}

pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) table: Arc<ArcSwap<RouteTable>>,
    registry: Arc<Registry>,
    connections: Connections,
    accept_errors: AtomicU64,
}

impl Proxy {
    /// A proxy with an empty table (every hostname is unknown), and the writer of that table.
    pub fn new(config: Config) -> (Self, RouteWriter) {
        let (table, registry) = (Arc::new(ArcSwap::default()), Arc::new(Registry::default()));
        let writer = RouteWriter {
            table: Arc::clone(&table),
            registry: Arc::clone(&registry),
        };
        let shared = Shared {
            connections: Connections::at_most(config.max_connections),
            config: Arc::new(config),
            table,
            registry,
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
        Stats {
            open_connections: self.shared.connections.count_open(),
            upgraded: self.shared.connections.count_upgraded(),
            accept_errors: self.shared.accept_errors.load(Relaxed),
        }
    }

    /// What goes through the upstream at this address (the host as it was given to
    /// [`Upstream::new`]) at this moment. `None` if the table does not name it and nothing is open
    /// there; its totals are forgotten then.
    ///
    /// When an upstream has been taken out of the table and this was 0 afterwards, nothing more
    /// will be sent to it.
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

    async fn accept_all(&self, listener: &TcpListener, tasks: &Tasks) -> Infallible {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let place = self.shared.connections.place().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    pause = SHORTEST_PAUSE;
                    self.spawn_connection(stream, peer, place, tasks);
                }
                Err(error) => {
                    self.shared.accept_errors.fetch_add(1, Relaxed);
                    pause_after(&error, &mut pause).await;
                }
            }
        }
    }

    fn spawn_connection(&self, stream: TcpStream, peer: SocketAddr, place: Place, tasks: &Tasks) {
        // Both fail only when the client is gone already.
        let (Ok(local), Ok(())) = (stream.local_addr(), stream.set_nodelay(true)) else {
            return;
        };
        let client = Client {
            shared: Arc::clone(&self.shared),
            origin: Origin {
                peer: peer.ip(),
                port: local.port(),
            },
            tasks: tasks.clone(),
            open: Arc::new(self.shared.connections.open(place)),
        };
        tasks.spawn(serve(stream, client));
    }
}

impl RouteWriter {
    /// Replaces the table, all of it at once: every request that begins after this uses `table`, also
    /// one over a client's connection that is older. Upstreams that are known at the same address
    /// keep their connections and counts; requests in flight are not touched, except that those that no
    /// upstream has got yet follow `table`, too.
    pub fn publish(&self, table: RouteTable) {
        self.registry.publish(table, &self.table);
    }
}

async fn serve(stream: TcpStream, client: Client) {
    let config = Arc::clone(&client.shared.config);
    let tasks = client.tasks.clone();
    let (timer, io) = HeadTimer::pair(stream, &config);
    let client = Arc::new(client);
    let service = service_fn(move |request| {
        let client = Arc::clone(&client);
        async move { Ok::<_, Infallible>(client.answer(request).await) }
    });
    let connection = server(&config, timer).serve_connection::<ClientIo, _>(io, service);
    let mut connection = pin!(connection.with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = tasks.draining() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's connection broke");
    }
}

fn server(config: &Config, timer: HeadTimer) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(timer).header_read_timeout(config.header_read);
    builder.max_header_size(config.max_header_bytes);
    if config.max_headers != DEFAULT_MAX_HEADERS {
        builder.max_headers(config.max_headers);
    }
    builder
}

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
