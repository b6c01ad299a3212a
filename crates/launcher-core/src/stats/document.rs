use std::collections::BTreeMap;

use crate::{OpenConnections, engine::ContainerStats};

/// What one container of an instance uses now.
#[derive(Clone, Debug, PartialEq)]
pub struct AppStats {
    /// The instance's id.
    pub instance: String,
    /// The container's id.
    pub container: String,
    /// Which replica it is, from 0.
    pub replica: u32,
    /// How often that was started again after an end that nobody asked for.
    pub restarts: u32,
    /// Time of processors since the figures before, in percent of one; `None`: there were none.
    pub cpu: Option<f64>,
    /// What it has used since its start, and memory.
    pub used: ContainerStats,
    /// What visitors have open there, if it has a port.
    pub open: Option<OpenConnections>,
}

/// What all containers of an instance used in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StatsMinute {
    /// Time of processors, in percent of one; `None`: only one sample was taken.
    pub cpu: Option<f64>,
    /// Memory.
    pub memory_bytes: u64,
    /// How much memory they can have.
    pub memory_limit_bytes: u64,
    /// Bytes that were moved; `None`: only one sample was taken.
    pub moved: Option<MovedBytes>,
    /// Processes and threads.
    pub pids: u64,
    /// Containers that ran.
    pub containers: u32,
    /// What visitors had open, if they have ports.
    pub open_connections: Option<u64>,
}

/// Bytes that were moved in one minute.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MovedBytes {
    /// Received over networks.
    pub network_received: u64,
    /// Sent over networks.
    pub network_sent: u64,
    /// Read from disks.
    pub block_read: u64,
    /// Written to disks.
    pub block_written: u64,
}

/// What an instance used in the minutes of one hour.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsHour {
    /// The instance's id.
    pub instance: String,
    /// Which hour, from 1970 on.
    pub hour: i64,
    /// By minute of the hour. Minutes in which it did not run, or nobody looked, are missing.
    pub minutes: BTreeMap<i64, StatsMinute>,
}

impl StatsHour {
    /// The id of its document. Sorted by it, the hours of an instance are in order.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-{:08}", self.instance, self.hour)
    }
}
