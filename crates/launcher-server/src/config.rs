//! All configuration: flags, whose defaults are environment variables, read once at start.

mod access_log;
mod limits;

use std::{
    convert::Infallible,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use clap::{ArgAction, Args, builder::FalseyValueParser, value_parser};
use launcher_core::{
    BuildSettings, Hostname, Patience, SiteAddress,
    routing::{InvalidRedisUrl, RedisServer},
    source::{NodeImage, SourceMapSupport},
};
use launcher_proxy::{Affinity, CustomPages, InvalidPage, TrustedProxies};
use thiserror::Error;

use self::access_log::AccessLogArgs;
pub(crate) use self::access_log::{AccessLogConfig, AccessLogPlace};
use self::limits::LimitArgs;
pub(crate) use self::limits::LimitConfig;
use crate::route_source::{InvalidSource, RouteSource};

/// Flags of whatever visitors connect to.
#[derive(Args, Debug)]
pub(crate) struct ProxyArgs {
    /// Address and port on which visitors reach the apps by their hostnames.
    #[arg(
        long,
        env = "LAUNCHER_PROXY_LISTEN",
        default_value = "127.0.0.1:8000",
        value_name = "IP:PORT"
    )]
    proxy_listen: SocketAddr,

    /// Proxies in front of the apps' port whose X-Forwarded-For, -Proto, -Host and -Port are believed:
    /// addresses and networks, such as 10.0.0.0/8,192.0.2.1.
    #[arg(
        long,
        env = "LAUNCHER_TRUSTED_PROXIES",
        default_value = "",
        hide_default_value = true,
        value_name = "CIDR,…"
    )]
    trusted_proxies: TrustedProxies,

    /// Connections of trusted proxies begin with a header of the PROXY protocol, version 1 or 2.
    #[arg(
        long,
        env = "LAUNCHER_PROXY_PROTOCOL",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new()
    )]
    proxy_protocol: bool,

    /// Connections that one client address may have open to the apps' port; an IPv6 client has all
    /// addresses of its /64. 0: as many as it likes. 1000 without it, but no limit for loopback.
    #[arg(long, env = "LAUNCHER_CLIENT_CONNECTIONS", value_name = "N")]
    client_connections: Option<u32>,

    /// Requests per second of one client address, of which twice as many may come at once. 0: as many as
    /// it likes. 2000 without it, but no limit for loopback.
    #[arg(long, env = "LAUNCHER_CLIENT_REQUESTS", value_name = "N")]
    client_requests: Option<u32>,

    /// The cookie by which clients of an app with several replicas stay at theirs.
    #[arg(
        long,
        env = "LAUNCHER_AFFINITY_COOKIE",
        default_value = "launcher_affinity",
        value_name = "NAME"
    )]
    affinity_cookie: String,

    /// A directory with pages in the place of the router's own: starting.html, stopped.html, crashed.html,
    /// maintenance.html, unknown-hostname.html, …, error.html. Read at the start.
    #[arg(long, env = "LAUNCHER_PAGES", value_name = "DIR")]
    pages: Option<PathBuf>,

    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    access_log: AccessLogArgs,

    /// Memory for scripts and styles that have passed, for pages of the old version of an app after a deployment, such
    /// as 64m. 0: none.
    #[arg(
        long,
        env = "LAUNCHER_ASSET_CACHE",
        default_value = "64m",
        value_parser = cache_size,
        value_name = "SIZE"
    )]
    asset_cache: usize,
}

/// The same, checked.
#[derive(Clone, Debug)]
pub(crate) struct ProxyConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) proxy_protocol: bool,
    pub(crate) client_connections: Option<u32>,
    pub(crate) client_requests: Option<u32>,
    pub(crate) affinity_cookie: String,
    pub(crate) pages: CustomPages,
    pub(crate) limits: LimitConfig,
    pub(crate) access_log: Option<AccessLogConfig>,
    /// In bytes.
    pub(crate) asset_cache: usize,
}

