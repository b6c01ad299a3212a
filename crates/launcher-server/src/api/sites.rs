//! The hostnames of instances: who has them, and what is special about requests there.

use std::{ops::RangeInclusive, sync::Arc};

use ddp_server::{
    Error,
    ejson::{Fields, Value},
    fields,
};
use launcher_core::{Hostname, Launcher, Site, SiteAddress, SiteOptions};
use url::Url;

use super::{
    arguments::Arguments,
    errors::{bad_request, from_core},
    methods::done,
};

/// Times, in milliseconds.
const TIME: RangeInclusive<f64> = 1.0..=3_600_000.0;
/// Two years, in seconds: as long as anybody asks for.
const HSTS: RangeInclusive<f64> = 0.0..=63_072_000.0;
const HEADER_BYTES: RangeInclusive<f64> = 64.0..=65_536.0;
const BODY_BYTES: RangeInclusive<f64> = 0.0..=1_125_899_906_842_624.0;
const CLIENT: RangeInclusive<f64> = 1.0..=1_000_000.0;

/// `addHostname(instanceId, hostname, options)`
pub(super) async fn add(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    let (id, address) = (arguments.instance_id()?, arguments.site(1)?);
    let options = arguments.value(2).map(|value| options(value, &address));
    let options = options.transpose()?;
    done(launcher.add_hostname(id, address, options).await)
}

/// `removeHostname(instanceId, hostname)`
pub(super) async fn remove(launcher: Arc<Launcher>, arguments: Arguments) -> Result<bool, Error> {
    let (id, address) = (arguments.instance_id()?, arguments.site(1)?);
    done(launcher.remove_hostname(id, &address).await)
}

/// `setHostnameOptions(instanceId, hostname, options)`
pub(super) async fn set_options(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<bool, Error> {
    let (id, address) = (arguments.instance_id()?, arguments.site(1)?);
    let options = match arguments.value(2) {
        Some(value) => options(value, &address)?,
        None => SiteOptions::default(),
    };
    let set = launcher.set_hostname_options(id, &address, options).await;
    done(set)
}

/// `setMaintenance(instanceId, on)`
pub(super) async fn set_maintenance(
    launcher: Arc<Launcher>,
    arguments: Arguments,
) -> Result<bool, Error> {
    let (id, on) = (arguments.instance_id()?, arguments.boolean(1, "on")?);
    let set = launcher.set_maintenance(id, on).await;
    set.map(|()| true).map_err(|error| from_core(&error))
}

/// What is published of the options of sites that have any.
pub(super) fn options_of(sites: &[Site]) -> Value {
    let special = sites
        .iter()
        .filter(|site| site.options != SiteOptions::default());
    let documents = special.map(|site| {
        let hostname = ("hostname".into(), Value::from(site.address.to_string()));
        let all = std::iter::once(hostname).chain(to_fields(&site.options));
        Value::Object(all.collect())
    });
    Value::Array(documents.collect())
}

/// The options that are set.
pub(super) fn to_fields(options: &SiteOptions) -> Fields {
    let all = fields! {
        "stripPrefix": options.strip_prefix.then_some(true),
        "redirectTo": options.redirect_to.as_deref(),
        "redirectPermanent": options.redirect_permanent.then_some(true),
        "https": options.https.then_some(true),
        "hstsMaxAge": options.hsts_max_age,
        "connectTimeoutMs": options.connect_timeout_ms,
        "responseTimeoutMs": options.response_timeout_ms,
        "bodyIdleTimeoutMs": options.body_idle_timeout_ms,
        "maxHeaderBytes": options.max_header_bytes,
        "maxBodyBytes": options.max_body_bytes,
        "clientRequests": options.client_requests,
        "clientConnections": options.client_connections,
    };
    all.into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect()
}

/// What an option is: its name, and how it is entered.
type Reader = fn(&mut SiteOptions, &Field<'_>) -> Result<(), Error>;

const READERS: [(&str, Reader); 12] = [
    ("stripPrefix", |all, field| {
        all.strip_prefix = field.boolean()?;
        Ok(())
    }),
    ("redirectTo", |all, field| {
        all.redirect_to = Some(field.destination()?);
        Ok(())
    }),
    ("redirectPermanent", |all, field| {
        all.redirect_permanent = field.boolean()?;
        Ok(())
    }),
    ("https", |all, field| {
        all.https = field.boolean()?;
        Ok(())
    }),
    ("hstsMaxAge", |all, field| {
        all.hsts_max_age = Some(field.whole(HSTS)? as u32);
        Ok(())
    }),
    ("connectTimeoutMs", |all, field| {
        all.connect_timeout_ms = Some(field.whole(TIME)? as u32);
        Ok(())
    }),
    ("responseTimeoutMs", |all, field| {
        all.response_timeout_ms = Some(field.whole(TIME)? as u32);
        Ok(())
    }),
    ("bodyIdleTimeoutMs", |all, field| {
        all.body_idle_timeout_ms = Some(field.whole(TIME)? as u32);
        Ok(())
    }),
    ("maxHeaderBytes", |all, field| {
        all.max_header_bytes = Some(field.whole(HEADER_BYTES)? as u32);
        Ok(())
    }),
    ("maxBodyBytes", |all, field| {
        all.max_body_bytes = Some(field.whole(BODY_BYTES)? as u64);
        Ok(())
    }),
    ("clientRequests", |all, field| {
        all.client_requests = Some(field.whole(CLIENT)? as u32);
        Ok(())
    }),
    ("clientConnections", |all, field| {
        all.client_connections = Some(field.whole(CLIENT)? as u32);
        Ok(())
    }),
];

/// Reads the options. An unknown one is refused: whoever misspells a limit believes to have one.
fn options(value: &Value, address: &SiteAddress) -> Result<SiteOptions, Error> {
    let what = "You must pass an object with the hostname's options, such as {stripPrefix: true}, as the third \
                argument (options).";
    let fields = value.as_object().ok_or_else(|| bad_request(what))?;
    let mut all = SiteOptions::default();
    for (name, value) in fields {
        let reader = READERS.iter().find(|(known, _)| known == name);
        let Some((name, read)) = reader else {
            let known: Vec<_> = READERS.iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            let name: String = name.chars().take(50).flat_map(char::escape_debug).collect();
            return Err(bad_request(format!(
                "A hostname has no option \"{name}\". There are {known}."
            )));
        };
        if !value.is_null() {
            read(&mut all, &Field { name, value })?;
        }
    }
    check(&all, address)?;
    Ok(all)
}

/// What no field can tell alone.
fn check(options: &SiteOptions, address: &SiteAddress) -> Result<(), Error> {
    if options.leads_back_to(address) {
        return Err(bad_request(
            "The redirectTo option leads back to the same hostname. To send visitors to https there, use the \
             https option.",
        ));
    }
    if options.redirect_permanent && options.redirect_to.is_none() {
        return Err(bad_request(
            "The redirectPermanent option says how redirectTo is meant, which is missing.",
        ));
    }
    if options.strip_prefix && address.path().is_empty() {
        return Err(bad_request(
            "The stripPrefix option is for hostnames with a path, such as example.com/docs.",
        ));
    }
    Ok(())
}

struct Field<'a> {
    name: &'a str,
    value: &'a Value,
}

impl Field<'_> {
    fn boolean(&self) -> Result<bool, Error> {
        self.value
            .as_bool()
            .ok_or_else(|| self.must("true or false"))
    }

    fn whole(&self, range: RangeInclusive<f64>) -> Result<f64, Error> {
        let number = self.value.as_f64();
        let number = number.filter(|n| n.fract() == 0.0 && range.contains(n));
        let (least, most) = range.into_inner();
        number.ok_or_else(|| self.must(&format!("a whole number from {least} to {most}")))
    }

    /// `example.com`, `https://example.com` or `http://example.com:8080`.
    fn destination(&self) -> Result<String, Error> {
        let wrong = || {
            self.must(
                "a hostname, such as \"example.com\", or a scheme and a hostname, such as \
                 \"https://example.com\"; paths and queries stay as they are",
            )
        };
        let text = self.value.as_str().ok_or_else(wrong)?;
        let (scheme, host) = match text.split_once("://") {
            Some((scheme, host)) => (Some(scheme), host),
            None => (None, text),
        };
        if !matches!(scheme, None | Some("http" | "https")) {
            return Err(wrong());
        }
        let host = host.strip_suffix('/').unwrap_or(host);
        let (name, port) = match host.split_once(':') {
            Some((name, port)) => (name, Some(port.parse::<u16>().map_err(|_| wrong())?)),
            None => (host, None),
        };
        let name = Hostname::parse(name).map_err(|_| wrong())?;
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let scheme = scheme.map(|scheme| format!("{scheme}://"));
        let destination = format!("{}{name}{port}", scheme.unwrap_or_default());
        // What is written here is what browsers are to read.
        let url = Url::parse(&format!("http://{name}{port}"));
        url.map(|_| destination).map_err(|_| wrong())
    }

    fn must(&self, what: &str) -> Error {
        bad_request(format!("The {} option must be {what}.", self.name))
    }
}

