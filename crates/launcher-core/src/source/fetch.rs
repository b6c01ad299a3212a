//! Downloads an archive from a URL that a caller gave.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::header::LOCATION;
use reqwest::{Client, Response, StatusCode, redirect};
use url::Url;

use super::address::{GuardedResolver, OnlyPrivate, Rule, is_public, literal};
use super::arriving::Arriving;
use super::error::{SourceError, printable};
use super::saving::Saving;

/// Longest URL that is taken, in bytes; presigned URLs of object stores have up to 2,000.
const MAX_URL: usize = 4096;
/// Redirects that are followed one after the other.
const MAX_REDIRECTS: usize = 5;
/// Longest time in which a URL that is only asked for must answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it is remembered whether a URL answered, and of how many URLs.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
const MAX_REMEMBERED: usize = 100;
/// Longest part of a URL that is repeated in texts.
const SHOWN_URL: usize = 300;

/// From where, how much and how long is downloaded.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Whether addresses that are not of the public internet are allowed.
    pub allow_private: bool,
    /// Largest archive, in bytes.
    pub max_bytes: u64,
    /// Longest time until there is a connection.
    pub connect_timeout: Duration,
    /// Longest time in which nothing comes.
    pub idle_timeout: Duration,
    /// Longest time for all of it, redirects included.
    pub deadline: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            allow_private: false,
            max_bytes: 2 * 1024 * 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            deadline: Duration::from_secs(30 * 60),
        }
    }
}

/// Downloads archives. One is enough for all of them.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    options: FetchOptions,
    rule: Rule,
    /// When a URL was asked, and whether it answered.
    answered: Arc<Mutex<HashMap<Url, (Instant, bool)>>>,
}

/// Makes rustls use its `ring` provider in this process, unless one is installed already.
pub fn install_crypto_provider() {
    // An error says that another one is installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Fetcher {
    /// Makes a client with the system's certificates and without its proxy: through a proxy the
    /// address that is connected to could not be checked.
    ///
    /// # Errors
    ///
    /// [`SourceError::Local`] when the system's certificates cannot be used.
    pub fn new(options: FetchOptions) -> Result<Self, SourceError> {
        let rule: Rule = if options.allow_private {
            |_| true
        } else {
            is_public
        };
        Self::with_rule(options, rule)
    }

    pub(super) fn with_rule(options: FetchOptions, rule: Rule) -> Result<Self, SourceError> {
        install_crypto_provider();
        let client = Client::builder()
            .user_agent(concat!("meteor-launcher/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .dns_resolver(GuardedResolver { rule })
            .pool_max_idle_per_host(0)
            .connect_timeout(options.connect_timeout)
            .build()
            .map_err(|error| SourceError::Local {
                action: "set up downloads",
                cause: std::io::Error::other(error),
            })?;
        Ok(Self {
            client,
            options,
            rule,
            answered: Arc::default(),
        })
    }

    /// Whether the URL answers a request with content or a redirect, which is not followed. Asked
    /// once in some minutes, from the same addresses as archives.
    pub(super) async fn answers(&self, url: &Url) -> bool {
        let remembered = self.answered.lock().get(url).copied();
        if let Some((_, answer)) = remembered.filter(|(asked, _)| asked.elapsed() < REMEMBERED) {
            return answer;
        }
        let response = tokio::time::timeout(ANSWER, self.request(url)).await;
        let answer = response.is_ok_and(|response| {
            response.is_ok_and(|response| {
                response.status().is_success() || response.status().is_redirection()
            })
        });
        let mut answered = self.answered.lock();
        if answered.len() >= MAX_REMEMBERED {
            answered.clear();
        }
        answered.insert(url.clone(), (Instant::now(), answer));
        answer
    }

    /// Downloads an archive, which can be read meanwhile; tells its size. `progress` is told, after
    /// every piece, how many bytes came and how many were announced.
    ///
    /// # Errors
    ///
    /// [`SourceError`] with a text for the caller, in which URLs have neither credentials nor
    /// query. Nobody who reads the archive comes to its end.
    pub async fn fetch(
        &self,
        url: &str,
        archive: Arriving,
        progress: impl Fn(u64, Option<u64>) + Send + Sync,
    ) -> Result<u64, SourceError> {
        let url = parse_url(url)?;
        let deadline = self.options.deadline;
        tokio::time::timeout(deadline, async {
            let response = self.open(&url).await?;
            Box::pin(self.save(response, archive, &progress)).await
        })
        .await
        .unwrap_or(Err(SourceError::Deadline(deadline)))
    }

    /// Asks for the URL and follows redirects to an answer with content.
    async fn open(&self, first: &Url) -> Result<Response, SourceError> {
        let mut url = first.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.request(&url).await?;
            let status = response.status();
            if status == StatusCode::OK {
                return Ok(response);
            }
            if !status.is_redirection() || !response.headers().contains_key(LOCATION) {
                return Err(SourceError::Status {
                    url: public_url(&url),
                    status: status.to_string(),
                });
            }
            url = redirect_target(&url, &response)?;
        }
        Err(SourceError::TooManyRedirects {
            url: public_url(first),
            limit: MAX_REDIRECTS,
        })
    }

    async fn request(&self, url: &Url) -> Result<Response, SourceError> {
        if literal(url).is_some_and(|ip| !(self.rule)(ip)) {
            return Err(private(url));
        }
        let sent = self.client.get(url.clone()).send();
        let wait = self.options.connect_timeout + self.options.idle_timeout;
        let answer = tokio::time::timeout(wait, sent).await;
        let answer = answer.map_err(|_| self.stalled(url, wait))?;
        let response = answer.map_err(|error| request_error(url, &error))?;
        // The resolver let nothing else through; this is what was connected to in the end.
        let peer = response.remote_addr();
        if peer.is_some_and(|peer| !(self.rule)(peer.ip())) {
            return Err(private(url));
        }
        Ok(response)
    }

    async fn save(
        &self,
        mut response: Response,
        archive: Arriving,
        progress: &(impl Fn(u64, Option<u64>) + Send + Sync),
    ) -> Result<u64, SourceError> {
        let limit = self.options.max_bytes;
        let expected = response.content_length();
        if expected.is_some_and(|bytes| bytes > limit) {
            return Err(SourceError::TooLarge { limit });
        }
        let mut saving = Saving::new(archive);
        let mut received = 0;
        while let Some(piece) = self.next_piece(&mut response, received, expected).await? {
            received += piece.len() as u64;
            if received > limit {
                return Err(SourceError::TooLarge { limit });
            }
            saving.add(&piece).await?;
            progress(received, expected);
        }
        if expected.is_some_and(|bytes| bytes != received) {
            return Err(SourceError::DownloadCutOff { received, expected });
        }
        saving.finish().await?;
        Ok(received)
    }

    async fn next_piece(
        &self,
        response: &mut Response,
        received: u64,
        expected: Option<u64>,
    ) -> Result<Option<Bytes>, SourceError> {
        let wait = self.options.idle_timeout;
        match tokio::time::timeout(wait, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(_)) => Err(SourceError::DownloadCutOff { received, expected }),
            Err(_) => Err(self.stalled(response.url(), wait)),
        }
    }

    fn stalled(&self, url: &Url, after: Duration) -> SourceError {
        SourceError::Stalled {
            url: public_url(url),
            after,
        }
    }
}

