//! The control port: DDP, the launcher's health, and who may reach them; uploads, hooks and terminals are in files of their own.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use launcher_core::{Health, Hostname, routing::Reachable};
use launcher_proxy::Proxy;
use serde_json::{Map, Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{api::Api, exec, hooks, metrics, origin, uploads};

/// What a browser's console shows of a page that may not connect.
const FOREIGN_PAGE: &str = "Web pages of other sites may not connect to the launcher.\n";
/// What whoever uses another name for this machine is told.
const FOREIGN_NAME: &str = "The launcher is reached as localhost, or by an address.\n";

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// Wait after a connection could not be accepted, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the pages of the control port are made from.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) api: Api,
    /// Id of the launcher's store, which its containers carry.
    pub(crate) launcher_id: String,
    /// Whether the Redis that gets the routes has them, where there is one.
    pub(crate) redis: Option<watch::Receiver<Reachable>>,
    /// Where visitors reach the apps.
    pub(crate) proxy: SocketAddr,
    /// What visitors' requests go through.
    pub(crate) router: Proxy,
    /// Whether a proxy stands before the control port, which may be reached by any name.
    pub(crate) proxied: bool,
    /// The only name by which these pages are reached, if that is through the launcher's own router.
    pub(crate) domain: Option<Hostname>,
}

/// Serves the control port until `stopped`, then finishes what is in flight.
pub(crate) async fn serve(
    listener: TcpListener,
    control: Control,
    stopped: impl Future<Output = ()>,
) {
    let through_router = control.domain.is_some();
    let router = Router::new()
        .route("/", get(welcome))
        .route("/health", get(health))
        .route("/metrics", get(metrics::show))
        .route("/exec/{ticket}", any(exec::open))
        .route("/hooks/{secret}", any(hooks::receive))
        .route("/uploads", any(uploads::all))
        .route("/uploads/", any(uploads::all))
        .route("/uploads/{secret}", any(uploads::one))
        .fallback(ddp)
        .layer(middleware::from_fn_with_state(
            control.clone(),
            addressed_here,
        ))
        .with_state(control);
    let router = match through_router {
        true => router.layer(middleware::from_fn(from_visitor)),
        false => router,
    };
    serve_router(listener, router, stopped).await;
}

/// Serves these pages until `stopped`, then finishes what is in flight.
pub(crate) async fn serve_router(
    listener: TcpListener,
    router: Router,
    stopped: impl Future<Output = ()>,
) {
    let (connections, stopping) = (TaskTracker::new(), CancellationToken::new());
    let mut stopped = pin!(stopped);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped.as_mut() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let router = router.clone().layer(Extension(ConnectInfo(peer)));
                connections.spawn(serve_connection(stream, router, stopping.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the control port could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    stopping.cancel();
    connections.close();
    connections.wait().await;
}

async fn serve_connection(stream: TcpStream, router: Router, stopping: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the control port broke");
    }
}

/// Lets in what is not for another name.
async fn addressed_here(State(control): State<Control>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_here = match &control.domain {
        Some(domain) => origin::is_addressed_to(headers, domain),
        None => control.proxied || origin::is_addressed_here(headers),
    };
    if is_here {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, FOREIGN_NAME).into_response()
    }
}

/// Takes the visitor, of whom the router has told, for who has connected.
async fn from_visitor(mut request: Request, next: Next) -> Response {
    let told = request.headers().get("x-forwarded-for");
    let told = told.and_then(|address| address.to_str().ok()?.parse::<IpAddr>().ok());
    if let Some(address) = told {
        let visitor = ConnectInfo(SocketAddr::new(address, 0));
        request.extensions_mut().insert(visitor);
    }
    next.run(request).await
}

/// DDP on all its transports, wherever there is no other page.
async fn ddp(
    State(control): State<Control>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    if !origin::is_trusted(request.headers(), control.domain.as_ref()) {
        return foreign_page();
    }
    match control.api.server().handle(request, peer).await {
        Ok(response) => response.map(Body::new),
        Err(_other) => nothing(),
    }
}

/// What is said where there is nothing.
pub(crate) fn nothing() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// What a page of another site is told.
pub(crate) fn foreign_page() -> Response {
    (StatusCode::FORBIDDEN, FOREIGN_PAGE).into_response()
}

async fn welcome() -> &'static str {
    "meteor-launcher\n\nDDP: /websocket, /sockjs\nHealth: /health\nMetrics: /metrics\nUploads: /uploads\nWebhooks: /hooks\nTerminals: /exec\n"
}

async fn health(State(control): State<Control>) -> Response {
    let health = control.api.launcher().health().await;
    let ill = health.engine.is_err() || health.store.is_err();
    let status = if ill {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (status, Json(health_document(&control, &health, ill))).into_response()
}

fn health_document(control: &Control, health: &Health, ill: bool) -> Value {
    let instances: Map<String, Value> = health
        .instances
        .iter()
        .map(|(status, number)| (status.as_str().to_owned(), (*number).into()))
        .collect();
    let mut document = json!({
        "status": if ill { "degraded" } else { "ok" },
        "engine": match &health.engine {
            Ok(version) => json!({ "reachable": true, "version": version }),
            Err(error) => json!({ "reachable": false, "error": error }),
        },
        "store": match &health.store {
            Ok(()) => json!({ "writable": true }),
            Err(error) => json!({ "writable": false, "error": error }),
        },
        "instances": instances,
        "launcher": control.launcher_id,
        "proxy": control.proxy.to_string(),
    });
    if let Some(state) = &control.redis {
        document["redis"] = reachable(&state.borrow());
    }
    document
}

/// A server that routes are written to or read from.
pub(crate) fn reachable(state: &Reachable) -> Value {
    match state {
        Ok(()) => json!({ "reachable": true }),
        Err(error) => json!({ "reachable": false, "error": error }),
    }
}
