//! `meteor-launcher serve`: puts the parts together, and takes them apart in order.

use std::{fs, io::ErrorKind, net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use launcher_core::{
    DiskSettings, Hostname, Launcher, Parts, Settings,
    engine::DockerEngine,
    routing::{RedisMirror, RouteBoard},
    source::{FetchOptions, Options, install_crypto_provider},
    store::SqliteStore,
    terminals::TerminalSettings,
    uploads::UploadSettings,
};
use launcher_proxy::{Affinity, Proxy, Upstream};
use tokio::{net::TcpListener, signal::unix, task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    access_log::RunningLog,
    api::{self, Api},
    config::{Config, ProxyConfig},
    http::{self, Control},
    log,
    observer::Observers,
    probe::AppProber,
    routes::{Routes, Tables},
    secret_key,
    traffic::ProxyTraffic,
};

pub(super) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Everything has ended this long after it was asked to, whatever is still in flight.
pub(super) const SHUTDOWN: Duration = Duration::from_secs(9);
/// How long methods, and visitors' requests, may take to finish meanwhile.
const IN_FLIGHT: Duration = Duration::from_secs(5);
/// How long threads that cannot be interrupted are waited for at the very end.
pub(super) const LAST_THREADS: Duration = Duration::from_millis(200);

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(config: Config) -> Result<(), AnyError> {
    log::to_stderr(&config.log)?;
    install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(serve(config));
    // The look-up of a name blocks a thread, and nothing can end it.
    runtime.shutdown_timeout(LAST_THREADS);
    outcome
}

async fn serve(config: Config) -> Result<(), AnyError> {
    let mut signals = Signals::new()?;
    let server = tokio::select! {
        started = Server::start(&config) => started?,
        () = signals.any() => return Ok(()),
    };
    signals.any().await;
    tracing::info!("stopping; containers go on running");
    if timeout(SHUTDOWN, server.stop()).await.is_err() {
        tracing::warn!("not everything ended in time");
    }
    tracing::info!("stopped");
    Ok(())
}

/// All parts, running.
struct Server {
    launcher: Arc<Launcher>,
    api: Api,
    control: JoinHandle<()>,
    /// The same pages, as visitors' port leads to them.
    domain: Option<JoinHandle<()>>,
    proxy: JoinHandle<()>,
    access_log: Option<RunningLog>,
    /// Ends when this is dropped.
    mirror: Option<AbortOnDropHandle<()>>,
    stop: CancellationToken,
}

impl Server {
    async fn start(config: &Config) -> Result<Self, AnyError> {
        make_private_directory(&config.data_dir)?;
        // Bound first: a second launcher on the same ports ends here, before it touches anything.
        let control = bind("--port", config.control).await?;
        let visitors = bind("--proxy-listen", config.proxy.listen).await?;
        let store = Arc::new(SqliteStore::open(&config.data_dir).await?);
        if let Some(id) = &config.launcher_id {
            store.belong_to(id).await?;
        }
        let engine = DockerEngine::new(config.docker_host.as_deref());
        let engine = Arc::new(engine.map_err(|e| format!("--docker-host: {e}"))?);
        let mut proxy_config = launcher_proxy::Config {
            draining: config.patience.drain,
            ..proxy_config(&config.proxy, &config.data_dir)?
        };
        let access_log = RunningLog::of(config.proxy.access_log.as_ref(), &mut proxy_config)?;
        let site_settings = Arc::clone(&proxy_config.site);
        let (proxy, route_writer) = Proxy::new(proxy_config);
        let domain = Domain::bind(config.launcher_domain.as_ref()).await?;
        let own = domain.as_ref().map(Domain::route).transpose()?;
        let tables = Tables::new(route_writer, site_settings).with_own(own);
        // Also as long as there is no instance.
        tables.publish([]);
        let (documents, publications) = api::collections(config);
        let board = Arc::new(RouteBoard::default());
        let observer = Arc::new(Observers {
            routes: Routes::new(tables, Arc::clone(&board), config.default_hostname.as_ref()),
            documents,
        });
        let parts = Parts {
            store,
            engine,
            observer,
            prober: Arc::new(AppProber),
            traffic: Arc::new(ProxyTraffic::new(proxy.clone())),
        };
        let launcher = Arc::new(Launcher::start(parts, settings(config)).await?);
        board.started();
        let api = Api::new(
            Arc::clone(&launcher),
            publications,
            &board,
            proxy.clone(),
            config.http_forwarded_count,
        );

        let redis = config.redis.clone().map(|server| {
            let mirror = RedisMirror::new(server, board, launcher.id());
            let state = mirror.state();
            let task =
                AbortOnDropHandle::new(tokio::spawn(async move { match mirror.run().await {} }));
            (state, task)
        });
        let (redis, mirror) = redis.unzip();
        let addresses = (control.local_addr()?, visitors.local_addr()?);
        let pages = Control {
            api: api.clone(),
            launcher_id: launcher.id().to_owned(),
            proxy: addresses.1,
            router: proxy.clone(),
            redis,
            proxied: config.http_forwarded_count != 0,
            domain: None,
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let proxy = tokio::spawn(async move { proxy.run(visitors, stopped).await });
        let stopped = stop.clone().cancelled_owned();
        let domain = domain.map(|domain| domain.serve(&pages, &stop));
        let control = tokio::spawn(http::serve(control, pages, stopped));
        tracing::info!(control = %addresses.0, proxy = %addresses.1, data = %config.data_dir.display(), "ready");
        Ok(Self {
            launcher,
            api,
            control,
            domain,
            proxy,
            access_log,
            mirror,
            stop,
        })
    }

    /// Takes nothing new, finishes what is in flight, and leaves the containers running.
    async fn stop(self) {
        self.stop.cancel();
        self.launcher.uploads().stop();
        let terminals = self.launcher.terminals();
        terminals.stop();
        // Whoever waits for a build gets an answer when it has ended.
        let builds = timeout(IN_FLIGHT, self.launcher.end_builds());
        let terminals = timeout(IN_FLIGHT, terminals.closed());
        let finish = self.api.finish(IN_FLIGHT);
        let (builds, terminals, ()) = tokio::join!(builds, terminals, finish);
        if builds.is_err() {
            tracing::warn!("some builds are left to the next start");
        }
        if terminals.is_err() {
            tracing::warn!("some terminals are left to the next start");
        }
        drop(tokio::join!(self.control, self.proxy));
        if let Some(domain) = self.domain {
            drop(domain.await);
        }
        if let Some(access_log) = self.access_log {
            access_log.finish().await;
        }
        self.launcher.shutdown().await;
        drop(self.mirror);
    }
}

/// The launcher as one of the sites of its own router.
struct Domain {
    hostname: Hostname,
    listener: TcpListener,
}

impl Domain {
    async fn bind(hostname: Option<&Hostname>) -> Result<Option<Self>, AnyError> {
        let Some(hostname) = hostname.cloned() else {
            return Ok(None);
        };
        let listener = bind("--launcher-domain", (Ipv4Addr::LOCALHOST, 0).into()).await?;
        Ok(Some(Self { hostname, listener }))
    }

    fn route(&self) -> Result<(String, Upstream), AnyError> {
        let address = self.listener.local_addr()?;
        let upstream = Upstream::new(address.ip().to_string(), address.port());
        Ok((self.hostname.to_string(), upstream))
    }

    fn serve(self, pages: &Control, stop: &CancellationToken) -> JoinHandle<()> {
        let pages = Control {
            proxied: true,
            domain: Some(self.hostname),
            ..pages.clone()
        };
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(http::serve(self.listener, pages, stopped))
    }
}

/// What asks the launcher to end.
pub(super) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, AnyError> {
        let terminate = unix::signal(unix::SignalKind::terminate())?;
        let interrupt = unix::signal(unix::SignalKind::interrupt())?;
        Ok(Self {
            terminate,
            interrupt,
        })
    }

    pub(super) async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn settings(config: &Config) -> Settings {
    let fetch = FetchOptions {
        allow_private: config.allow_private_sources,
        deadline: config.download_time,
        ..FetchOptions::default()
    };
    Settings {
        instance_bind_ip: config.instance_bind_ip,
        temporary: config.data_dir.join("tmp"),
        uploads: UploadSettings {
            directory: config.data_dir.join("uploads"),
            max_bytes: fetch.max_bytes,
        },
        disk: DiskSettings {
            keep_images: config.keep_images,
            watermark: config.disk_watermark,
            data_dir: config.data_dir.clone(),
        },
        fetch,
        source: Options {
            node_image: config.node_image.clone(),
            source_map_support: config.source_map_support,
            ..Options::default()
        },
        builds: config.builds.clone(),
        terminals: TerminalSettings {
            idle: config.terminal_idle,
        },
        patience: config.patience,
    }
}

/// Proxies whose data directories have the same key agree about their clients' cookies.
pub(super) fn proxy_config(
    config: &ProxyConfig,
    data_dir: &Path,
) -> Result<launcher_proxy::Config, AnyError> {
    let key = secret_key::read_or_make(data_dir);
    let key = key.map_err(|e| format!("{}: {e}", data_dir.join("secret.key").display()))?;
    let mut settled = launcher_proxy::Config {
        drain: IN_FLIGHT,
        trusted_proxies: config.trusted_proxies.clone(),
        proxy_protocol: config.proxy_protocol,
        client_connections: config.client_connections,
        client_requests: config.client_requests,
        affinity: Affinity::new(config.affinity_cookie.as_str(), key),
        pages: Arc::new(config.pages.clone()),
        asset_cache_bytes: config.asset_cache,
        ..launcher_proxy::Config::default()
    };
    config.limits.enter(&mut settled);
    Ok(settled)
}

/// The data directory holds secrets.
pub(super) fn make_private_directory(path: &Path) -> Result<(), AnyError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    let shown = path.display();
    match made {
        Ok(()) => Ok(()),
        // Recursively made, a directory that is there already is no error.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            Err(format!("--data-dir {shown}: this is not a directory").into())
        }
        Err(e) => Err(format!("--data-dir {shown}: the directory cannot be made: {e}").into()),
    }
}

pub(super) async fn bind(
    flag: &str,
    address: std::net::SocketAddr,
) -> Result<TcpListener, AnyError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|e| format!("{address} ({flag}) cannot be listened on: {e}").into())
}