/// Flags of `serve`.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Address of the control port (DDP, /health). Only loopback is allowed.
    #[arg(long, env = "BIND_IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind_ip: IpAddr,

    /// The control port.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,

    #[command(flatten)]
    proxy: ProxyArgs,

    /// The hostname, of those that instances have, whose app also gets requests for hostnames that nobody has.
    #[arg(long, env = "LAUNCHER_DEFAULT_HOSTNAME", value_name = "HOSTNAME", value_parser = SiteAddress::parse)]
    default_hostname: Option<SiteAddress>,

    /// The hostname under which visitors' port leads to the launcher itself: what the control port has, needs no
    /// port of its own then. Only while that port is on a loopback address.
    #[arg(long, env = "LAUNCHER_DOMAIN", value_name = "HOSTNAME", value_parser = Hostname::parse)]
    launcher_domain: Option<Hostname>,

    #[arg(
        long,
        env = "REDIS_URL",
        value_name = "URL",
        hide_env_values = true,
        help = "A Redis that gets every route, in Hipache's schema and for meteor-launcher proxy: \
                redis://[:PASSWORD@]HOST[:PORT][/DATABASE]"
    )]
    redis_url: Option<SecretText>,

    /// Where the launcher keeps its state. Made if it does not exist.
    #[arg(
        long,
        env = "LAUNCHER_DATA_DIR",
        default_value = "./launcher-data",
        value_name = "DIR"
    )]
    data_dir: PathBuf,

    /// The id that this launcher has, where its data directory is new: that of one whose data directory
    /// was lost, and whose containers it adopts. docker ps tells it by their label launcher.owner.
    #[arg(long, env = "LAUNCHER_ID", value_name = "ID", value_parser = launcher_id)]
    launcher_id: Option<String>,

    /// The Docker engine: unix:///path, tcp://host:port or http://host:port. Docker's own socket
    /// without it.
    #[arg(long, env = "DOCKER_HOST", value_name = "URL", hide_env_values = true)]
    docker_host: Option<String>,

    /// Address of this host that the apps' ports are bound to.
    #[arg(
        long,
        env = "LAUNCHER_INSTANCE_BIND_IP",
        default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST),
        value_name = "IP"
    )]
    instance_bind_ip: IpAddr,

    /// The image that Meteor bundles are built on; {major} stands for Node's major version.
    #[arg(
        long,
        env = "LAUNCHER_NODE_IMAGE",
        default_value = "node:{major}-bookworm-slim",
        value_name = "NAME"
    )]
    node_image: String,

    /// Where Meteor bundles' source-map-support comes from, which they name by the URL of a tarball:
    /// from there (bundle), from the npm registry (registry), or from there if it answers (auto).
    #[arg(
        long,
        env = "LAUNCHER_SOURCE_MAP_SUPPORT",
        default_value = "auto",
        value_name = "FROM"
    )]
    source_map_support: SourceMapSupport,

    /// Images of each repository, and of each app instance, that are kept though nothing uses them.
    #[arg(
        long,
        env = "LAUNCHER_KEEP_IMAGES",
        default_value_t = 5,
        value_parser = value_parser!(u16).range(1..=1000),
        value_name = "N"
    )]
    keep_images: u16,

    /// How full the engine's disk may be, in percent of its bytes or files, before build cache that
    /// the launcher made is removed as well.
    #[arg(
        long,
        env = "LAUNCHER_DISK_WATERMARK",
        default_value_t = 80,
        value_parser = value_parser!(u8).range(1..=100),
        value_name = "PERCENT"
    )]
    disk_watermark: u8,

    /// Allow archives from loopback, private and link-local addresses.
    #[arg(
        long,
        env = "LAUNCHER_ALLOW_PRIVATE_SOURCES",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new()
    )]
    allow_private_sources: bool,

    /// How many builds may go on at once.
    #[arg(
        long,
        env = "LAUNCHER_BUILDS_AT_ONCE",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=32),
        value_name = "N"
    )]
    builds_at_once: u16,

    /// Memory that a build may use, such as 1500m or 4g; swap is not used. Half of the engine's
    /// memory without it, and at least 1g.
    #[arg(long, env = "LAUNCHER_BUILD_MEMORY", value_name = "SIZE", value_parser = memory)]
    build_memory: Option<u64>,

    /// Processors that a build may use, such as 1.5. All of the engine's but one without it.
    #[arg(long, env = "LAUNCHER_BUILD_CPUS", value_name = "N", value_parser = cpus)]
    build_cpus: Option<f64>,

    /// Minutes that a build may take once its archive is there, such as 90 or 0.5.
    #[arg(
        long,
        env = "LAUNCHER_BUILD_TIMEOUT",
        default_value = "60",
        value_parser = minutes,
        value_name = "MINUTES"
    )]
    build_timeout: Duration,

    /// Minutes that the download of an archive may take.
    #[arg(
        long,
        env = "LAUNCHER_DOWNLOAD_TIMEOUT",
        default_value = "30",
        value_parser = minutes,
        value_name = "MINUTES"
    )]
    download_timeout: Duration,

    /// Seconds after which a terminal is closed in which nothing was typed and nothing shown.
    #[arg(
        long,
        env = "LAUNCHER_TERMINAL_IDLE",
        default_value_t = 900,
        value_parser = value_parser!(u32).range(1..=86_400),
        value_name = "SECONDS"
    )]
    terminal_idle: u32,

    /// Seconds that an app may take to end after it was asked to; then it is killed. It is told as
    /// METEOR_SIGTERM_GRACE_PERIOD_SECONDS.
    #[arg(
        long,
        env = "LAUNCHER_GRACE_PERIOD",
        default_value_t = 30,
        value_parser = clap::value_parser!(u16).range(1..=3_600),
        value_name = "SECONDS"
    )]
    grace_period: u16,

    /// Seconds that open requests may keep an old container from being asked to end.
    #[arg(
        long,
        env = "LAUNCHER_DRAIN_PERIOD",
        default_value_t = 30,
        value_parser = clap::value_parser!(u16).range(0..=3_600),
        value_name = "SECONDS"
    )]
    drain_period: u16,

    /// After so many restarts without a stable run in between an app instance is stopped. 0: never.
    #[arg(
        long,
        env = "LAUNCHER_MAX_RESTARTS",
        default_value_t = 100,
        value_name = "N"
    )]
    max_restarts: u32,

    /// Let everyone in who can reach the control port. There are no accounts yet, so this changes
    /// nothing; scripts may pass it already.
    #[arg(long, action = ArgAction::SetTrue)]
    insecure_no_auth: bool,

    /// Proxies in front of the control port, as in Meteor: which entry of X-Forwarded-For, from the
    /// right, is the client's address. 0: the socket's.
    #[arg(
        long,
        env = "HTTP_FORWARDED_COUNT",
        default_value_t = 0,
        allow_negative_numbers = true,
        value_name = "N"
    )]
    http_forwarded_count: i32,

    /// What is logged: error, warn, info, debug or trace, also by module (info,ddp_server=debug).
    #[arg(
        long = "log",
        env = "RUST_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    log: String,
}

