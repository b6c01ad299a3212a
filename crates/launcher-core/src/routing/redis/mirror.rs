//! Keeps the routes in Redis as they are here.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use redis::{aio::MultiplexedConnection, pipe};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    PULSE, Reachable, RedisServer, Trouble, VERSIONS, hipache, outcome::Outcome, table_of,
};
use crate::routing::{RouteBoard, RouteDocument};

/// How often what is there is compared, in case somebody else has changed it.
const COMPARE: Duration = Duration::from_secs(15);
/// How many lists are asked for at once.
const AT_ONCE: usize = 500;

/// Writes a board's routes to Redis, and repairs what is there.
pub struct RedisMirror {
    server: RedisServer,
    board: Arc<RouteBoard>,
    launcher: String,
    outcome: Outcome,
}

/// What Redis has, as far as it is this launcher's.
#[derive(Default)]
struct There {
    version: u64,
    /// Its own form, by address.
    documents: HashMap<String, String>,
    /// Hipache's lists of addresses that are wanted.
    lists: HashMap<String, Vec<String>>,
}

/// What is wanted there, by address.
type Wanted = BTreeMap<String, Entry>;

struct Entry {
    document: String,
    /// Hipache's list, where it can have one.
    list: Option<Vec<String>>,
}

impl RedisMirror {
    /// Of `board`'s routes, as those of the launcher with this id.
    #[must_use]
    pub fn new(server: RedisServer, board: Arc<RouteBoard>, launcher: &str) -> Self {
        Self {
            outcome: Outcome::of(&server),
            server,
            board,
            launcher: launcher.to_owned(),
        }
    }

    /// Whether Redis has the routes as they are.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<Reachable> {
        self.outcome.watch()
    }

    /// Writes for ever. Nobody waits for this.
    pub async fn run(mut self) -> Infallible {
        self.board.settled().await;
        loop {
            let Err(trouble) = self.connected().await;
            sleep(self.outcome.bad(&trouble)).await;
        }
    }

    async fn connected(&mut self) -> Result<Infallible, Trouble> {
        let mut connection = self.server.connect().await?;
        let mut revisions = self.board.revisions();
        loop {
            let compare_at = Instant::now() + COMPARE;
            let mut there = self.look(&mut connection).await?;
            while Instant::now() < compare_at {
                revisions.borrow_and_update();
                if !self.write(&mut connection, &mut there).await? {
                    break;
                }
                self.outcome.good();
                // The board outlives this; what is left is that nothing has changed.
                let changed = timeout(PULSE, revisions.changed()).await.is_ok();
                if !changed {
                    self.server
                        .ask::<()>(&mut connection, redis::cmd("PING"))
                        .await?;
                }
            }
        }
    }

    async fn look(&self, connection: &mut MultiplexedConnection) -> Result<There, Trouble> {
        let server = &self.server;
        let mut both = pipe();
        both.hget(VERSIONS, &self.launcher)
            .hgetall(table_of(&self.launcher));
        let (version, documents): (Option<u64>, _) = server.ask_all(connection, &both).await?;
        let wanted = self.board.all().into_iter();
        let hostnames = wanted.map(|route| route.hostname.clone());
        let hostnames = hostnames.filter(|address| hipache::can_have(address));
        Ok(There {
            version: version.unwrap_or_default(),
            documents,
            lists: server.lists(connection, hostnames.collect()).await?,
        })
    }

    /// Brings what is there up to date, all at once. `false`: somebody else was quicker.
    async fn write(
        &self,
        connection: &mut MultiplexedConnection,
        there: &mut There,
    ) -> Result<bool, Trouble> {
        let wanted = wanted(&self.board.all());
        let gone = there.gone(&wanted);
        let changed = there.changed(&wanted);
        if gone.is_empty() && changed.is_empty() && there.version != 0 {
            return Ok(true);
        }
        let own = self.still_own(connection, &gone, there).await?;
        let version = next_version(there.version);
        let table = table_of(&self.launcher);
        let mut all = pipe();
        all.atomic();
        for address in &own {
            all.del(hipache::frontend(address)).ignore();
            all.del(hipache::dead(address)).ignore();
        }
        for address in &gone {
            all.hdel(&table, address).ignore();
        }
        for address in changed {
            let entry = &wanted[address];
            all.hset(&table, address, &entry.document).ignore();
            if let Some(list) = &entry.list {
                let frontend = hipache::frontend(address);
                all.del(&frontend).ignore();
                all.rpush(frontend, list).ignore();
                all.del(hipache::dead(address)).ignore();
            }
        }
        all.hset(VERSIONS, &self.launcher, version).ignore();
        all.publish(VERSIONS, format!("{} {version}", self.launcher))
            .ignore();
        let written: Option<()> = self.server.ask_all(connection, &all).await?;
        *there = There::after(version, wanted);
        Ok(written.is_some())
    }

    /// Those of the hostnames whose lists still are what this launcher wrote; nothing is written if that
    /// changes before.
    async fn still_own<'a>(
        &self,
        connection: &mut MultiplexedConnection,
        gone: &'a [String],
        there: &There,
    ) -> Result<Vec<&'a String>, Trouble> {
        let hostnames: Vec<_> = gone.iter().filter(|a| hipache::can_have(a)).collect();
        if hostnames.is_empty() {
            return Ok(hostnames);
        }
        let mut watch = redis::cmd("WATCH");
        for address in &hostnames {
            watch.arg(hipache::frontend(address));
        }
        self.server.ask::<()>(connection, watch).await?;
        let asked = hostnames.iter().map(|address| (*address).clone());
        let lists = self.server.lists(connection, asked.collect()).await?;
        let is_own = |address: &&String| {
            let identifier = lists.get(*address).and_then(|list| list.first());
            identifier.is_some() && identifier == there.instance_of(address).as_ref()
        };
        Ok(hostnames.into_iter().filter(is_own).collect())
    }
}

