//! What callers can ask of apps' logs.

use std::sync::Arc;

use super::Launcher;
use crate::{
    Error,
    logs::{LogOptions, LogSink, LogWatch},
};

impl Launcher {
    /// Tells a sink of what an instance's containers write, whichever they are, until the watch is
    /// dropped: before this returns of the lines that are there already and asked for, then of all
    /// that are written.
    ///
    /// # Errors
    /// [`Error::NoSuchInstance`], or that the engine does not tell them.
    pub async fn watch_logs(
        &self,
        instance: &str,
        options: &LogOptions,
        sink: Arc<dyn LogSink>,
    ) -> Result<LogWatch, Error> {
        self.logs.watch(instance, options, sink).await
    }
}
