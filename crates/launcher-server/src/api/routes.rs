//! Routes as they are published: all that a proxy elsewhere needs.

use std::sync::Arc;

use ddp_server::{
    Builder, Publication,
    ejson::{Fields, Value},
    fields,
    live::Collection,
    object,
};
use launcher_core::routing::{Page, RouteBoard, RouteDocument, UpstreamDocument};

use super::sites;

/// Adds the publication. It is ready when the launcher knows what runs: until then a proxy is better off with
/// the table that it has.
pub(super) fn register(builder: Builder, routes: Collection, board: &Arc<RouteBoard>) -> Builder {
    let board = Arc::clone(board);
    builder.publish("routes", move |_subscription, _params: Vec<Value>| {
        let (all, board) = (routes.find(), Arc::clone(&board));
        async move {
            board.settled().await;
            Ok(Publication::from(all))
        }
    })
}

/// What is published of a route.
pub(super) fn fields_of(route: &RouteDocument) -> Fields {
    let upstreams = route.upstreams.iter().map(upstream);
    fields! {
        "hostname": route.hostname.as_str(),
        "instanceId": route.instance_id.as_str(),
        "upstreams": Value::Array(upstreams.collect()),
        "page": route.page.map(Page::as_str),
        "progress": route.progress.as_deref(),
        "options": Value::Object(sites::to_fields(&route.options)),
        "default": route.is_default,
    }
}

fn upstream(upstream: &UpstreamDocument) -> Value {
    object! {
        "host": upstream.host.as_str(),
        "port": f64::from(upstream.port),
        "state": upstream.state.as_str(),
        "release": upstream.release,
    }
}
