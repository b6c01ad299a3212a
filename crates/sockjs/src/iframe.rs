//! The page that a frame loads, so that transports without CORS work across origins.

use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use md5::{Digest as _, Md5};

use crate::body::Body;
use crate::response;

const PAGE: &str = r#"<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="{{ sockjs_url }}"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"#;

/// The page and its fingerprint.
#[derive(Debug)]
pub(crate) struct Iframe {
    page: String,
    etag: HeaderValue,
}

impl Iframe {
    pub(crate) fn new(sockjs_url: &str) -> Self {
        let url = sockjs_url.replace('&', "&amp;").replace('"', "&quot;");
        let page = PAGE.replace("{{ sockjs_url }}", &url);
        let mut hex = String::from("\"");
        for byte in Md5::digest(&page) {
            hex.extend(
                [byte >> 4, byte & 0xf]
                    .map(|half| char::from(b"0123456789abcdef"[usize::from(half)])),
            );
        }
        hex.push('"');
        let etag = HeaderValue::try_from(hex).unwrap_or(HeaderValue::from_static("\"\""));
        Self { page, etag }
    }

    /// The page, or that it has not changed.
    pub(crate) fn answer(&self, request: &HeaderMap) -> Response<Body> {
        if request.get(IF_NONE_MATCH) == Some(&self.etag) {
            let mut response = response::bare(StatusCode::NOT_MODIFIED, "");
            response::cacheable(response.headers_mut());
            return response;
        }
        let body = Body::whole(self.page.clone());
        let mut response = response::typed(StatusCode::OK, response::HTML, body);
        response.headers_mut().insert(ETAG, self.etag.clone());
        response::cacheable(response.headers_mut());
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_the_one_that_sockjs_node_computes() {
        let url = "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js";
        let iframe = Iframe::new(url);
        assert_eq!(iframe.etag, "\"08c88a6396a2481f245d665a53d9dc14\"");
        assert_eq!(iframe.page.len(), 472);
    }

    #[test]
    fn the_url_cannot_leave_its_attribute() {
        let iframe = Iframe::new("/x\"><script>");
        assert!(iframe.page.contains("src=\"/x&quot;><script>\""));
    }
}
