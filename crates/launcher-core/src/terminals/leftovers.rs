//! Terminals that were open when the launcher ended without a word.

use jiff::Timestamp;

use super::{Cause, Terminals};
use crate::audit::AuditEntry;

impl Terminals {
    /// Ends what these terminals left running, and writes that they are over.
    pub(crate) async fn end_leftovers(&self, left: Vec<AuditEntry>) {
        for mut entry in left {
            let (container, mark) = (&entry.container, &entry.id);
            if let Err(error) = self.engine.end_exec(container, mark).await {
                // The next start tries again.
                tracing::warn!(%container, %error, "a program of an earlier terminal may go on");
                continue;
            }
            entry.ended_at = Some(Timestamp::now());
            entry.reason = Some(Cause::LauncherEnded.to_string());
            if let Err(error) = self.audit.change(&entry).await {
                tracing::warn!(%error, "the end of a terminal is not in the audit log");
            }
        }
    }
}