impl There {
    /// What is there now that all this was written.
    fn after(version: u64, wanted: Wanted) -> Self {
        let mut there = Self {
            version,
            ..Self::default()
        };
        for (address, entry) in wanted {
            there.documents.insert(address.clone(), entry.document);
            there.lists.extend(entry.list.map(|list| (address, list)));
        }
        there
    }

    fn gone(&self, wanted: &Wanted) -> Vec<String> {
        let addresses = self.documents.keys();
        let gone = addresses.filter(|address| !wanted.contains_key(*address));
        gone.cloned().collect()
    }

    fn changed<'a>(&self, wanted: &'a Wanted) -> Vec<&'a String> {
        let differs = |(address, entry): &(&String, &Entry)| {
            self.documents.get(*address) != Some(&entry.document)
                || entry.list.is_some() && self.lists.get(*address) != entry.list.as_ref()
        };
        let changed = wanted.iter().filter(differs);
        changed.map(|(address, _)| address).collect()
    }

    /// Which instance had an address.
    fn instance_of(&self, address: &str) -> Option<String> {
        let document = self.documents.get(address)?;
        let route: RouteDocument = serde_json::from_str(document).ok()?;
        Some(route.instance_id)
    }
}

fn wanted(routes: &[Arc<RouteDocument>]) -> Wanted {
    let entry = |route: &Arc<RouteDocument>| {
        let document = serde_json::to_string(&**route).ok()?;
        let list = hipache::can_have(&route.hostname).then(|| hipache::list(route));
        Some((route.hostname.clone(), Entry { document, list }))
    };
    routes.iter().filter_map(entry).collect()
}

/// Greater than any before, also where Redis has forgotten which one that was.
fn next_version(before: u64) -> u64 {
    let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
    now.max(before + 1)
}

impl RedisServer {
    pub(super) async fn ask<T: redis::FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
        command: redis::Cmd,
    ) -> Result<T, Trouble> {
        self.in_time(command.query_async(connection)).await
    }

    pub(super) async fn ask_all<T: redis::FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
        commands: &redis::Pipeline,
    ) -> Result<T, Trouble> {
        self.in_time(commands.query_async(connection)).await
    }

    /// Hipache's lists of these hostnames.
    pub(super) async fn lists(
        &self,
        connection: &mut MultiplexedConnection,
        hostnames: Vec<String>,
    ) -> Result<HashMap<String, Vec<String>>, Trouble> {
        let mut found = HashMap::new();
        for some in hostnames.chunks(AT_ONCE) {
            let mut all = pipe();
            // A key of another type is nobody's list.
            all.ignore_errors();
            for hostname in some {
                all.lrange(hipache::frontend(hostname), 0, -1);
            }
            let lists: Vec<redis::RedisResult<Vec<String>>> =
                self.ask_all(connection, &all).await?;
            let pairs = some.iter().cloned().zip(lists);
            found.extend(pairs.filter_map(|(name, list)| Some((name, list.ok()?))));
        }
        Ok(found)
    }
}