/// Flags of `proxy`.
#[derive(Args, Debug)]
pub(crate) struct StandaloneArgs {
    #[arg(
        long,
        env = "LAUNCHER_ROUTES",
        value_name = "URL",
        hide_env_values = true,
        help = "Where the routes come from: redis://[:PASSWORD@]HOST[:PORT][/DATABASE], which a \
                launcher with --redis-url writes to, or Hipache's tools; or ddp://HOST[:PORT], a \
                launcher's control port"
    )]
    routes: SecretText,

    #[command(flatten)]
    proxy: ProxyArgs,

    /// Address of the control port (/health).
    #[arg(long, env = "BIND_IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind_ip: IpAddr,

    /// The control port.
    #[arg(long, env = "PORT", default_value_t = 8081)]
    port: u16,

    /// Address and port of GET /metrics, for Prometheus. Only loopback is allowed. None without it.
    #[arg(long, env = "LAUNCHER_METRICS", value_name = "IP:PORT")]
    metrics: Option<SocketAddr>,

    /// Where the proxy keeps a copy of the last routes. Made if it does not exist.
    #[arg(
        long,
        env = "LAUNCHER_DATA_DIR",
        default_value = "./launcher-proxy-data",
        value_name = "DIR"
    )]
    data_dir: PathBuf,

    /// What is logged: error, warn, info, debug or trace, also by module (info,launcher_proxy=debug).
    #[arg(
        long = "log",
        env = "RUST_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    log: String,
}

