use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::header::{REFERER, USER_AGENT};
use http::{Method, Request, StatusCode, Uri, Version};
use jiff::Timestamp;

use super::AccessLog;
use crate::route_table::Found;
use crate::upstream::{Address, Upstream};

/// What is told of one request.
pub(crate) struct Entry {
    /// When its head had come.
    pub(super) at: Timestamp,
    begun: Instant,
    /// From then to its end.
    pub(super) took: Duration,
    pub(super) client: IpAddr,
    /// `None` if what came was no request that could be read.
    pub(super) asked: Option<Asked>,
    /// The address of its site as it was given to the table.
    pub(super) site: Option<Box<str>>,
    /// Who was asked last.
    pub(super) upstream: Option<Arc<Address>>,
    pub(super) status: u16,
    /// Why the proxy answered itself.
    pub(super) refusal: Option<&'static str>,
    pub(super) moved: Arc<Moved>,
}

/// What the head of a request says.
pub(crate) struct Asked {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) host: Option<Text>,
    pub(super) path: Text,
    pub(super) referrer: Option<Text>,
    pub(super) user_agent: Option<Text>,
}

/// Bytes that a client chose, no more than were wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) bytes: Box<[u8]>,
    /// Whether there were more.
    pub(super) cut: bool,
}

/// Bytes of bodies, and after upgrades all, while they are counted.
#[derive(Default)]
pub(crate) struct Moved {
    from_client: AtomicU64,
    to_client: AtomicU64,
}

/// An entry that is written when it is dropped, however a request ends.
pub(crate) struct Pending(Option<(AccessLog, Box<Entry>)>);

/// The longest user agents and referrers, in bytes.
const LONGEST_HEADER: usize = 1024;
/// The longest paths, in bytes.
const LONGEST_PATH: usize = 8 * 1024;
/// As long as hostnames and ports can be.
const LONGEST_HOST: usize = 261;

/// What nginx has for clients that left before they were answered.
const LEFT: u16 = 499;

impl Pending {
    /// Begins what is told of whoever `asked`.
    pub(crate) fn new(log: &AccessLog, client: IpAddr, asked: Option<Asked>) -> Self {
        let entry = Entry {
            at: Timestamp::now(),
            begun: Instant::now(),
            took: Duration::ZERO,
            client,
            asked,
            site: None,
            upstream: None,
            status: LEFT,
            refusal: None,
            moved: Arc::default(),
        };
        Self(Some((log.clone(), Box::new(entry))))
    }

    pub(crate) fn visited_by(&mut self, client: IpAddr, host: Option<&str>) {
        self.change(|entry| {
            entry.client = client;
            if let Some(asked) = &mut entry.asked {
                asked.host = host.map(|host| Text::of(host.as_bytes(), LONGEST_HOST));
            }
        });
    }

    pub(crate) fn belongs_to(&mut self, found: &Found<'_>) {
        self.change(|entry| {
            entry.site = Some(found.address().into());
            if let Some(asked) = entry.asked.as_mut().filter(|_| found.site.secret_paths) {
                asked.path.keep_first_segment();
            }
        });
    }

    pub(crate) fn turned_to(&mut self, upstream: &Upstream) {
        self.change(|entry| entry.upstream = Some(upstream.address()));
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.change(|entry| entry.status = status.as_u16());
    }

    /// The client got a page of so many bytes.
    pub(crate) fn refused(&mut self, code: &'static str, status: StatusCode, bytes: u64) {
        self.change(|entry| {
            entry.status = status.as_u16();
            entry.refusal = Some(code);
            if !entry.asked.as_ref().is_some_and(Asked::wants_no_body) {
                entry.moved.sent(bytes);
            }
        });
    }

    pub(crate) fn moved(&self) -> Option<&Arc<Moved>> {
        self.0.as_ref().map(|(_, entry)| &entry.moved)
    }

    fn change(&mut self, change: impl FnOnce(&mut Entry)) {
        if let Some((_, entry)) = &mut self.0 {
            change(entry);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some((log, mut entry)) = self.0.take() {
            entry.took = entry.begun.elapsed();
            log.push(entry);
        }
    }
}

impl Asked {
    /// Copies what is needed of `request`: the buffer that it was read to need not be kept.
    pub(crate) fn of<B>(request: &Request<B>, log: &AccessLog) -> Self {
        let headers = request.headers();
        let with_query = log.with_query();
        Self {
            method: request.method().clone(),
            version: request.version(),
            host: None,
            path: path(request.uri(), with_query),
            referrer: headers.get(REFERER).map(|referrer| match with_query {
                true => Text::of(referrer.as_bytes(), LONGEST_HEADER),
                false => Text::of(without_query(referrer.as_bytes()), LONGEST_HEADER),
            }),
            user_agent: headers
                .get(USER_AGENT)
                .map(|name| Text::of(name.as_bytes(), LONGEST_HEADER)),
        }
    }

    fn wants_no_body(&self) -> bool {
        self.method == Method::HEAD
    }
}

impl Text {
    fn of(bytes: &[u8], longest: usize) -> Self {
        Self {
            bytes: bytes[..bytes.len().min(longest)].into(),
            cut: bytes.len() > longest,
        }
    }

    /// Of a path.
    fn keep_first_segment(&mut self) {
        let mut behind = self.bytes.iter().skip(1);
        let Some(end) = behind.position(|byte| b"/?".contains(byte)) else {
            return;
        };
        let (kept, rest) = self.bytes.split_at(end + 1);
        let slash = &rest[..usize::from(rest[0] == b'/')];
        self.cut |= rest.len() > slash.len();
        self.bytes = [kept, slash].concat().into();
    }
}

impl Moved {
    pub(crate) fn received(&self, bytes: u64) {
        self.from_client.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.to_client.fetch_add(bytes, Relaxed);
    }

    /// From the client, and to him.
    pub(super) fn both(&self) -> [u64; 2] {
        [&self.from_client, &self.to_client].map(|count| count.load(Relaxed))
    }
}

fn path(uri: &Uri, with_query: bool) -> Text {
    match uri.path_and_query() {
        Some(whole) if with_query => Text::of(whole.as_str().as_bytes(), LONGEST_PATH),
        // A request for a tunnel has none.
        _ => Text::of(uri.path().as_bytes(), LONGEST_PATH),
    }
}

/// Without a fragment as well, in which some programs put secrets.
fn without_query(referrer: &[u8]) -> &[u8] {
    let end = referrer.iter().position(|byte| b"?#".contains(byte));
    &referrer[..end.unwrap_or(referrer.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_secret_path_the_first_segment_is_kept() {
        for (path, kept, cut) in [
            ("/", "/", false),
            ("", "", false),
            ("*", "*", false),
            ("/a", "/a", false),
            ("/a/", "/a/", false),
            ("/a/b/c?d", "/a/", true),
            ("/a?b/c", "/a", true),
            ("//a", "//", true),
        ] {
            let mut text = Text::of(path.as_bytes(), LONGEST_PATH);
            text.keep_first_segment();
            assert_eq!((&*text.bytes, text.cut), (kept.as_bytes(), cut), "{path}");
        }
    }
}
