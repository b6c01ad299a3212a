//! Clearing away uploads that have expired, files without a record, and records without a file.

use std::{collections::HashSet, fs, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::OwnedMutexGuard;

use super::{Upload, Uploads};

/// Time between two sweeps.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// Sweeps for ever.
pub(crate) async fn sweep_for_ever(uploads: Arc<Uploads>) {
    loop {
        tokio::time::sleep(EVERY).await;
        uploads.sweep(Timestamp::now()).await;
    }
}

impl Uploads {
    pub(super) async fn sweep(&self, now: Timestamp) {
        let _order = self.announcing.lock().await;
        let files = self.files();
        for record in self.records() {
            let lost = record.check_there().is_ok() && !files.contains(&record.id);
            if lost || record.expires_at <= now {
                // What is being worked on is looked at again the next time.
                let Some(_work) = self.idle(&record) else {
                    continue;
                };
                match self.forget(&record.id).await {
                    Ok(()) => tracing::info!(upload = %record.id, "an upload is forgotten"),
                    Err(error) => tracing::warn!(upload = %record.id, %error, "an upload stays"),
                }
            }
        }
        let known: HashSet<String> = self.records().into_iter().map(|r| r.id).collect();
        for file in files.difference(&known) {
            self.remove_file(file);
        }
    }

    /// Keeps others from an upload that nobody works on.
    fn idle(&self, record: &Upload) -> Option<OwnedMutexGuard<()>> {
        let entry = self.table.lock().get(&record.id).cloned();
        entry?.work.try_lock_owned().ok()
    }

    fn files(&self) -> HashSet<String> {
        match fs::read_dir(&self.settings.directory) {
            Ok(entries) => entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect(),
            Err(error) => {
                tracing::warn!(%error, "the directory for uploads cannot be listed");
                self.records().into_iter().map(|record| record.id).collect()
            }
        }
    }
}
