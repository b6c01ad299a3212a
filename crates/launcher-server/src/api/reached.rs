//! At which address a caller reaches the control port: where it can also be reached over HTTP.

use axum::http::uri::Authority;
use ddp_server::Connection;

/// `http://localhost:8080`, as the caller's own request says it; if it was `proxied`, as the proxies
/// say. Empty where nothing was said.
pub(super) fn address(connection: &Connection, proxied: bool) -> String {
    let said = |name| proxied.then(|| connection.header(name)).flatten();
    let first = |list: &str| list.split(',').next().unwrap_or_default().trim().to_owned();
    let host = said("x-forwarded-host").or(connection.header("host"));
    let is_https = said("x-forwarded-proto").is_some_and(|list| first(list) == "https");
    let scheme = if is_https { "https" } else { "http" };
    match host.map(|list| Authority::try_from(first(list))) {
        Some(Ok(authority)) => format!("{scheme}://{authority}"),
        _ => String::new(),
    }
}