fn parse_url(text: &str) -> Result<Url, SourceError> {
    if text.is_empty() {
        return Err(SourceError::BadUrl("is empty"));
    }
    if text.len() > MAX_URL {
        return Err(SourceError::BadUrl("is longer than 4096 bytes"));
    }
    // The parser drops line breaks and tabs, and trims.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(SourceError::BadUrl("holds blanks or control characters"));
    }
    let url = Url::parse(text).map_err(|_| SourceError::BadUrl("is not a URL"))?;
    if !is_fetched(&url) {
        return Err(SourceError::BadUrl("must begin with http:// or https://"));
    }
    Ok(url)
}

fn redirect_target(url: &Url, response: &Response) -> Result<Url, SourceError> {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| url.join(location).ok());
    target
        .filter(|target| is_fetched(target) && target.as_str().len() <= MAX_URL)
        .ok_or_else(|| SourceError::BadRedirect {
            url: public_url(url),
        })
}

fn is_fetched(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

fn request_error(url: &Url, error: &reqwest::Error) -> SourceError {
    let mut innermost: &(dyn Error + 'static) = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if innermost.is::<OnlyPrivate>() {
        return private(url);
    }
    // reqwest's own text has the URL with its query.
    let cause = match error.is_timeout() {
        true => "no connection in time".to_owned(),
        false if innermost.is::<reqwest::Error>() => "the request failed".to_owned(),
        // A server's certificate may have its say in it.
        false => printable(&innermost.to_string()),
    };
    SourceError::Unreachable {
        url: public_url(url),
        cause,
    }
}

fn private(url: &Url) -> SourceError {
    SourceError::PrivateAddress {
        host: url.host_str().unwrap_or_default().to_owned(),
    }
}

/// The URL without what may be secret: credentials, query and fragment.
#[must_use]
pub fn public_url(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs without a host, which are not fetched.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    let text = url.to_string();
    // URLs are ASCII once they are parsed.
    text.get(..SHOWN_URL)
        .map(|start| format!("{start}…"))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_not_fetched_are_refused() {
        let long = format!("http://h/{}", "x".repeat(MAX_URL));
        for bad in [
            "",
            " ",
            "app.tar.gz",
            "/etc/passwd",
            "file:///etc/passwd",
            "ftp://h/a",
            "http:",
            "//h/a",
            "http://",
            "http://h/a\nb",
            "http://h\t/a",
            "data:,x",
            "http://[::1/a",
            "gopher://h",
            &long,
        ] {
            assert!(
                matches!(parse_url(bad), Err(SourceError::BadUrl(_))),
                "{bad:?}"
            );
        }
        assert!(parse_url("https://user:pass@h.test:8443/a.tar.gz?sig=1#x").is_ok());
    }

    #[test]
    fn texts_have_no_secrets() {
        let url = Url::parse("https://user:pass@h.test:8443/a/b.tar.gz?sig=secret#frag").unwrap();
        assert_eq!(public_url(&url), "https://h.test:8443/a/b.tar.gz");
        let base = Url::parse("http://h/").unwrap();
        for hostile in ["\x1b[31m\u{9b}\x07\x7f", "//h\u{ad}x/\u{202e}"] {
            let text = public_url(&base.join(hostile).unwrap());
            assert!(text.chars().all(|c| c.is_ascii_graphic()), "{text:?}");
        }
        let long = Url::parse(&format!("http://h/{}", "é".repeat(500))).unwrap();
        assert!(public_url(&long).len() <= SHOWN_URL + '…'.len_utf8());
    }
}
