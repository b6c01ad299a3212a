//! `meteor-launcher proxy`: the proxy by itself, with routes from elsewhere.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use launcher_core::routing::{Reachable, RouteCopy, RouteDocument, RouteTables};
use launcher_proxy::Proxy;
use serde_json::json;
use tokio::{sync::watch, task::spawn_blocking, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::serve::{
    AnyError, LAST_THREADS, SHUTDOWN, Signals, bind, make_private_directory, proxy_config,
};
use crate::{access_log::RunningLog, config::StandaloneConfig, http, log, metrics, routes::Tables};

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(config: StandaloneConfig) -> Result<(), AnyError> {
    log::to_stderr(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(serve(config));
    runtime.shutdown_timeout(LAST_THREADS);
    outcome
}

async fn serve(config: StandaloneConfig) -> Result<(), AnyError> {
    let mut signals = Signals::new()?;
    make_private_directory(&config.data_dir)?;
    let control = bind("--port", config.control).await?;
    let visitors = bind("--proxy-listen", config.proxy.listen).await?;
    let figures = match config.metrics {
        Some(address) => Some(bind("--metrics", address).await?),
        None => None,
    };
    let addresses = (control.local_addr()?, visitors.local_addr()?);
    let mut proxy_config = proxy_config(&config.proxy, &config.data_dir)?;
    let access_log = RunningLog::of(config.proxy.access_log.as_ref(), &mut proxy_config)?;
    let site_settings = Arc::clone(&proxy_config.site);
    let (proxy, writer) = Proxy::new(proxy_config);
    let table = Table {
        tables: Tables::new(writer, site_settings),
        copy: RouteCopy::in_directory(&config.data_dir),
        count: watch::Sender::new(None),
    };
    table.restore().await;
    let following = config.source.follow();
    let pages = Pages {
        proxy: proxy.clone(),
        source: following.state,
        routes: table.count.subscribe(),
        address: addresses.1.to_string().into(),
    };
    let _follows = AbortOnDropHandle::new(tokio::spawn(table.follow(following.tables)));
    let _told = following.task;
    let stop = CancellationToken::new();
    let router = Router::new()
        .route("/health", get(health))
        .with_state(pages);
    let control = tokio::spawn(http::serve_router(
        control,
        router,
        stop.clone().cancelled_owned(),
    ));
    let figures = figures.map(|figures| {
        let router = Router::new().route("/metrics", get(metrics::show_router));
        let router = router.with_state(proxy.clone());
        tokio::spawn(http::serve_router(
            figures,
            router,
            stop.clone().cancelled_owned(),
        ))
    });
    let stopped = stop.clone().cancelled_owned();
    let visitors = tokio::spawn(async move { proxy.run(visitors, stopped).await });
    tracing::info!(control = %addresses.0, proxy = %addresses.1, "ready");
    signals.any().await;
    tracing::info!("stopping");
    stop.cancel();
    let ended = timeout(SHUTDOWN, async {
        drop(tokio::join!(control, visitors));
        if let Some(figures) = figures {
            drop(figures.await);
        }
        if let Some(access_log) = access_log {
            access_log.finish().await;
        }
    });
    if ended.await.is_err() {
        tracing::warn!("not everything ended in time");
    }
    Ok(())
}

/// The proxy's table, and the copy of what it is made from.
struct Table {
    tables: Tables,
    copy: RouteCopy,
    /// How many routes there are; `None`: nobody has told yet.
    count: watch::Sender<Option<usize>>,
}

impl Table {
    /// Takes the copy, if there is one that can be read.
    async fn restore(&self) {
        let copy = self.copy.clone();
        match spawn_blocking(move || copy.load()).await {
            Ok(Ok(Some(routes))) => {
                tracing::info!(
                    routes = routes.len(),
                    "begins with the routes of the last run"
                );
                self.publish(&routes, true);
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the copy of the routes cannot be read"),
            Err(error) => tracing::warn!(%error, "the copy of the routes cannot be read"),
        }
    }

    /// Takes over each table, then copies it.
    async fn follow(self, mut tables: RouteTables) {
        // What is not in the copy may run for as long as that is old.
        let mut is_first = true;
        while tables.changed().await.is_ok() {
            let Some(routes) = tables.borrow_and_update().clone() else {
                continue;
            };
            self.publish(&routes, std::mem::take(&mut is_first));
            self.save(routes).await;
        }
    }

    fn publish(&self, routes: &[RouteDocument], is_settled: bool) {
        match is_settled {
            true => self.tables.publish_settled(routes),
            false => self.tables.publish(routes),
        }
        self.count.send_replace(Some(routes.len()));
    }

    async fn save(&self, routes: Arc<Vec<RouteDocument>>) {
        let copy = self.copy.clone();
        let saved = spawn_blocking(move || copy.save(&routes)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "the routes cannot be copied to the data directory");
        }
    }
}

/// What the pages of the control port are made from.
#[derive(Clone)]
struct Pages {
    proxy: Proxy,
    source: watch::Receiver<Reachable>,
    routes: watch::Receiver<Option<usize>>,
    address: Arc<str>,
}

/// Ill is who has never had a table; a source that is away is no reason to take a proxy out of service.
async fn health(State(pages): State<Pages>) -> Response {
    let routes = *pages.routes.borrow();
    let source = pages.source.borrow().clone();
    let (status, word) = match (routes, &source) {
        (None, _) => (StatusCode::SERVICE_UNAVAILABLE, "degraded"),
        (Some(_), Err(_)) => (StatusCode::OK, "degraded"),
        (Some(_), Ok(())) => (StatusCode::OK, "ok"),
    };
    let document = json!({
        "status": word,
        "routes": routes,
        "source": http::reachable(&source),
        "openConnections": pages.proxy.stats().open_connections,
        "proxy": &*pages.address,
    });
    (status, Json(document)).into_response()
}
