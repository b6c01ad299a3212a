use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, DATE, ETAG, EXPIRES, HeaderMap,
    HeaderValue, IF_NONE_MATCH, VARY,
};
use http::{Response, StatusCode};
use http_body_util::Full;

use super::storable::StorableHead;
use crate::body::ResponseBody;
use crate::headers::tokens;

/// An answer that was kept whole.
#[derive(Debug)]
pub(crate) struct KeptAsset {
    head: StorableHead,
    body: Bytes,
}

impl KeptAsset {
    pub(crate) fn new(head: StorableHead, body: Bytes) -> Self {
        Self { head, body }
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let line = |(name, value): (_, &HeaderValue)| name_length(name) + value.len();
        self.body.len() + self.head.headers.iter().map(line).sum::<usize>()
    }

    /// Whether it may be used without asking whoever made it (RFC 9111 §4.2).
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        let fresh = self.head.fresh;
        fresh.is_none_or(|fresh| self.age(now) < fresh)
    }

    /// The answer to a request with the headers `request`: 304 if the client has it, else all of it, whatever range
    /// was asked for (RFC 9110 §14.2 lets everybody ignore that).
    pub(crate) fn answer(
        &self,
        request: &HeaderMap,
        is_head: bool,
        now: Instant,
    ) -> Response<ResponseBody> {
        let is_known = self.is_known_to(request);
        let body = match is_known || is_head {
            true => Bytes::new(),
            false => self.body.clone(),
        };
        let mut response = Response::new(ResponseBody::Page(Full::new(body)));
        let headers = response.headers_mut();
        for (name, value) in &self.head.headers {
            if !is_known || NOT_MODIFIED_HAS.contains(name) {
                headers.append(name, value.clone());
            }
        }
        headers.insert(AGE, HeaderValue::from(self.age(now).as_secs()));
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            let length = HeaderValue::from(self.body.len());
            response.headers_mut().insert(CONTENT_LENGTH, length);
        }
        response
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.head.made)
    }

    /// Compared weakly, as RFC 9110 §13.1.2 says.
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let Some(own) = self.head.headers.get(ETAG) else {
            return false;
        };
        let own = own.to_str().map(opaque).unwrap_or_default();
        // A comma within a tag splits it, which then matches nothing.
        tokens(request, &IF_NONE_MATCH).any(|tag| tag == "*" || opaque(tag) == own)
    }
}

/// What RFC 9110 §15.4.5 wants in a 304.
const NOT_MODIFIED_HAS: [http::HeaderName; 6] =
    [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY];

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn name_length(name: &http::HeaderName) -> usize {
    name.as_str().len()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn kept(lines: &[(&'static str, &'static str)]) -> KeptAsset {
        let body = Full::new(Bytes::from_static(b"script"));
        let mut response = Response::new(body);
        for (name, value) in lines {
            let value = HeaderValue::from_static(value);
            response.headers_mut().append(*name, value);
        }
        let head = StorableHead::of(&HeaderMap::new(), &response, Instant::now());
        KeptAsset::new(head.unwrap(), Bytes::from_static(b"script"))
    }

    const LINES: [(&str, &str); 5] = [
        ("content-type", "application/javascript"),
        ("content-length", "6"),
        ("cache-control", "public, max-age=100"),
        ("etag", "W/\"1-2\""),
        ("age", "30"),
    ];

    fn asking(tags: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(tags))])
    }

    async fn body(response: Response<ResponseBody>) -> Bytes {
        let collected = response.into_body().collect().await;
        collected.ok().unwrap().to_bytes()
    }

    #[tokio::test]
    async fn it_is_given_whole_with_its_age() {
        let asset = kept(&LINES);
        let later = asset.head.made + Duration::from_secs(42);
        let answer = asset.answer(&HeaderMap::new(), false, later);
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()[AGE], "42");
        assert_eq!(answer.headers()[CONTENT_LENGTH], "6");
        assert_eq!(answer.headers()["content-type"], "application/javascript");
        assert_eq!(body(answer).await, "script");
        let head = asset.answer(&HeaderMap::new(), true, later);
        assert_eq!(head.headers()[CONTENT_LENGTH], "6");
        assert_eq!(body(head).await, "");
    }

    #[tokio::test]
    async fn who_has_it_is_told_so() {
        let asset = kept(&LINES);
        for tags in ["W/\"1-2\"", "\"1-2\"", "\"x\", W/\"1-2\"", "*"] {
            let answer = asset.answer(&asking(tags), false, Instant::now());
            assert_eq!(answer.status(), 304, "{tags}");
            let mut names: Vec<_> = answer
                .headers()
                .keys()
                .map(http::HeaderName::as_str)
                .collect();
            names.sort_unstable();
            assert_eq!(names, ["age", "cache-control", "etag"]);
            assert_eq!(body(answer).await, "");
        }
        let other = asset.answer(&asking("\"1-3\""), false, Instant::now());
        assert_eq!(other.status(), 200);
        let untagged = kept(&[]).answer(&asking("*"), false, Instant::now());
        assert_eq!(untagged.status(), 200);
    }

    #[test]
    fn it_is_fresh_as_long_as_was_said() {
        let asset = kept(&LINES);
        let after = |seconds| asset.is_fresh(asset.head.made + Duration::from_secs(seconds));
        assert!(after(99) && !after(100));
        assert!(kept(&[]).is_fresh(Instant::now() + Duration::from_secs(1 << 20)));
    }
}
