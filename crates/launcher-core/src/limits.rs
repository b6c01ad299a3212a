//! What a container of an app may use. Its capabilities and privileges are the same for all
//! (`engine/docker_containers.rs`).

use serde::{Deserialize, Serialize};

/// Memory of a container where nothing else is said, in bytes.
pub const DEFAULT_MEMORY: u64 = 1 << 30;
/// Weight of its claim to processors.
pub const DEFAULT_CPU_SHARES: u32 = 1_024;
/// Processes and threads.
pub const DEFAULT_PIDS: u32 = 1_024;
/// Open files of each process.
pub const DEFAULT_OPEN_FILES: u32 = 16_384;
/// Longest file of a container's log, in bytes.
pub const DEFAULT_LOG_FILE: u64 = 10_000_000;
/// Files of a container's log, of which the oldest is removed when there is another.
pub const DEFAULT_LOG_FILES: u32 = 3;

/// Limits of each container of an instance. What is left out has the launcher's default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Memory, in bytes. Swap is not used beside it.
    pub memory_bytes: Option<u64>,
    /// Weight of its claim to processors when there is not enough for all.
    pub cpu_shares: Option<u32>,
    /// The most processors; all without it.
    pub cpus: Option<f64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Open files of each process.
    pub open_files: Option<u32>,
    /// Longest file of its log, in bytes.
    pub log_file_bytes: Option<u64>,
    /// Files of its log.
    pub log_files: Option<u32>,
    /// Whether only its volumes and `/tmp` can be written to.
    pub read_only: bool,
    /// The user, with a group or without, instead of the image's.
    pub user: Option<String>,
    /// What outlives the container.
    pub volumes: Vec<Volume>,
}

/// A volume of the engine's, and where the app sees it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its name; the engine makes it if there is none.
    pub name: String,
    /// Absolute path in the container.
    pub path: String,
    /// Whether the app cannot write to it.
    #[serde(default)]
    pub read_only: bool,
}

impl Limits {
    /// The same with the defaults of what is left out.
    #[must_use]
    pub fn in_effect(&self) -> Self {
        Self {
            memory_bytes: Some(self.memory_bytes()),
            cpu_shares: Some(self.cpu_shares()),
            pids: Some(self.pids()),
            open_files: Some(self.open_files()),
            log_file_bytes: Some(self.log_file_bytes()),
            log_files: Some(self.log_files()),
            ..self.clone()
        }
    }

    /// Memory, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes.unwrap_or(DEFAULT_MEMORY)
    }

    /// Weight of its claim to processors.
    #[must_use]
    pub fn cpu_shares(&self) -> u32 {
        self.cpu_shares.unwrap_or(DEFAULT_CPU_SHARES)
    }

    /// Processes and threads.
    #[must_use]
    pub fn pids(&self) -> u32 {
        self.pids.unwrap_or(DEFAULT_PIDS)
    }

    /// Open files of each process.
    #[must_use]
    pub fn open_files(&self) -> u32 {
        self.open_files.unwrap_or(DEFAULT_OPEN_FILES)
    }

    /// Longest file of its log, in bytes.
    #[must_use]
    pub fn log_file_bytes(&self) -> u64 {
        self.log_file_bytes.unwrap_or(DEFAULT_LOG_FILE)
    }

    /// Files of its log.
    #[must_use]
    pub fn log_files(&self) -> u32 {
        self.log_files.unwrap_or(DEFAULT_LOG_FILES)
    }
}
