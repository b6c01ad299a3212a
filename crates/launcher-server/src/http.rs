//! The control port: DDP and the launcher's health.

use std::{future::Future, net::SocketAddr};

use axum::{
    Json, Router,
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use launcher_core::Health;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::{api::Api, origin};

/// What a browser's console shows of a page that may not connect.
const FOREIGN_PAGE: &str = "Web pages of other sites may not connect to the launcher.\n";

/// Serves the control port until `stopped`, then finishes what is in flight.
pub(crate) async fn serve(
    listener: TcpListener,
    api: Api,
    stopped: impl Future<Output = ()> + Send + 'static,
) {
    let router = Router::new()
        .route("/", get(welcome))
        .route("/health", get(health))
        .route("/websocket", any(ddp))
        .route("/websocket/", any(ddp))
        .route("/sockjs/websocket", any(ddp))
        .with_state(api);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service)
        .with_graceful_shutdown(stopped)
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the control port failed");
    }
}

async fn ddp(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
) -> Response {
    if !origin::is_trusted(request.headers()) {
        return (StatusCode::FORBIDDEN, FOREIGN_PAGE).into_response();
    }
    api.server().upgrade(&mut request, peer).map(Into::into)
}

async fn welcome() -> &'static str {
    "meteor-launcher\n\nDDP: /websocket\nHealth: /health\n"
}

async fn health(State(api): State<Api>) -> Response {
    let health = api.launcher().health().await;
    let ill = health.engine.is_err() || health.store.is_err();
    let status = if ill {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (status, Json(health_document(&health, ill))).into_response()
}

fn health_document(health: &Health, ill: bool) -> Value {
    let instances: Map<String, Value> = health
        .instances
        .iter()
        .map(|(status, number)| (status.as_str().to_owned(), (*number).into()))
        .collect();
    json!({
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
    })
}
