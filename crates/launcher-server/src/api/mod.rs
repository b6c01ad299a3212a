//! The launcher as DDP clients see it. Only here are wire names and published fields known.

mod ai;
mod app_logs;
mod app_stats;
mod arguments;
mod audit;
mod builds;
mod container_config;
mod disk;
mod errors;
mod health;
mod hooks;
mod hosts;
mod images;
mod instances;
mod launch_options;
mod limits;
mod methods;
mod publications;
mod reached;
mod registries;
mod releases;
mod route_stats;
mod routes;
mod settings;
mod sites;
mod terminals;
mod uploads;
mod wire;

use std::{sync::Arc, time::Duration};

use ddp_server::{Config, Server, Transports};
use launcher_core::{Launcher, routing::RouteBoard};
use launcher_proxy::Proxy;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) use publications::{Documents, Publications, collections};
pub(crate) use terminals::terminal_size;

/// The longest DDP message that a client may send, in bytes.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// How long answers to calls that are cut off may take.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The DDP server and what stands behind it.
#[derive(Clone)]
pub(crate) struct Api {
    launcher: Arc<Launcher>,
    server: Server,
    stopping: Stopping,
}

/// What ends method calls.
#[derive(Clone, Default)]
struct Stopping {
    /// New calls are refused.
    begun: CancellationToken,
    /// Those that go on are answered without waiting for them any longer.
    cut_off: CancellationToken,
}

impl Api {
    pub(crate) fn new(
        launcher: Arc<Launcher>,
        publications: Publications,
        board: &Arc<RouteBoard>,
        proxy: Proxy,
        http_forwarded_count: i32,
    ) -> Self {
        let stopping = Stopping::default();
        let config = Config {
            max_message_bytes: MAX_MESSAGE,
            http_forwarded_count,
            transports: Transports {
                // Whoever has it in a frame would speak with an origin that is trusted.
                iframes: false,
                ..Transports::default()
            },
            ..Config::default()
        };
        let builder = Server::builder().config(config);
        let builder = publications::register(builder, publications, &launcher, board);
        let builder = route_stats::register(builder, proxy, board);
        let builder = methods::register(builder, &launcher, &stopping, http_forwarded_count != 0);
        Self {
            launcher,
            server: builder.build(),
            stopping,
        }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Refuses new method calls, waits for those that run, but not longer than `limit`, then closes
    /// all sessions. Whoever is cut off is told so: a client that gets no answer calls once more when it
    /// has connected again.
    pub(crate) async fn finish(&self, limit: Duration) {
        self.stopping.begun.cancel();
        if timeout(limit, self.server.calls_ended()).await.is_err() {
            self.stopping.cut_off.cancel();
            let told = timeout(LAST_ANSWERS, self.server.calls_ended()).await;
            tracing::warn!(told = told.is_ok(), "some method calls were cut off");
        }
        self.server.shutdown().await;
    }
}
