//! Reads the routes in Redis, and follows them.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt};
use redis::aio::MultiplexedConnection;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use super::{
    PULSE, Reachable, RedisServer, Trouble, VERSIONS, hipache, outcome::Outcome, table_of,
};
use crate::routing::RouteDocument;

/// How often everything is read, where nobody tells of changes.
const POLL: Duration = Duration::from_secs(5);
/// How long an older table than before is not believed: a Redis that has lost its newest data gets them again from
/// a launcher that runs.
const DOUBT: Duration = Duration::from_secs(30);

/// The newest table; none before there was one.
pub type RouteTables = watch::Receiver<Option<Arc<Vec<RouteDocument>>>>;

/// Follows the routes of all launchers that use a Redis, and Hipache's that others wrote.
pub struct RedisFollower {
    server: RedisServer,
    tables: watch::Sender<Option<Arc<Vec<RouteDocument>>>>,
    launchers: HashMap<String, Table>,
    outcome: Outcome,
}

/// What one launcher has written.
struct Table {
    version: u64,
    routes: Vec<RouteDocument>,
    /// Since when Redis has had an older one.
    doubted: Option<Instant>,
}

impl RedisFollower {
    /// Of what is in `server`.
    #[must_use]
    pub fn new(server: RedisServer) -> Self {
        Self {
            outcome: Outcome::of(&server),
            server,
            tables: watch::Sender::new(None),
            launchers: HashMap::new(),
        }
    }

    /// The table, each time it has changed. The last one stays when Redis is gone, and when it comes back without
    /// any launcher's.
    #[must_use]
    pub fn tables(&self) -> RouteTables {
        self.tables.subscribe()
    }

    /// Whether Redis can be read.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<Reachable> {
        self.outcome.watch()
    }

    /// Reads for ever.
    pub async fn run(mut self) -> Infallible {
        loop {
            let Err(trouble) = self.connected().await;
            sleep(self.outcome.bad(&trouble)).await;
        }
    }

    async fn connected(&mut self) -> Result<Infallible, Trouble> {
        let keys = format!(
            "__keyspace@{}__:{}*",
            self.server.database(),
            hipache::FRONTEND
        );
        // Listening first: what changes during the first look is told.
        let listener = self.server.listen(&[VERSIONS], &[keys]).await?;
        let mut changes = listener.into_on_message();
        let mut connection = self.server.connect().await?;
        loop {
            self.read(&mut connection).await?;
            self.outcome.good();
            let poll_at = Instant::now() + POLL;
            while Instant::now() < poll_at {
                match timeout_at(Instant::now() + PULSE, changes.next()).await {
                    Ok(Some(_)) => break,
                    Ok(None) => return Err(Trouble("it has closed the connection".to_owned())),
                    Err(_) => {
                        let ping = redis::cmd("PING");
                        self.server.ask::<()>(&mut connection, ping).await?;
                    }
                }
            }
            while let Some(Some(_)) = changes.next().now_or_never() {}
        }
    }

    async fn read(&mut self, connection: &mut MultiplexedConnection) -> Result<(), Trouble> {
        let mut versions = redis::cmd("HGETALL");
        versions.arg(VERSIONS);
        let versions: HashMap<String, u64> = self.server.ask(connection, versions).await?;
        if versions.is_empty() && !self.launchers.is_empty() {
            tracing::debug!(
                "Redis has lost the routes of all launchers; the last ones stay in force"
            );
            return Ok(());
        }
        self.launchers.retain(|id, _| versions.contains_key(id));
        for (launcher, version) in versions {
            if self
                .launchers
                .get_mut(&launcher)
                .is_none_or(|table| table.is_replaced_by(version))
            {
                let routes = self.table(connection, &launcher).await?;
                let doubted = None;
                self.launchers.insert(
                    launcher,
                    Table {
                        version,
                        routes,
                        doubted,
                    },
                );
            }
        }
        let tables = self.launchers.values().flat_map(|table| &table.routes);
        let mut routes: BTreeMap<_, _> = tables.map(|r| (r.hostname.clone(), r.clone())).collect();
        for (hostname, list) in self.foreign(connection, &routes).await? {
            routes.extend(hipache::read(&hostname, &list).map(|route| (hostname, route)));
        }
        let routes = Some(Arc::new(routes.into_values().collect::<Vec<_>>()));
        self.tables.send_if_modified(|table| {
            let has_changed = *table != routes;
            *table = routes;
            has_changed
        });
        Ok(())
    }

    async fn table(
        &self,
        connection: &mut MultiplexedConnection,
        launcher: &str,
    ) -> Result<Vec<RouteDocument>, Trouble> {
        let mut table = redis::cmd("HGETALL");
        table.arg(table_of(launcher));
        let table: HashMap<String, String> = self.server.ask(connection, table).await?;
        let route = |text: &String| match serde_json::from_str(text) {
            Ok(route) => Some(route),
            Err(error) => {
                tracing::warn!(launcher, %error, "a route in Redis cannot be read");
                None
            }
        };
        Ok(table.values().filter_map(route).collect())
    }

    /// Hipache's lists of hostnames that no launcher has.
    async fn foreign(
        &self,
        connection: &mut MultiplexedConnection,
        known: &BTreeMap<String, RouteDocument>,
    ) -> Result<HashMap<String, Vec<String>>, Trouble> {
        let mut hostnames = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            let pattern = format!("{}*", hipache::FRONTEND);
            scan.arg(cursor)
                .arg("MATCH")
                .arg(pattern)
                .arg("COUNT")
                .arg(1_000);
            let (next, keys): (u64, Vec<String>) = self.server.ask(connection, scan).await?;
            let found = keys
                .iter()
                .filter_map(|key| key.strip_prefix(hipache::FRONTEND));
            hostnames.extend(
                found
                    .filter(|name| !known.contains_key(*name))
                    .map(str::to_owned),
            );
            if next == 0 {
                return self.server.lists(connection, hostnames).await;
            }
            cursor = next;
        }
    }
}

impl Table {
    fn is_replaced_by(&mut self, version: u64) -> bool {
        if version >= self.version {
            self.doubted = None;
            return version > self.version;
        }
        self.doubted.get_or_insert_with(Instant::now).elapsed() >= DOUBT
    }
}
