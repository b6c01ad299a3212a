use url::{Host, Url};

use crate::error::Error;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// What the WebSocket is opened with.
    pub(crate) url: String,
    /// Host and port, as people write them.
    pub(crate) authority: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

impl Address {
    /// Reads an address as Meteor's `DDP.connect` does: what has no scheme is `http`, and
    /// `/websocket` comes behind the path (`packages/socket-stream-client/urls.js`).
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("ws://{text}")
        };
        // the parser's own words only: the address may hold a password
        let url = Url::parse(&with_scheme).map_err(|error| Error::Address(error.to_string()))?;
        let tls = match url.scheme() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            other => return Err(Error::Address(format!("the scheme {other} is not known"))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            let reason = "it names a user: log in with a method instead";
            return Err(Error::Address(reason.to_owned()));
        }
        let (authority, host) = match url.host() {
            Some(Host::Ipv6(ip)) => (format!("[{ip}]"), ip.to_string()),
            Some(host) if !host.to_string().is_empty() => (host.to_string(), host.to_string()),
            _ => return Err(Error::Address("it names no host".to_owned())),
        };
        let port = url.port_or_known_default().unwrap_or(80);
        let authority = format!("{authority}:{port}");
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/websocket").unwrap_or(path);
        let query = url
            .query()
            .map_or_else(String::new, |query| format!("?{query}"));
        let scheme = if tls { "wss" } else { "ws" };
        Ok(Self {
            url: format!("{scheme}://{authority}{path}/websocket{query}"),
            authority,
            host,
            port,
            tls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> String {
        Address::parse(text).map_or_else(|error| error.to_string(), |address| address.url)
    }

    #[test]
    fn addresses_are_read_as_ddp_connect_does() {
        for (text, expected) in [
            ("localhost:3000", "ws://localhost:3000/websocket"),
            ("example.com", "ws://example.com:80/websocket"),
            ("http://a.test/app/", "ws://a.test:80/app/websocket"),
            ("https://a.test", "wss://a.test:443/websocket"),
            ("ws://a.test:1/websocket", "ws://a.test:1/websocket"),
            (
                "wss://a.test/sockjs/websocket",
                "wss://a.test:443/sockjs/websocket",
            ),
            ("http://[::1]:3000?x=1", "ws://[::1]:3000/websocket?x=1"),
            ("127.0.0.1:3000/", "ws://127.0.0.1:3000/websocket"),
        ] {
            assert_eq!(url(text), expected, "{text}");
        }
        assert_eq!(Address::parse("http://[::1]:3").unwrap().host, "::1");
    }

    #[test]
    fn what_is_no_address_is_refused_and_no_password_repeated() {
        for text in [
            "",
            "ftp://a.test",
            "http://",
            "a.test:99999",
            "ws://u:secret@a.test",
        ] {
            let message = url(text);
            assert!(
                message.starts_with("no address of a DDP server: "),
                "{message}"
            );
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
