//! Flags of the limits that hold for all hostnames that say nothing else.

use std::{sync::Arc, time::Duration};

use clap::{Args, value_parser};
use launcher_proxy::{Config, SiteSettings};

/// Times, in seconds.
const LONGEST: i64 = 86_400;

#[derive(Args, Debug)]
pub(super) struct LimitArgs {
    /// Largest head of a visitor's request, in bytes. Beyond it 431.
    #[arg(long, env = "LAUNCHER_MAX_HEADER_BYTES", default_value_t = 65_536, value_name = "BYTES",
        value_parser = value_parser!(u32).range(8_192..=1_048_576))]
    max_header_bytes: u32,

    /// Largest body of a visitor's request, in bytes. Beyond it 413. No limit without it.
    #[arg(long, env = "LAUNCHER_MAX_BODY_BYTES", value_name = "BYTES")]
    max_body_bytes: Option<u64>,

    /// How long a visitor may take to send the head of a request, in seconds. Then the connection is closed.
    #[arg(long, env = "LAUNCHER_HEADER_TIMEOUT", default_value_t = 10, value_name = "SECONDS",
        value_parser = value_parser!(u32).range(1..=LONGEST))]
    header_timeout: u32,

    /// How long a visitor's connection may stay open between two requests, in seconds.
    #[arg(long, env = "LAUNCHER_KEEP_ALIVE_TIMEOUT", default_value_t = 75, value_name = "SECONDS",
        value_parser = value_parser!(u32).range(1..=LONGEST))]
    keep_alive_timeout: u32,

    /// How long connecting to a container may take, in seconds. Then another one is tried, or the visitor gets 504.
    #[arg(long, env = "LAUNCHER_CONNECT_TIMEOUT", default_value_t = 5, value_name = "SECONDS",
        value_parser = value_parser!(u32).range(1..=LONGEST))]
    connect_timeout: u32,

    /// How long an app may be silent before it answers, in seconds. Then the visitor gets 504.
    #[arg(long, env = "LAUNCHER_RESPONSE_TIMEOUT", default_value_t = 120, value_name = "SECONDS",
        value_parser = value_parser!(u32).range(1..=LONGEST))]
    response_timeout: u32,

    /// How long a body may stand still, in seconds: a visitor's gets 408, an app's is broken off.
    #[arg(long, env = "LAUNCHER_BODY_IDLE_TIMEOUT", default_value_t = 300, value_name = "SECONDS",
        value_parser = value_parser!(u32).range(1..=LONGEST))]
    body_idle_timeout: u32,
}

/// The same.
#[derive(Clone, Debug)]
pub(crate) struct LimitConfig {
    max_header_bytes: usize,
    header_read: Duration,
    idle_keep_alive: Duration,
    site: Arc<SiteSettings>,
}

impl LimitArgs {
    pub(super) fn config(&self) -> LimitConfig {
        let seconds = |number: u32| Duration::from_secs(number.into());
        LimitConfig {
            max_header_bytes: self.max_header_bytes as usize,
            header_read: seconds(self.header_timeout),
            idle_keep_alive: seconds(self.keep_alive_timeout),
            site: Arc::new(SiteSettings {
                connect: seconds(self.connect_timeout),
                response: seconds(self.response_timeout),
                body_idle: seconds(self.body_idle_timeout),
                body_bytes: self.max_body_bytes,
                ..SiteSettings::default()
            }),
        }
    }
}

impl LimitConfig {
    /// Lets a proxy go by them.
    pub(crate) fn enter(&self, config: &mut Config) {
        config.max_header_bytes = self.max_header_bytes;
        config.header_read = self.header_read;
        config.idle_keep_alive = self.idle_keep_alive;
        config.site = Arc::clone(&self.site);
    }
}
