//! What is special about requests for one site.

use serde::{Deserialize, Serialize};

use super::SiteAddress;

/// All are left out as long as nobody sets them; then what holds for the whole proxy holds for the site.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SiteOptions {
    /// Apps get paths without the one of the site's address.
    #[serde(skip_serializing_if = "is_off")]
    pub strip_prefix: bool,
    /// Visitors are sent there: `example.com`, or with a scheme `https://example.com`, and with a port. Path and
    /// query stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<String>,
    /// They are to remember that.
    #[serde(skip_serializing_if = "is_off")]
    pub redirect_permanent: bool,
    /// Who comes by http is sent to https.
    #[serde(skip_serializing_if = "is_off")]
    pub https: bool,
    /// For how long browsers are to come by https only, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hsts_max_age: Option<u32>,
    /// Time to connect to an app, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<u32>,
    /// Time that an app may be silent before it answers, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_timeout_ms: Option<u32>,
    /// Time that a body may stand still, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_idle_timeout_ms: Option<u32>,
    /// Largest headers of a request, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_header_bytes: Option<u32>,
    /// Largest body of a request, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<u64>,
    /// Requests per second of one client address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_requests: Option<u32>,
    /// Connections of one client address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_connections: Option<u32>,
}

impl SiteOptions {
    /// Whether a site at `address` would send its visitors to itself for ever.
    #[must_use]
    pub fn leads_back_to(&self, address: &SiteAddress) -> bool {
        let (Some(to), Some(hostname)) = (&self.redirect_to, address.hostname()) else {
            return false;
        };
        let host = to.rsplit_once("//").map_or(to.as_str(), |(_, host)| host);
        let host = host.split(':').next().unwrap_or_default();
        host.eq_ignore_ascii_case(hostname.as_str())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_off(option: &bool) -> bool {
    !option
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_to_the_same_host_leads_back() {
        let address = SiteAddress::parse("a.test/docs").unwrap();
        let leads_back = |to: &str| {
            let options = SiteOptions {
                redirect_to: Some(to.to_owned()),
                ..SiteOptions::default()
            };
            options.leads_back_to(&address)
        };
        for to in ["a.test", "https://A.test", "http://a.test:8000"] {
            assert!(leads_back(to), "{to}");
        }
        assert!(!leads_back("www.a.test"));
        assert!(!SiteOptions::default().leads_back_to(&address));
    }
}