/// The same, checked.
#[derive(Clone, Debug)]
pub(crate) struct StandaloneConfig {
    pub(crate) source: RouteSource,
    pub(crate) proxy: ProxyConfig,
    pub(crate) control: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) data_dir: PathBuf,
    pub(crate) log: String,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) control: SocketAddr,
    pub(crate) proxy: ProxyConfig,
    pub(crate) default_hostname: Option<SiteAddress>,
    pub(crate) launcher_domain: Option<Hostname>,
    pub(crate) redis: Option<RedisServer>,
    pub(crate) data_dir: PathBuf,
    pub(crate) launcher_id: Option<String>,
    pub(crate) docker_host: Option<String>,
    pub(crate) instance_bind_ip: IpAddr,
    pub(crate) node_image: NodeImage,
    pub(crate) source_map_support: SourceMapSupport,
    pub(crate) keep_images: usize,
    pub(crate) disk_watermark: u8,
    pub(crate) allow_private_sources: bool,
    pub(crate) builds: BuildSettings,
    pub(crate) download_time: Duration,
    pub(crate) terminal_idle: Duration,
    pub(crate) patience: Patience,
    pub(crate) http_forwarded_count: i32,
    pub(crate) log: String,
}

/// A configuration that cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error(
        "--bind-ip {0}: the control port is bound to loopback addresses only. There are no accounts \
         yet, and whoever can talk to the launcher can run programs as root on this machine. Use \
         127.0.0.1, and an SSH tunnel (ssh -L {1}:127.0.0.1:{1} …) from elsewhere"
    )]
    NotLoopback(IpAddr, u16),
    #[error(
        "--launcher-domain {0}: the launcher has no accounts yet, and whoever can talk to it can run programs as \
         root on this machine, so visitors' port (--proxy-listen) has to be on a loopback address with it"
    )]
    OpenDomain(Hostname),
    #[error("--pages: {0}")]
    Pages(#[from] InvalidPage),
    #[error(
        "--metrics {0}: the figures are told on loopback addresses only, since they name all hosts that \
         visitors ask for"
    )]
    MetricsNotLoopback(SocketAddr),
    #[error("--proxy-protocol: nobody may use it as long as --trusted-proxies names nobody")]
    ProxyProtocolOfNobody,
    #[error(
        "--affinity-cookie {0}: a cookie's name has letters, digits and !#$%&'*+-.^_`|~ in it, and nothing else"
    )]
    CookieName(String),
    #[error("{0}: {1}")]
    Redis(&'static str, InvalidRedisUrl),
    #[error("--routes: {0}")]
    Source(#[from] InvalidSource),
    #[error("--node-image {name}: {reason}")]
    NodeImage { name: String, reason: String },
}

impl ProxyArgs {
    fn check(self) -> Result<ProxyConfig, ConfigError> {
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            return Err(ConfigError::ProxyProtocolOfNobody);
        }
        if Affinity::new(self.affinity_cookie.as_str(), [0; 32]).is_none() {
            return Err(ConfigError::CookieName(self.affinity_cookie));
        }
        let pages = self.pages.as_deref().map(CustomPages::read).transpose()?;
        Ok(ProxyConfig {
            pages: pages.unwrap_or_default(),
            limits: self.limits.config(),
            listen: self.proxy_listen,
            trusted_proxies: self.trusted_proxies,
            proxy_protocol: self.proxy_protocol,
            client_connections: self.client_connections,
            client_requests: self.client_requests,
            affinity_cookie: self.affinity_cookie,
            access_log: self.access_log.check(),
            asset_cache: self.asset_cache,
        })
    }
}

