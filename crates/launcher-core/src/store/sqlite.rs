//! The embedded store: one SQLite file in the data directory.
//!
//! WAL with `synchronous=FULL`: a committed transaction survives `kill -9` and power loss. The
//! connection lives on a thread of its own, so that no commit ever blocks the runtime; records are
//! JSON documents beside the columns that are searched.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    thread,
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot};

use super::{Kind, Store, StoreError, sqlite_stats};
use crate::{StatsMinute, ids::random_id};

/// How long a caller waits for the database.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long it is remembered that an instance was removed.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Each entry brings the schema to the version that is its index plus one.
const MIGRATIONS: [&str; 6] = [
    "
    CREATE TABLE launcher (id TEXT NOT NULL, checked_at TEXT) STRICT;
    CREATE TABLE instances (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
    CREATE TABLE removed_instances (id TEXT PRIMARY KEY, removed_at TEXT NOT NULL) STRICT;
    CREATE TABLE images (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
",
    "
    CREATE TABLE builds (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
    CREATE TABLE build_logs (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
    CREATE TABLE registries (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
    CREATE TABLE uploads (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
    CREATE TABLE hooks (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
    CREATE TABLE settings (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
",
    "
    CREATE TABLE made_images (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
    CREATE TABLE run_images (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
",
    "
    CREATE TABLE audit_log (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
",
    "
    CREATE TABLE releases (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
    CREATE TABLE deployments (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
",
    sqlite_stats::TABLE,
];

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// State in `launcher.db`.
pub struct SqliteStore {
    jobs: mpsc::UnboundedSender<Job>,
}

impl SqliteStore {
    /// Makes a store that knows of no instance yet that of the launcher with this id, so that containers
    /// are found again whose store was lost.
    ///
    /// # Errors
    /// [`StoreError::OtherLauncher`] when it has been used by another one.
    pub async fn belong_to(&self, launcher: &str) -> Result<(), StoreError> {
        let wanted = launcher.to_owned();
        let found: String = self
            .run(move |db| {
                let unused = "NOT EXISTS (SELECT 1 FROM instances) AND NOT EXISTS (SELECT 1 FROM removed_instances)";
                db.execute(&format!("UPDATE launcher SET id = ?1 WHERE {unused}"), [wanted])?;
                Ok(db.query_row("SELECT id FROM launcher", [], |row| row.get(0))?)
            })
            .await?;
        match found == launcher {
            true => Ok(()),
            false => Err(StoreError::OtherLauncher(found)),
        }
    }

    /// Opens or makes `launcher.db` in a directory that exists, and locks the directory against a
    /// second launcher for as long as the store lives.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::TooNew`], or what the database says.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        let directory = directory.to_owned();
        let (jobs, queue) = mpsc::unbounded_channel();
        let (ready, opened) = oneshot::channel();
        thread::Builder::new()
            .name("store".into())
            .spawn(move || match open(&directory) {
                Ok((lock, connection)) => {
                    if ready.send(Ok(())).is_ok() {
                        serve(connection, queue);
                    }
                    drop(lock);
                }
                Err(error) => drop(ready.send(Err(error))),
            })
            .map_err(|e| StoreError::Failed(e.to_string()))?;
        opened
            .await
            .map_err(|_| StoreError::Failed("the store's thread ended".into()))??;
        Ok(Self { jobs })
    }

    async fn run<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody waits any more, and whoever asked was told that it failed.
            if !reply.is_closed() {
                drop(reply.send(job(connection)));
            }
        });
        let gone = || StoreError::Failed("the store is closed".into());
        self.jobs.send(job).map_err(|_| gone())?;
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(answer) => answer.map_err(|_| gone())?,
            Err(_) => Err(StoreError::Deadline),
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn launcher_id(&self) -> Result<String, StoreError> {
        self.run(|db| Ok(db.query_row("SELECT id FROM launcher", [], |row| row.get(0))?))
            .await
    }

    async fn read_all(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError> {
        self.run(move |db| {
            let table = kind.table();
            let mut query =
                db.prepare(&format!("SELECT id, document FROM {table} ORDER BY rowid"))?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn read(&self, kind: Kind, id: &str) -> Result<Option<String>, StoreError> {
        let id = id.to_owned();
        self.run(move |db| {
            let query = format!("SELECT document FROM {} WHERE id = ?1", kind.table());
            Ok(db.query_row(&query, [id], |row| row.get(0)).optional()?)
        })
        .await
    }

    async fn write(&self, kind: Kind, id: &str, json: String) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.run(move |db| {
            let statement = format!(
                "INSERT INTO {} (id, document) VALUES (?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                kind.table()
            );
            db.execute(&statement, [id, json])?;
            Ok(())
        })
        .await
    }

    async fn delete(&self, kind: Kind, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.run(move |db| {
            let statement = format!("DELETE FROM {} WHERE id = ?1", kind.table());
            db.execute(&statement, [id])?;
            Ok(())
        })
        .await
    }

    async fn remove_instance(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.run(move |db| {
            let step = db.transaction()?;
            step.execute("DELETE FROM instances WHERE id = ?1", [&id])?;
            step.execute("DELETE FROM stats WHERE instance = ?1", [&id])?;
            step.execute(
                "INSERT OR IGNORE INTO removed_instances (id, removed_at) VALUES (?1, ?2)",
                params![id, at.to_string()],
            )?;
            Ok(step.commit()?)
        })
        .await
    }

    async fn was_removed(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.run(move |db| {
            let query = "SELECT 1 FROM removed_instances WHERE id = ?1";
            Ok(db.query_row(query, [id], |_| Ok(())).optional()?.is_some())
        })
        .await
    }

    async fn add_stats(
        &self,
        minute: i64,
        stats: Vec<(String, StatsMinute)>,
    ) -> Result<(), StoreError> {
        self.run(move |db| sqlite_stats::add(db, minute, &stats))
            .await
    }

    async fn stats(
        &self,
        instance: &str,
        from: i64,
    ) -> Result<Vec<(i64, StatsMinute)>, StoreError> {
        let instance = instance.to_owned();
        self.run(move |db| sqlite_stats::read(db, &instance, from))
            .await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        let now = Timestamp::now().to_string();
        let check = |db: &mut Connection| {
            db.execute("UPDATE launcher SET checked_at = ?1", [now])?;
            Ok(())
        };
        self.run(check).await
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

fn serve(mut connection: Connection, mut queue: mpsc::UnboundedReceiver<Job>) {
    while let Some(job) = queue.blocking_recv() {
        job(&mut connection);
    }
}

fn open(directory: &Path) -> Result<(File, Connection), StoreError> {
    let lock = lock(directory)?;
    let path = directory.join("launcher.db");
    make_private(&path)?;
    let unusable = |e: rusqlite::Error| StoreError::Failed(format!("{}: {e}", path.display()));
    let mut connection = Connection::open(&path).map_err(unusable)?;
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(unusable)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.busy_timeout(Duration::from_secs(5))?;
    migrate(&mut connection)?;
    Ok((lock, connection))
}

fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("launcher.lock");
    let failed = |e: std::io::Error| StoreError::Failed(format!("{}: {e}", path.display()));
    let options = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .clone();
    let file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(directory.display().to_string())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The file holds secrets: it is made readable for its owner only, before anything is in it.
/// SQLite gives the same mode to the files beside it.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|e| StoreError::Failed(format!("{}: {e}", path.display())))
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let known = MIGRATIONS.len() as i64;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    let step = connection.transaction()?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        step.execute_batch(migration)?;
    }
    if found == 0 {
        step.execute("INSERT INTO launcher (id) VALUES (?1)", [random_id()])?;
    }
    step.execute(
        "DELETE FROM removed_instances WHERE removed_at < ?1",
        [(Timestamp::now() - REMEMBERED).to_string()],
    )?;
    step.pragma_update(None, "user_version", known)?;
    Ok(step.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AppInstance;
    use crate::store::contract::{sample_instance, store_contract};

    #[tokio::test]
    async fn keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        store_contract(&SqliteStore::open(directory.path()).await.unwrap()).await;
    }

    #[tokio::test]
    async fn a_second_launcher_on_the_same_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let _first = SqliteStore::open(directory.path()).await.unwrap();
        let second = SqliteStore::open(directory.path()).await;
        assert!(matches!(second, Err(StoreError::InUse(_))));
    }

    #[tokio::test]
    async fn what_was_written_is_there_when_it_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path()).await.unwrap();
        let id = store.launcher_id().await.unwrap();
        let instance = sample_instance("one", 1);
        let records: &dyn Store = &store;
        records.put(&instance).await.unwrap();

        let store = reopened(store, directory.path()).await;
        assert_eq!(store.launcher_id().await.unwrap(), id);
        let records: &dyn Store = &store;
        assert_eq!(records.all::<AppInstance>().await.unwrap(), [instance]);
    }

    #[tokio::test]
    async fn only_a_store_without_instances_becomes_that_of_another_launcher() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path()).await.unwrap();
        for id in ["one", "other"] {
            store.belong_to(id).await.unwrap();
            assert_eq!(store.launcher_id().await.unwrap(), id);
        }
        let records: &dyn Store = &store;
        records.put(&sample_instance("one", 1)).await.unwrap();
        store.belong_to("other").await.unwrap();
        let refused = store.belong_to("third").await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the data directory belongs to the launcher other"
        );
        store
            .remove_instance("one", Timestamp::now())
            .await
            .unwrap();
        assert!(
            store.belong_to("third").await.is_err(),
            "it has removed some"
        );
    }

    #[tokio::test]
    async fn a_newer_schema_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let db = Connection::open(directory.path().join("launcher.db")).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        drop(db);
        let opened = SqliteStore::open(directory.path()).await;
        assert!(matches!(
            opened,
            Err(StoreError::TooNew {
                found: 99,
                known: 6
            })
        ));
    }

    /// The lock is let go by the store's thread, which ends after the store is dropped.
    async fn reopened(store: SqliteStore, directory: &Path) -> SqliteStore {
        drop(store);
        loop {
            match SqliteStore::open(directory).await {
                Err(StoreError::InUse(_)) => tokio::task::yield_now().await,
                other => return other.unwrap(),
            }
        }
    }
}
