//! The launcher's log.

use std::io::IsTerminal;

use launcher_core::engine;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Libraries that log what they carry: frames with passwords, bodies with an app's variables.
const TALKATIVE: [&str; 3] = [engine::LIBRARY, "tokio_tungstenite", "tungstenite"];

/// Logs to the standard error output what the filter lets through.
pub(crate) fn to_stderr(filter: &str) -> Result<(), String> {
    let is_terminal = std::io::stderr().is_terminal();
    subscriber(filter, is_terminal, std::io::stderr)?
        .try_init()
        .map_err(|e| e.to_string())
}

fn subscriber<W>(filter: &str, ansi: bool, writer: W) -> Result<impl Subscriber, String>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let wanted = EnvFilter::try_new(filter).map_err(|e| format!("--log {filter}: {e}"))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(wanted)
        .with_ansi(ansi)
        .with_writer(writer)
        .finish();
    // Beside the filter and not a part of it, where a directive that is more specific would win.
    Ok(subscriber.with(filter_fn(is_harmless)))
}

/// Whether nothing secret can be in it.
fn is_harmless(metadata: &Metadata<'_>) -> bool {
    let root = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO || !TALKATIVE.contains(&root)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::Arc};

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_filter_makes_libraries_log_what_they_carry() {
        for filter in [
            "trace",
            "tungstenite::protocol=trace",
            "tungstenite::protocol::frame=trace",
            &format!("{}=debug", engine::LIBRARY),
        ] {
            let written = Written::default();
            let writer = written.clone();
            let subscriber = subscriber(filter, false, move || writer.clone()).unwrap();
            tracing::subscriber::with_default(subscriber, || {
                tracing::trace!(target: "tungstenite::protocol", "hunter2");
                tracing::trace!(target: "tungstenite::protocol::frame", "hunter2");
                tracing::debug!(target: engine::LIBRARY, "hunter2");
                tracing::trace!(target: "tungsten", "others");
            });
            let text = String::from_utf8(written.0.lock().clone()).unwrap();
            assert!(!text.contains("hunter2"), "{filter}: {text}");
            assert_eq!(text.contains("others"), filter == "trace");
        }
    }
}
