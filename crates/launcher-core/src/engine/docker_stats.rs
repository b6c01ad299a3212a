//! What a container uses, from Docker.
//!
//! `one-shot` (API 1.41): without it the engine measures for two seconds before it answers.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::{ContainerStats, EngineError, docker::time, docker_inspect::get};

/// `GET /v<version>/containers/<id>/stats`; `None`: it does not run.
pub(super) async fn stats(
    host: &str,
    version: &str,
    container: &str,
) -> Result<Option<ContainerStats>, EngineError> {
    let path = format!("/v{version}/containers/{container}/stats?stream=false&one-shot=true");
    read(get(host, &path).await?)
}

#[derive(Deserialize)]
struct Answer {
    read: String,
    #[serde(default)]
    cpu_stats: Cpu,
    #[serde(default)]
    memory_stats: Memory,
    #[serde(default)]
    networks: Option<HashMap<String, Network>>,
    #[serde(default)]
    blkio_stats: Blocks,
    #[serde(default)]
    pids_stats: Pids,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cpu {
    cpu_usage: CpuUsage,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CpuUsage {
    total_usage: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Memory {
    usage: u64,
    limit: u64,
    stats: HashMap<String, u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Network {
    rx_bytes: u64,
    tx_bytes: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Blocks {
    io_service_bytes_recursive: Option<Vec<Block>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block {
    op: String,
    value: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pids {
    current: u64,
}

fn read(answer: Value) -> Result<Option<ContainerStats>, EngineError> {
    let answer: Answer =
        serde_json::from_value(answer).map_err(|e| EngineError::Failed(e.to_string()))?;
    let Some(at) = time(Some(&answer.read)) else {
        return Ok(None);
    };
    let networks = answer.networks.unwrap_or_default();
    let blocks = answer.blkio_stats.io_service_bytes_recursive;
    let blocks = blocks.unwrap_or_default();
    // `Read` with version 1 of cgroups, `read` with version 2.
    let moved = |op: &str| {
        let moved = blocks
            .iter()
            .filter(|block| block.op.eq_ignore_ascii_case(op));
        moved.map(|block| block.value).sum()
    };
    Ok(Some(ContainerStats {
        at,
        cpu_nanos: answer.cpu_stats.cpu_usage.total_usage,
        memory_bytes: answer.memory_stats.without_cache(),
        memory_limit_bytes: answer.memory_stats.limit,
        network_received_bytes: networks.values().map(|n| n.rx_bytes).sum(),
        network_sent_bytes: networks.values().map(|n| n.tx_bytes).sum(),
        block_read_bytes: moved("read"),
        block_written_bytes: moved("write"),
        pids: answer.pids_stats.current,
    }))
}

impl Memory {
    /// As Docker's command line does (`cli/command/container/stats_helpers.go`): the field's name
    /// tells which version of cgroups it is.
    fn without_cache(&self) -> u64 {
        let cache = ["total_inactive_file", "inactive_file"];
        let cache = cache.iter().find_map(|name| self.stats.get(*name));
        let cache = cache.filter(|cache| **cache < self.usage);
        self.usage - cache.unwrap_or(&0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_versions_of_cgroups_are_read() {
        let first = json!({
            "read": "2026-11-23T16:37:01.915300566Z",
            "pids_stats": { "current": 7 },
            "blkio_stats": { "io_service_bytes_recursive": [
                { "major": 8, "minor": 0, "op": "Read", "value": 4096 },
                { "major": 8, "minor": 16, "op": "Read", "value": 1 },
                { "major": 8, "minor": 0, "op": "Write", "value": 8192 },
                { "major": 8, "minor": 0, "op": "Total", "value": 12288 },
            ] },
            "cpu_stats": { "cpu_usage": { "total_usage": 57_034_412_u64 }, "online_cpus": 2 },
            "memory_stats": {
                "usage": 8_695_808, "limit": 25_276_510_208_u64,
                "stats": { "inactive_file": 1, "total_inactive_file": 450_560 },
            },
            "networks": {
                "eth0": { "rx_bytes": 806, "tx_bytes": 10 },
                "eth1": { "rx_bytes": 4, "tx_bytes": 5 },
            },
        });
        let expected = ContainerStats {
            at: "2026-11-23T16:37:01.915300566Z".parse().unwrap(),
            cpu_nanos: 57_034_412,
            memory_bytes: 8_695_808 - 450_560,
            memory_limit_bytes: 25_276_510_208,
            network_received_bytes: 810,
            network_sent_bytes: 15,
            block_read_bytes: 4097,
            block_written_bytes: 8192,
            pids: 7,
        };
        assert_eq!(read(first.clone()), Ok(Some(expected)));

        let mut second = first;
        second["memory_stats"]["stats"] = json!({ "inactive_file": 1_000_000, "anon": 5 });
        second["blkio_stats"]["io_service_bytes_recursive"] =
            json!([{ "op": "read", "value": 1 }, { "op": "write", "value": 2 }]);
        let expected = ContainerStats {
            memory_bytes: 7_695_808,
            block_read_bytes: 1,
            block_written_bytes: 2,
            ..expected
        };
        assert_eq!(read(second), Ok(Some(expected)));
    }

    #[test]
    fn a_container_without_network_or_disk_has_used_none() {
        let answer = json!({
            "read": "2026-11-23T16:37:01Z",
            "blkio_stats": { "io_service_bytes_recursive": null },
            "memory_stats": { "usage": 5, "stats": { "total_inactive_file": 10 } },
        });
        let stats = read(answer).unwrap().unwrap();
        assert_eq!((stats.memory_bytes, stats.network_sent_bytes), (5, 0));
    }

    #[test]
    fn a_container_that_does_not_run_uses_nothing() {
        let answer = json!({ "read": "0001-01-01T00:00:00Z", "memory_stats": {} });
        assert_eq!(read(answer), Ok(None));
        assert!(read(json!({})).is_err());
    }
}
