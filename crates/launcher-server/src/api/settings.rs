//! The configuration that is in effect, as far as callers may know it: no addresses of the engine, no
//! paths, no secrets.

use std::time::Duration;

use ddp_server::{ejson::Fields, fields};

use super::MAX_MESSAGE;
use crate::config::Config;

/// Id of the one document.
pub(super) const ID: &str = "launcher";

/// What is published of the configuration.
pub(super) fn fields_of(config: &Config) -> Fields {
    let (builds, patience) = (&config.builds, config.patience);
    fields! {
        "version": env!("CARGO_PKG_VERSION"),
        "instanceBindIp": config.instance_bind_ip.to_string(),
        "proxyListen": config.proxy.listen.to_string(),
        "allowPrivateSources": config.allow_private_sources,
        "buildsAtOnce": builds.at_once as u64,
        "buildMemoryBytes": builds.memory_bytes,
        "buildCpus": builds.cpus,
        "buildTimeoutMs": millis(builds.time),
        "downloadTimeoutMs": millis(config.download_time),
        "gracePeriodMs": millis(patience.grace),
        "drainPeriodMs": millis(patience.drain),
        "maxRestarts": patience.most_restarts,
        "keepImages": config.keep_images as u64,
        "diskWatermark": u64::from(config.disk_watermark),
        "httpForwardedCount": f64::from(config.http_forwarded_count),
        "maxMessageBytes": MAX_MESSAGE as u64,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
