//! All configuration: flags, whose defaults are environment variables, read once at start.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::{ArgAction, Args, builder::FalseyValueParser};
use launcher_core::source::{NodeImage, SourceMapSupport};
use thiserror::Error;

/// Flags of `serve`.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Address of the control port (DDP, /health). Only loopback is allowed.
    #[arg(long, env = "BIND_IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind_ip: IpAddr,

    /// The control port.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,

    /// Address and port on which visitors reach the apps by their hostnames.
    #[arg(
        long,
        env = "LAUNCHER_PROXY_LISTEN",
        default_value = "127.0.0.1:8000",
        value_name = "IP:PORT"
    )]
    proxy_listen: SocketAddr,

    /// Where the launcher keeps its state. Made if it does not exist.
    #[arg(
        long,
        env = "LAUNCHER_DATA_DIR",
        default_value = "./launcher-data",
        value_name = "DIR"
    )]
    data_dir: PathBuf,

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

    /// Allow archives from loopback, private and link-local addresses.
    #[arg(
        long,
        env = "LAUNCHER_ALLOW_PRIVATE_SOURCES",
        action = ArgAction::SetTrue,
        value_parser = FalseyValueParser::new()
    )]
    allow_private_sources: bool,

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

/// A checked configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) control: SocketAddr,
    pub(crate) proxy: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) docker_host: Option<String>,
    pub(crate) instance_bind_ip: IpAddr,
    pub(crate) node_image: NodeImage,
    pub(crate) source_map_support: SourceMapSupport,
    pub(crate) allow_private_sources: bool,
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
    #[error("--node-image {name}: {reason}")]
    NodeImage { name: String, reason: String },
}

impl ServeArgs {
    /// Checks what the flags' types cannot say.
    pub(crate) fn check(self) -> Result<Config, ConfigError> {
        if !self.bind_ip.is_loopback() {
            return Err(ConfigError::NotLoopback(self.bind_ip, self.port));
        }
        let node_image =
            NodeImage::parse(&self.node_image).map_err(|e| ConfigError::NodeImage {
                name: self.node_image.clone(),
                reason: e.to_string(),
            })?;
        Ok(Config {
            control: SocketAddr::new(self.bind_ip, self.port),
            proxy: self.proxy_listen,
            data_dir: self.data_dir,
            docker_host: self.docker_host.filter(|host| !host.is_empty()),
            instance_bind_ip: self.instance_bind_ip,
            node_image,
            source_map_support: self.source_map_support,
            allow_private_sources: self.allow_private_sources,
            http_forwarded_count: self.http_forwarded_count,
            log: self.log,
        })
    }
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
    fn a_node_image_must_be_an_image_name() {
        assert!(check(&["--node-image", "registry.test/node:{major}"]).is_ok());
        assert!(check(&["--node-image", "node {major}"]).is_err());
    }
}
