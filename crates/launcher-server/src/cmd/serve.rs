//! `meteor-launcher serve`: puts the parts together, and takes them apart in order.

use std::{fs, io::IsTerminal, path::Path, sync::Arc, time::Duration};

use launcher_core::{
    Launcher, Parts, Settings,
    engine::DockerEngine,
    source::{FetchOptions, Options, install_crypto_provider},
    store::SqliteStore,
};
use launcher_proxy::Proxy;
use tokio::{net::TcpListener, signal::unix, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    api::{self, Api},
    config::Config,
    http,
    observer::Observers,
    routes::Routes,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Everything has ended this long after it was asked to, whatever is still in flight.
const SHUTDOWN: Duration = Duration::from_secs(9);
/// How long methods, and visitors' requests, may take to finish meanwhile.
const IN_FLIGHT: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(config: Config) -> Result<(), AnyError> {
    log_to_stderr(&config.log)?;
    install_crypto_provider();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), AnyError> {
    make_private_directory(&config.data_dir)?;
    // Bound first: a second launcher on the same ports ends here, before it touches anything.
    let control = bind(config.control).await?;
    let visitors = bind(config.proxy).await?;
    let store = Arc::new(SqliteStore::open(&config.data_dir).await?);
    let engine = Arc::new(DockerEngine::new(config.docker_host.as_deref())?);

    let (proxy, route_writer) = Proxy::new(proxy_config());
    let (documents, publications) = api::collections();
    let observer = Arc::new(Observers {
        routes: Routes::new(route_writer),
        documents,
    });
    let parts = Parts {
        store,
        engine,
        observer,
    };
    let launcher = Arc::new(Launcher::start(parts, settings(&config)).await?);
    let api = Api::new(
        Arc::clone(&launcher),
        publications,
        config.http_forwarded_count,
    );

    let stop = CancellationToken::new();
    let stopped = || stop.clone().cancelled_owned();
    let proxy = tokio::spawn({
        let stopped = stopped();
        async move { proxy.run(visitors, stopped).await }
    });
    let control = tokio::spawn(http::serve(control, api.clone(), stopped()));
    tracing::info!("ready: {config}");

    wait_for_signal().await?;
    tracing::info!("stopping; containers go on running");
    stop.cancel();
    let ending = async {
        api.finish(IN_FLIGHT).await;
        drop(tokio::join!(control, proxy));
        launcher.shutdown().await;
    };
    if timeout(SHUTDOWN, ending).await.is_err() {
        tracing::warn!("not everything ended in time");
    }
    tracing::info!("stopped");
    Ok(())
}

fn settings(config: &Config) -> Settings {
    Settings {
        instance_bind_ip: config.instance_bind_ip,
        temporary: config.data_dir.join("tmp"),
        fetch: FetchOptions {
            allow_private: config.allow_private_sources,
            ..FetchOptions::default()
        },
        source: Options {
            node_image: config.node_image.clone(),
            ..Options::default()
        },
    }
}

fn proxy_config() -> launcher_proxy::Config {
    launcher_proxy::Config {
        drain: IN_FLIGHT,
        ..launcher_proxy::Config::default()
    }
}

fn log_to_stderr(filter: &str) -> Result<(), AnyError> {
    let filter = EnvFilter::try_new(filter).map_err(|e| format!("--log {filter}: {e}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

/// The data directory holds secrets.
fn make_private_directory(path: &Path) -> Result<(), AnyError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|e| format!("the data directory {} cannot be made: {e}", path.display()).into())
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, AnyError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|e| format!("{address} cannot be listened on: {e}").into())
}

async fn wait_for_signal() -> Result<(), AnyError> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
