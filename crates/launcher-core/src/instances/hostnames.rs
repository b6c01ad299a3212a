//! The hostnames of instances: each belongs to one.

use super::Instances;
use crate::{Error, Hostname};

/// Most hostnames that one instance may have.
const MAX_HOSTNAMES: usize = 1_000;

impl Instances {
    pub(crate) async fn add_hostname(&self, id: &str, hostname: Hostname) -> Result<(), Error> {
        self.change(id, |_, record| {
            self.check_free(&hostname, id)?;
            if record.hostnames.contains(&hostname) {
                return Ok(());
            }
            if record.hostnames.len() >= MAX_HOSTNAMES {
                return Err(Error::TooManyHostnames(MAX_HOSTNAMES));
            }
            record.hostnames.push(hostname);
            Ok(())
        })
        .await
        .map(drop)
    }

    pub(crate) async fn remove_hostname(&self, id: &str, hostname: &Hostname) -> Result<(), Error> {
        let removal = self.change(id, |_, record| {
            record.hostnames.retain(|h| h != hostname);
            Ok(())
        });
        removal.await.map(drop)
    }

    /// Whether no other instance has a hostname.
    pub(super) fn check_free(&self, hostname: &Hostname, for_instance: &str) -> Result<(), Error> {
        let table = self.table.read();
        let owner = table.iter().find(|(id, entry)| {
            *id != for_instance && entry.view.borrow().record.hostnames.contains(hostname)
        });
        match owner {
            None => Ok(()),
            Some((id, _)) => Err(Error::HostnameTaken {
                hostname: hostname.clone(),
                instance: id.clone(),
            }),
        }
    }
}