#[cfg(test)]
mod tests {
    use ddp_server::ejson;

    use super::*;

    fn read(json: &str) -> Result<SiteOptions, String> {
        let value = ejson::parse(json).unwrap();
        let address = SiteAddress::parse("a.test/docs").unwrap();
        options(&value, &address).map_err(|error| {
            let details = error.details_value().and_then(Value::as_str);
            details.unwrap().to_owned()
        })
    }

    #[test]
    fn what_is_set_is_published_as_it_was_given() {
        let json = r#"{"stripPrefix":true,"redirectTo":"https://b.test:444","redirectPermanent":true,"https":true,"hstsMaxAge":600,"connectTimeoutMs":1,"responseTimeoutMs":2,"bodyIdleTimeoutMs":3,"maxHeaderBytes":100,"maxBodyBytes":5,"clientRequests":6,"clientConnections":7}"#;
        let options = read(json).unwrap();
        let published = Value::Object(to_fields(&options));
        assert_eq!(published, ejson::parse(json).unwrap());
        assert!(to_fields(&SiteOptions::default()).is_empty());
        assert_eq!(read(r#"{"https": null}"#), Ok(SiteOptions::default()));
    }

    #[test]
    fn mistakes_are_named() {
        for (json, named) in [
            ("[]", "an object"),
            (r#"{"stripprefix": true}"#, "no option"),
            (r#"{"https": 1}"#, "https option must be true or false"),
            (
                r#"{"hstsMaxAge": -1}"#,
                "hstsMaxAge option must be a whole number",
            ),
            (r#"{"maxBodyBytes": 1.5}"#, "whole number"),
            (
                r#"{"redirectTo": "ftp://b.test"}"#,
                "redirectTo option must be a hostname",
            ),
            (
                r#"{"redirectTo": "b.test/path"}"#,
                "redirectTo option must be a hostname",
            ),
            (
                r#"{"redirectTo": "b.test:99999"}"#,
                "redirectTo option must be a hostname",
            ),
            (r#"{"redirectTo": "https://A.test"}"#, "leads back"),
            (r#"{"redirectPermanent": true}"#, "which is missing"),
        ] {
            let refused = read(json).unwrap_err();
            assert!(refused.contains(named), "{json}: {refused}");
        }
    }
}