impl StandaloneArgs {
    /// Checks what the flags' types cannot say.
    pub(crate) fn check(self) -> Result<StandaloneConfig, ConfigError> {
        if let Some(metrics) = self.metrics.filter(|metrics| !metrics.ip().is_loopback()) {
            return Err(ConfigError::MetricsNotLoopback(metrics));
        }
        Ok(StandaloneConfig {
            source: RouteSource::parse(&self.routes.0)?,
            proxy: self.proxy.check()?,
            control: SocketAddr::new(self.bind_ip, self.port),
            metrics: self.metrics,
            data_dir: self.data_dir,
            log: self.log,
        })
    }
}

impl ServeArgs {
    /// Checks what the flags' types cannot say.
    pub(crate) fn check(self) -> Result<Config, ConfigError> {
        if !self.bind_ip.is_loopback() {
            return Err(ConfigError::NotLoopback(self.bind_ip, self.port));
        }
        if let Some(domain) = &self.launcher_domain
            && !self.proxy.proxy_listen.ip().is_loopback()
        {
            return Err(ConfigError::OpenDomain(domain.clone()));
        }
        let redis = self.redis_url.filter(|url| !url.0.is_empty());
        let redis = redis.map(|url| url.redis("--redis-url")).transpose()?;
        let node_image =
            NodeImage::parse(&self.node_image).map_err(|e| ConfigError::NodeImage {
                name: self.node_image.clone(),
                reason: e.to_string(),
            })?;
        Ok(Config {
            control: SocketAddr::new(self.bind_ip, self.port),
            proxy: self.proxy.check()?,
            default_hostname: self.default_hostname,
            launcher_domain: self.launcher_domain,
            redis,
            data_dir: self.data_dir,
            launcher_id: self.launcher_id,
            docker_host: self.docker_host.filter(|host| !host.is_empty()),
            instance_bind_ip: self.instance_bind_ip,
            node_image,
            source_map_support: self.source_map_support,
            keep_images: self.keep_images.into(),
            disk_watermark: self.disk_watermark,
            allow_private_sources: self.allow_private_sources,
            builds: BuildSettings {
                at_once: self.builds_at_once.into(),
                memory_bytes: self.build_memory,
                cpus: self.build_cpus,
                time: self.build_timeout,
            },
            download_time: self.download_timeout,
            terminal_idle: Duration::from_secs(self.terminal_idle.into()),
            patience: Patience {
                grace: Duration::from_secs(self.grace_period.into()),
                drain: Duration::from_secs(self.drain_period.into()),
                most_restarts: self.max_restarts,
            },
            http_forwarded_count: self.http_forwarded_count,
            log: self.log,
        })
    }
}

/// A text with a password in it: whoever finds it wrong must not repeat it, as the command line's parser does.
#[derive(Clone)]
struct SecretText(String);

impl FromStr for SecretText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl SecretText {
    fn redis(&self, flag: &'static str) -> Result<RedisServer, ConfigError> {
        RedisServer::at(&self.0).map_err(|error| ConfigError::Redis(flag, error))
    }
}

/// An id as launchers give them to themselves.
fn launcher_id(text: &str) -> Result<String, String> {
    let is_id = text.len() == 17 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match is_id {
        true => Ok(text.to_owned()),
        false => Err("it has 17 letters and digits".into()),
    }
}

/// Least memory of a container, in the engine's own words.
const MIN_MEMORY: u64 = 6 << 20;

/// Memory of a container, as Docker's `--memory` takes it.
fn memory(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    match bytes >= MIN_MEMORY {
        true => Ok(bytes),
        false => Err("it must be at least 6m".into()),
    }
}

fn cache_size(text: &str) -> Result<usize, String> {
    usize::try_from(bytes(text)?).map_err(|_| "it is too large".into())
}

/// A number of bytes with b, k, m or g behind it.
fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return Err("its unit must be b, k, m or g".into()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "it must be a whole number, such as 1500m")?;
    let bytes = number
        .checked_mul(unit)
        .filter(|bytes| *bytes <= i64::MAX as u64);
    bytes.ok_or_else(|| "it must fit into 63 bits".into())
}

fn cpus(text: &str) -> Result<f64, String> {
    let cpus = text.trim().parse::<f64>().ok();
    cpus.filter(|cpus| (0.01..=10_000.0).contains(cpus))
        .ok_or_else(|| "it must be a number, at least 0.01".into())
}

