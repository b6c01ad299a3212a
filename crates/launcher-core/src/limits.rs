//! What a container of an app may use.

use serde::{Deserialize, Serialize};

/// Limits of each container of an instance. What is left out has the launcher's default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Memory, in bytes. Swap is not used beside it.
    pub memory_bytes: Option<u64>,
}
