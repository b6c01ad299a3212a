//! What instances used in the minutes of the last day: rows, as there are many.

use rusqlite::{Connection, Row, params};

use super::StoreError;
use crate::stats::{DAY, MovedBytes, StatsMinute};

pub(super) const TABLE: &str = "
    CREATE TABLE stats (
        instance TEXT NOT NULL,
        minute INTEGER NOT NULL,
        cpu REAL,
        memory_bytes INTEGER NOT NULL,
        memory_limit_bytes INTEGER NOT NULL,
        network_received INTEGER,
        network_sent INTEGER,
        block_read INTEGER,
        block_written INTEGER,
        pids INTEGER NOT NULL,
        containers INTEGER NOT NULL,
        open_connections INTEGER,
        PRIMARY KEY (instance, minute)
    ) STRICT, WITHOUT ROWID;
";

pub(super) fn add(
    db: &mut Connection,
    minute: i64,
    stats: &[(String, StatsMinute)],
) -> Result<(), StoreError> {
    let step = db.transaction()?;
    {
        // An instance may be removed while its samples are taken.
        let mut insert = step.prepare(
            "INSERT OR REPLACE INTO stats
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
             WHERE EXISTS (SELECT 1 FROM instances WHERE id = ?1)",
        )?;
        let mut forget = step.prepare("DELETE FROM stats WHERE instance = ?1 AND minute < ?2")?;
        for (instance, stats) in stats {
            let moved = |count: fn(MovedBytes) -> u64| stats.moved.map(|moved| whole(count(moved)));
            insert.execute(params![
                instance,
                minute,
                stats.cpu,
                whole(stats.memory_bytes),
                whole(stats.memory_limit_bytes),
                moved(|moved| moved.network_received),
                moved(|moved| moved.network_sent),
                moved(|moved| moved.block_read),
                moved(|moved| moved.block_written),
                whole(stats.pids),
                stats.containers,
                stats.open_connections.map(whole),
            ])?;
            forget.execute(params![instance, minute - DAY])?;
        }
    }
    Ok(step.commit()?)
}

pub(super) fn read(
    db: &Connection,
    instance: &str,
    from: i64,
) -> Result<Vec<(i64, StatsMinute)>, StoreError> {
    let mut query = db.prepare(
        "SELECT minute, cpu, memory_bytes, memory_limit_bytes, network_received, network_sent,
             block_read, block_written, pids, containers, open_connections
         FROM stats WHERE instance = ?1 AND minute >= ?2 ORDER BY minute",
    )?;
    let rows = query.query_map(params![instance, from], minute)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn minute(row: &Row<'_>) -> rusqlite::Result<(i64, StatsMinute)> {
    let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
    let some = |name: &str| {
        let count = row.get::<_, Option<i64>>(name)?;
        Ok::<_, rusqlite::Error>(count.map(i64::unsigned_abs))
    };
    let moved = match some("network_received")? {
        None => None,
        Some(network_received) => Some(MovedBytes {
            network_received,
            network_sent: count("network_sent")?,
            block_read: count("block_read")?,
            block_written: count("block_written")?,
        }),
    };
    let stats = StatsMinute {
        cpu: row.get("cpu")?,
        memory_bytes: count("memory_bytes")?,
        memory_limit_bytes: count("memory_limit_bytes")?,
        moved,
        pids: count("pids")?,
        containers: row.get("containers")?,
        open_connections: some("open_connections")?,
    };
    Ok((row.get("minute")?, stats))
}

/// SQLite's integers have a sign.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
