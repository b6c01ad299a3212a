//! The hostnames of instances: each belongs to one.

use super::Instances;
use crate::{AppInstance, Error, Site, SiteAddress, SiteOptions};

/// Most hostnames that one instance may have.
const MAX_HOSTNAMES: usize = 1_000;

impl Instances {
    /// Of a hostname that the instance has already only the options change, where any are given.
    pub(crate) async fn add_hostname(
        &self,
        id: &str,
        address: SiteAddress,
        options: Option<SiteOptions>,
    ) -> Result<(), Error> {
        let addition = self.change(id, |_, record| {
            self.check_free(&address, id)?;
            if let Some(site) = site_at(record, &address) {
                site.options = options.unwrap_or_else(|| site.options.clone());
                return Ok(());
            }
            if record.hostnames.len() >= MAX_HOSTNAMES {
                return Err(Error::TooManyHostnames(MAX_HOSTNAMES));
            }
            let options = options.unwrap_or_default();
            record.hostnames.push(Site { address, options });
            Ok(())
        });
        addition.await.map(drop)
    }

    /// Gives a hostname of the instance these options, and no others.
    pub(crate) async fn set_hostname_options(
        &self,
        id: &str,
        address: &SiteAddress,
        options: SiteOptions,
    ) -> Result<(), Error> {
        let change = self.change(id, |_, record| {
            let none = || Error::NoSuchHostname {
                hostname: address.clone(),
                instance: id.to_owned(),
            };
            site_at(record, address).ok_or_else(none)?.options = options;
            Ok(())
        });
        change.await.map(drop)
    }

    pub(crate) async fn remove_hostname(
        &self,
        id: &str,
        address: &SiteAddress,
    ) -> Result<(), Error> {
        let removal = self.change(id, |_, record| {
            record.hostnames.retain(|site| site.address != *address);
            Ok(())
        });
        removal.await.map(drop)
    }

    /// Whether no other instance has a hostname.
    pub(super) fn check_free(
        &self,
        address: &SiteAddress,
        for_instance: &str,
    ) -> Result<(), Error> {
        let table = self.table.read();
        let owner = table.iter().find(|(id, entry)| {
            let has = || {
                let view = entry.view.borrow();
                let mut sites = view.record.hostnames.iter();
                sites.any(|site| site.address == *address)
            };
            *id != for_instance && has()
        });
        match owner {
            None => Ok(()),
            Some((id, _)) => Err(Error::HostnameTaken {
                hostname: address.clone(),
                instance: id.clone(),
            }),
        }
    }
}

fn site_at<'a>(record: &'a mut AppInstance, address: &SiteAddress) -> Option<&'a mut Site> {
    let mut sites = record.hostnames.iter_mut();
    sites.find(|site| site.address == *address)
}
