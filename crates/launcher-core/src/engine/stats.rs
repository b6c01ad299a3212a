//! What a container uses.

use jiff::Timestamp;

/// What a container has used until now. Counts begin with its start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ContainerStats {
    /// When this was so, by the engine's clock.
    pub at: Timestamp,
    /// Time of processors, in nanoseconds.
    pub cpu_nanos: u64,
    /// Memory without what the kernel can drop of the page cache, as `docker stats` shows it.
    pub memory_bytes: u64,
    /// How much memory it can have: its limit, or what the machine has.
    pub memory_limit_bytes: u64,
    /// Received over all its networks.
    pub network_received_bytes: u64,
    /// Sent over all its networks.
    pub network_sent_bytes: u64,
    /// Read from disks.
    pub block_read_bytes: u64,
    /// Written to disks.
    pub block_written_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}
