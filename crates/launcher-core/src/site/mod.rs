//! Where visitors reach an app, and what is special about requests there.

mod address;
mod options;

use serde::{Deserialize, Serialize};

pub use address::{InvalidSiteAddress, SiteAddress};
pub use options::SiteOptions;

/// A hostname of an app, or a path there, with its options.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Site {
    /// Where it is. No two sites have the same address.
    pub address: SiteAddress,
    /// What is special about it.
    pub options: SiteOptions,
}

impl From<SiteAddress> for Site {
    fn from(address: SiteAddress) -> Self {
        Self {
            address,
            options: SiteOptions::default(),
        }
    }
}

/// A site without options is written as its address alone, as all were before there were options.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Address(SiteAddress),
    Whole {
        address: SiteAddress,
        options: SiteOptions,
    },
}

impl From<Written> for Site {
    fn from(written: Written) -> Self {
        match written {
            Written::Address(address) => address.into(),
            Written::Whole { address, options } => Self { address, options },
        }
    }
}

impl From<Site> for Written {
    fn from(site: Site) -> Self {
        let Site { address, options } = site;
        match options == SiteOptions::default() {
            true => Self::Address(address),
            false => Self::Whole { address, options },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_without_options_is_written_as_its_address() {
        let address = SiteAddress::parse("*.a.test/docs").unwrap();
        let plain = Site::from(address.clone());
        let special = Site {
            address,
            options: SiteOptions {
                strip_prefix: true,
                max_body_bytes: Some(1_000),
                ..SiteOptions::default()
            },
        };
        for (site, json) in [
            (plain, r#""*.a.test/docs""#),
            (
                special,
                r#"{"address":"*.a.test/docs","options":{"stripPrefix":true,"maxBodyBytes":1000}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&site).unwrap(), json);
            assert_eq!(serde_json::from_str::<Site>(json).unwrap(), site);
        }
    }
}
