use bytes::Bytes;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderValue, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::body::ResponseBody;
use crate::limited::Limited;
use crate::route::Outage;

/// Why a request gets a page of the proxy's own instead of an upstream's answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not HTTP as a server may accept it; the sentence says what is wrong.
    BadRequest(&'static str),
    NoTunnels,
    UnknownHost(String),
    Unavailable {
        host: String,
        outage: Outage,
    },
    /// The upstream refused the connection, or broke off before it answered.
    BadGateway,
    GatewayTimeout,
    Limited(Limited),
}

/// How the client wants to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Html,
    Json,
}

impl Format {
    /// JSON if `Accept` names it, and names no HTML that is as welcome.
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        let lines = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let ranges: Vec<_> = lines
            .flat_map(|line| line.split(','))
            .map(media_range)
            .collect();
        let quality = |wanted: &str| {
            let named = ranges
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            named.map(|(_, quality)| *quality).fold(0.0, f32::max)
        };
        if quality("application/json") > quality("text/html") {
            Self::Json
        } else {
            Self::Html
        }
    }
}

/// The type and the quality of one element of `Accept` (RFC 9110 §12.5.1).
fn media_range(element: &str) -> (&str, f32) {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|parameter| parameter.strip_prefix("q="));
    (
        name,
        quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0)),
    )
}

impl Refusal {
    pub(crate) fn page(&self, format: Format) -> Response<ResponseBody> {
        let (content_type, text) = match format {
            Format::Html => ("text/html; charset=utf-8", self.html()),
            Format::Json => ("application/json", self.json()),
        };
        let mut response = Response::new(ResponseBody::Page(Full::new(Bytes::from(text))));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(VARY, HeaderValue::from_static("accept"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        self.special_header(headers);
        response
    }

    fn special_header(&self, headers: &mut HeaderMap) {
        match self {
            Self::Unavailable { .. } => headers.insert(RETRY_AFTER, HeaderValue::from_static("5")),
            // Where the next request begins is no longer certain.
            Self::BadRequest(_) => headers.insert(CONNECTION, HeaderValue::from_static("close")),
            Self::Limited(limited) if limited.ends_connection() => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"))
            }
            Self::Limited(limited) => limited
                .retry_after()
                .and_then(|seconds| headers.insert(RETRY_AFTER, HeaderValue::from(seconds))),
            _ => None,
        };
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NoTunnels => StatusCode::NOT_IMPLEMENTED,
            Self::UnknownHost(_) => StatusCode::NOT_FOUND,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Limited(limited) => limited.status(),
        }
    }

    /// For programs. Part of the interface: only add.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad-request",
            Self::NoTunnels => "not-implemented",
            Self::UnknownHost(_) => "unknown-hostname",
            Self::Unavailable { .. } => "not-running",
            Self::BadGateway => "bad-gateway",
            Self::GatewayTimeout => "gateway-timeout",
            Self::Limited(limited) => limited.code(),
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "Bad request",
            Self::NoTunnels => "Not supported",
            Self::UnknownHost(_) => "Nothing here",
            Self::Unavailable { .. } => "Not running",
            Self::BadGateway => "No answer",
            Self::GatewayTimeout => "No answer in time",
            Self::Limited(limited) => limited.title(),
        }
    }

    /// For people, without anything about what is behind the proxy.
    fn reason(&self) -> String {
        match self {
            Self::BadRequest(sentence) => (*sentence).to_owned(),
            Self::NoTunnels => "This server opens no tunnels to other hosts.".to_owned(),
            Self::UnknownHost(host) if host.is_empty() => {
                "The request names no host, so there is no app to answer it.".to_owned()
            }
            Self::UnknownHost(host) => format!("No app is served at {host}."),
            Self::Unavailable { host, outage } => {
                let reason = outage.reason();
                format!("The app at {host} is not running now ({reason}). Please try again soon.")
            }
            Self::BadGateway => "The app did not answer. Please try again soon.".to_owned(),
            Self::GatewayTimeout => "The app took too long to answer.".to_owned(),
            Self::Limited(limited) => limited.to_string(),
        }
    }

    fn json(&self) -> String {
        serde_json::json!({ "error": self.code(), "reason": self.reason() }).to_string()
    }

    fn html(&self) -> String {
        let (status, title) = (self.status().as_u16(), self.title());
        let reason = escaped(&self.reason());
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n\
             <main>\n<h1>{title}</h1>\n<p>{reason}</p>\n<p><small>{status}</small></p>\n</main>\n"
        )
    }
}

/// A page needs its own style and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

const STYLE: &str = ":root{color-scheme:light dark;font:1.1rem/1.5 system-ui,sans-serif;\
    color:light-dark(#222,#ddd);background:light-dark(#fff,#181818)}\
    main{max-width:32rem;margin:20vh auto 0;padding:0 1.5rem;overflow-wrap:anywhere}\
    h1{font-size:1.6rem;margin:0}small{opacity:.6}";

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        Format::wanted(&headers)
    }

    #[test]
    fn json_is_for_those_who_prefer_it() {
        assert_eq!(wanted("application/json"), Format::Json);
        assert_eq!(wanted("application/json, text/plain, */*"), Format::Json);
        assert_eq!(
            wanted("text/html;q=0.5, application/json;q=0.9"),
            Format::Json
        );
        assert_eq!(wanted("*/*"), Format::Html);
        assert_eq!(wanted("text/html, application/json"), Format::Html);
        assert_eq!(
            wanted("text/html,application/xhtml+xml,*/*;q=0.8"),
            Format::Html
        );
        assert_eq!(wanted("application/json;q=0"), Format::Html);
        assert_eq!(Format::wanted(&HeaderMap::new()), Format::Html);
    }

    #[test]
    fn what_a_client_sent_cannot_become_markup() {
        let refusal = Refusal::UnknownHost("<script>'\"&".to_owned());
        assert!(refusal.html().contains("&lt;script&gt;&#39;&quot;&amp;"));
        assert!(!refusal.html().contains("<script>"));
        let json: serde_json::Value = serde_json::from_str(&refusal.json()).unwrap();
        assert_eq!(json["error"], "unknown-hostname");
        assert_eq!(json["reason"], "No app is served at <script>'\"&.");
    }

    #[test]
    fn only_what_may_pass_says_when_to_try_again() {
        let stopped = Refusal::Unavailable {
            host: "a.test".into(),
            outage: Outage::Stopped,
        };
        let page = stopped.page(Format::Html);
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(page.headers()[RETRY_AFTER], "5");
        assert!(
            !Refusal::NoTunnels
                .page(Format::Html)
                .headers()
                .contains_key(RETRY_AFTER)
        );
    }

    #[test]
    fn a_bad_request_ends_its_connection() {
        let page = Refusal::BadRequest("No.").page(Format::Json);
        assert_eq!(page.headers()[CONNECTION], "close");
    }
}
