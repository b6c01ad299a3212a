//! How the launcher is, and what it depends on.

use std::time::Duration;

use tokio::time::timeout;

use super::Launcher;
use crate::{InstanceView, Status};

/// How long the answer to a health check may take.
const HEALTH: Duration = Duration::from_secs(3);

/// How the launcher is.
#[derive(Clone, Debug)]
pub struct Health {
    /// The engine's version, or why it does not answer.
    pub engine: Result<String, String>,
    /// Whether the store can be written to, or why not.
    pub store: Result<(), String>,
    /// Instances by status.
    pub instances: Vec<(Status, usize)>,
}

impl Launcher {
    /// How the launcher and what it depends on are; answers within a few seconds.
    pub async fn health(&self) -> Health {
        let (engine, store) = tokio::join!(
            timeout(HEALTH, self.engine.version()),
            timeout(HEALTH, self.store.check_writable()),
        );
        Health {
            engine: flatten(engine),
            store: flatten(store),
            instances: count(&self.instances.views()),
        }
    }
}

fn flatten<T, E: ToString>(
    answer: Result<Result<T, E>, tokio::time::error::Elapsed>,
) -> Result<T, String> {
    match answer {
        Ok(answer) => answer.map_err(|e| e.to_string()),
        Err(_) => Err("no answer in time".into()),
    }
}

fn count(views: &[InstanceView]) -> Vec<(Status, usize)> {
    let all = [
        Status::Running,
        Status::Stopped,
        Status::Crashed,
        Status::Creating,
        Status::Pulling,
        Status::Removing,
    ];
    let number = |status| views.iter().filter(|v| v.observed.status == status).count();
    all.into_iter()
        .map(|status| (status, number(status)))
        .collect()
}
