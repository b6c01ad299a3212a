//! The access log's file: opened at start, opened anew on SIGHUP, written to its end at last.

use std::{
    fs::OpenOptions,
    io::{self, stdout},
    os::unix::fs::OpenOptionsExt,
};

use launcher_proxy::{AccessLog, AccessLogOutput};
use tokio::{signal::unix, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::config::{AccessLogConfig, AccessLogPlace};

/// Who may read the file: it tells who visited what.
const MODE: u32 = 0o640;

/// An access log that is written.
pub(crate) struct RunningLog {
    stop: CancellationToken,
    writing: JoinHandle<()>,
    _reopening: AbortOnDropHandle<()>,
}

impl RunningLog {
    /// Begins the one that is wanted, if any; `proxy` tells it of its requests.
    pub(crate) fn of(
        config: Option<&AccessLogConfig>,
        proxy: &mut launcher_proxy::Config,
    ) -> Result<Option<Self>, String> {
        let begun = config.map(Self::begin).transpose()?;
        let (log, running) = begun.unzip();
        proxy.access_log = log;
        Ok(running)
    }

    fn begin(config: &AccessLogConfig) -> Result<(AccessLog, Self), String> {
        let output = open(&config.place).map_err(|error| match &config.place {
            AccessLogPlace::File(path) => {
                let path = path.display();
                format!("--access-log {path}: the file cannot be opened: {error}")
            }
            AccessLogPlace::StandardOutput => format!("--access-log -: {error}"),
        })?;
        let hangups = unix::signal(unix::SignalKind::hangup()).map_err(|e| e.to_string())?;
        let (log, writer) = AccessLog::new(config.format, config.with_query);
        let stop = CancellationToken::new();
        let place = config.place.clone();
        let writing = writer.run(output, move || open(&place), stop.clone().cancelled_owned());
        let running = Self {
            stop,
            writing: tokio::spawn(writing),
            _reopening: AbortOnDropHandle::new(tokio::spawn(reopen(log.clone(), hangups))),
        };
        Ok((log, running))
    }

    /// Ends when everything is written that it was told.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        if let Err(error) = self.writing.await {
            tracing::warn!(%error, "the access log was not written to its end");
        }
    }
}

fn open(place: &AccessLogPlace) -> io::Result<AccessLogOutput> {
    match place {
        AccessLogPlace::StandardOutput => Ok(Box::new(stdout())),
        AccessLogPlace::File(path) => {
            let mut options = OpenOptions::new();
            options.append(true).create(true).mode(MODE);
            Ok(Box::new(options.open(path)?))
        }
    }
}

async fn reopen(log: AccessLog, mut hangups: unix::Signal) {
    while hangups.recv().await.is_some() {
        log.reopen();
    }
}