/// Longest deadline that can be chosen, in minutes: 45 days.
const MAX_MINUTES: f64 = 65_535.0;

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.trim().parse::<f64>().ok();
    minutes
        .filter(|minutes| (0.01..=MAX_MINUTES).contains(minutes))
        .map(|minutes| Duration::from_secs_f64(minutes * 60.0))
        .ok_or_else(|| "it must be a number from 0.01 to 65535".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn check(flags: &[&str]) -> Result<Config, ConfigError> {
        let args = std::iter::once("serve").chain(flags.iter().copied());
        Alone::parse_from(args).serve.check()
    }

    #[test]
    fn a_cookie_has_a_name_that_cookies_can_have() {
        assert!(check(&["--affinity-cookie", "route.1"]).is_ok());
        for name in ["", "a b", "a=b", "a;b", "ä"] {
            let refused = check(&["--affinity-cookie", name]).unwrap_err();
            assert!(
                refused.to_string().contains("--affinity-cookie"),
                "{refused}"
            );
        }
    }

    #[test]
    fn the_cache_of_assets_has_a_size_and_can_be_off() {
        let size = |flags: &[&str]| check(flags).unwrap().proxy.asset_cache;
        assert_eq!(size(&[]), 64 << 20);
        assert_eq!(size(&["--asset-cache", "1m"]), 1 << 20);
        assert_eq!(size(&["--asset-cache", "0"]), 0);
    }

    #[test]
    fn only_loopback_addresses_may_be_bound() {
        for ip in ["127.0.0.1", "127.1.2.3", "::1"] {
            assert!(check(&["--bind-ip", ip]).is_ok(), "{ip}");
        }
        for ip in ["0.0.0.0", "::", "192.168.1.1"] {
            let refused = check(&["--bind-ip", ip, "--insecure-no-auth"]).unwrap_err();
            assert!(refused.to_string().contains("no accounts"), "{refused}");
        }
    }

    #[test]
    fn who_may_use_the_proxy_protocol_must_be_named() {
        assert!(check(&["--proxy-protocol"]).is_err());
        let config = check(&["--proxy-protocol", "--trusted-proxies", "10.0.0.0/8,::1"]).unwrap();
        assert!(config.proxy.proxy_protocol && !config.proxy.trusted_proxies.is_empty());
    }

    #[test]
    fn an_address_of_redis_that_is_wrong_is_not_repeated() {
        let shown = |url: &str| {
            let wrong = check(&["--redis-url", url]).unwrap_err();
            format!("{wrong} {wrong:?}")
        };
        assert!(!shown("redis://:hunter2@").contains("hunter2"));
        assert!(!shown("rediss://:hunter2@a.test").contains("hunter2"));
        let config = check(&["--redis-url", "redis://:hunter2@a.test"]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(check(&["--redis-url", ""]).unwrap().redis.is_none());
    }

    #[test]
    fn a_node_image_must_be_an_image_name() {
        assert!(check(&["--node-image", "registry.test/node:{major}"]).is_ok());
        assert!(check(&["--node-image", "node {major}"]).is_err());
    }

    #[test]
    fn what_builds_may_use_is_read_as_docker_reads_it() {
        let sizes = ["512m", "2G", "1073741824", "3gb", "1", "x", "5t", "-1m", ""];
        let read = sizes.map(|text| memory(text).ok());
        let expected = [512 << 20, 2 << 30, 1 << 30, 3 << 30].map(Some);
        assert_eq!(read[..4], expected);
        assert!(read[4..].iter().all(Option::is_none), "{read:?}");
        assert_eq!(
            ["1.5", "0", "NaN", "x"].map(|text| cpus(text).ok()),
            [Some(1.5), None, None, None]
        );
        assert_eq!(
            ["90", "0.5", "0", "-1", "1e9", "NaN", "x"].map(|text| minutes(text).ok()),
            [
                Some(Duration::from_secs(5400)),
                Some(Duration::from_secs(30)),
                None,
                None,
                None,
                None,
                None
            ]
        );
    }
}
