//! What clients get instead of an upstream's answer.

mod custom;
mod format;
mod html;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue,
    LOCATION, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;

pub use self::custom::{CustomPages, InvalidPage};
pub(crate) use self::format::Accept;
use self::format::Format;
use crate::body::ResponseBody;
use crate::limited::Limited;
use crate::redirect::Moved;
use crate::route::Outage;
use crate::sockjs_farewell::GoAway;

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
    /// It is somewhere else.
    Moved(Moved),
    /// The SockJS session has ended here, as its client is told in SockJS.
    SessionMoved(GoAway),
}

/// What a page says.
struct Said<'a> {
    status: StatusCode,
    title: &'static str,
    reason: String,
    /// How far it is, in a sentence.
    progress: Option<&'a str>,
    /// Empty if it is about none.
    host: &'a str,
    /// After how many seconds the page asks again by itself.
    refresh: Option<u8>,
}

impl Refusal {
    /// `custom` is for people; programs get what they can rely on.
    pub(crate) fn page(&self, accept: &Accept, custom: &CustomPages) -> Response<ResponseBody> {
        if let Self::SessionMoved(away) = self {
            return away.response();
        }
        let format = accept.format();
        let own = match format {
            Format::Html => custom.page(self.names(), &self.said()),
            Format::Json => None,
        };
        let (content_type, policy) = match format {
            // Whatever the operator's page shows is his.
            Format::Html if own.is_some() => (html::TYPE, None),
            Format::Html => (html::TYPE, Some(html::POLICY)),
            Format::Json => ("application/json", Some(html::POLICY)),
        };
        let text = own.unwrap_or_else(|| match format {
            Format::Html => html::page(&self.said()),
            Format::Json => self.json(),
        });
        let mut response = Response::new(ResponseBody::Page(Full::new(Bytes::from(text))));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(VARY, HeaderValue::from_static("accept"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(policy) = policy {
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        }
        self.special_headers(headers);
        response
    }

    fn special_headers(&self, headers: &mut HeaderMap) {
        if let Self::Moved(moved) = self {
            headers.insert(LOCATION, moved.location.clone());
            if let Some(hsts) = &moved.hsts {
                headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
            }
            return;
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::Unavailable { outage, .. } => {
                let seconds = HeaderValue::from(retry_after(outage));
                headers.insert(RETRY_AFTER, seconds)
            }
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

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NoTunnels => StatusCode::NOT_IMPLEMENTED,
            Self::UnknownHost(_) => StatusCode::NOT_FOUND,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Limited(limited) => limited.status(),
            Self::Moved(moved) => moved.status,
            Self::SessionMoved(away) => away.status(),
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
            Self::Moved(_) => "moved",
            Self::SessionMoved(_) => "session-moved",
        }
    }

    /// Of an operator's pages for this, the best first.
    fn names(&self) -> impl Iterator<Item = &str> {
        let outage = match self {
            Self::Unavailable { outage, .. } => Some(outage.reason()),
            _ => None,
        };
        outage.into_iter().chain([self.code()])
    }

    fn title(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "Bad request",
            Self::NoTunnels => "Not supported",
            Self::UnknownHost(_) => "Nothing here",
            Self::Unavailable { outage, .. } => match outage {
                Outage::Starting(_) => "Starting",
                Outage::Maintenance => "Under maintenance",
                Outage::Stopped | Outage::Crashed | Outage::Other(_) => "Not running",
            },
            Self::BadGateway => "No answer",
            Self::GatewayTimeout => "No answer in time",
            Self::Limited(limited) => limited.title(),
            Self::Moved(_) | Self::SessionMoved(_) => "Moved",
        }
    }

    fn said(&self) -> Said<'_> {
        let (host, outage) = match self {
            Self::UnknownHost(host) => (host.as_str(), None),
            Self::Unavailable { host, outage } => (host.as_str(), Some(outage)),
            _ => ("", None),
        };
        let starting = match outage {
            Some(Outage::Starting(progress)) => Some(progress),
            _ => None,
        };
        Said {
            status: self.status(),
            title: self.title(),
            reason: self.reason(),
            progress: starting.and_then(Option::as_deref),
            host,
            refresh: starting.map(|_| REFRESH),
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
            Self::Unavailable { host, outage } => unavailable(host, outage),
            Self::BadGateway => "The app did not answer. Please try again soon.".to_owned(),
            Self::GatewayTimeout => "The app took too long to answer.".to_owned(),
            Self::Limited(limited) => limited.to_string(),
            Self::SessionMoved(_) => "The session has ended here. Please connect again.".to_owned(),
            Self::Moved(moved) => {
                let location = moved.location.to_str().unwrap_or_default();
                format!("This is at {location}.")
            }
        }
    }

    fn json(&self) -> String {
        let mut document = serde_json::json!({ "error": self.code(), "reason": self.reason() });
        if let Self::Unavailable { outage, .. } = self {
            document["state"] = outage.reason().into();
        }
        if let Some(progress) = self.said().progress {
            document["progress"] = progress.into();
        }
        document.to_string()
    }
}

/// After so many seconds a page of something that starts asks again.
const REFRESH: u8 = 2;

fn unavailable(host: &str, outage: &Outage) -> String {
    match outage {
        Outage::Starting(_) => {
            format!("The app at {host} is starting. It will be there in a moment.")
        }
        Outage::Stopped => format!("The app at {host} is not running now (stopped)."),
        Outage::Crashed => {
            format!("The app at {host} is not running now (crashed). It will be tried again soon.")
        }
        Outage::Maintenance => {
            format!("Somebody is working on the app at {host}. Please come back later.")
        }
        Outage::Other(reason) => {
            format!("The app at {host} is not running now ({reason}). Please try again soon.")
        }
    }
}

/// In seconds: as long as it is likely to take at least.
fn retry_after(outage: &Outage) -> u32 {
    match outage {
        Outage::Starting(_) => REFRESH.into(),
        Outage::Crashed | Outage::Other(_) => 5,
        Outage::Stopped | Outage::Maintenance => 30,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(refusal: &Refusal) -> String {
        html::page(&refusal.said())
    }

    #[test]
    fn what_a_client_sent_cannot_become_markup() {
        let refusal = Refusal::UnknownHost("<script>'\"&".to_owned());
        assert!(html(&refusal).contains("&lt;script&gt;&#39;&quot;&amp;"));
        assert!(!html(&refusal).contains("<script>"));
        let json: serde_json::Value = serde_json::from_str(&refusal.json()).unwrap();
        assert_eq!(json["error"], "unknown-hostname");
        assert_eq!(json["reason"], "No app is served at <script>'\"&.");
    }

    fn unavailable(outage: Outage) -> Refusal {
        let host = "a.test".to_owned();
        Refusal::Unavailable { host, outage }
    }

    #[test]
    fn only_what_may_pass_says_when_to_try_again() {
        let page = |refusal: Refusal| {
            refusal.page(&Accept::of(&HeaderMap::new()), &CustomPages::default())
        };
        let stopped = page(unavailable(Outage::Stopped));
        assert_eq!(stopped.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(stopped.headers()[RETRY_AFTER], "30");
        let starting = page(unavailable(Outage::Starting(None)));
        assert_eq!(starting.headers()[RETRY_AFTER], "2");
        assert!(!page(Refusal::NoTunnels).headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn a_start_is_told_how_far_it_is_and_asks_again() {
        let starting = unavailable(Outage::Starting(Some("Half of it.".into())));
        let text = html(&starting);
        assert!(
            text.contains("Half of it.") && text.contains("http-equiv=\"refresh\""),
            "{text}"
        );
        assert!(!html(&unavailable(Outage::Stopped)).contains("refresh"));
        let json: serde_json::Value = serde_json::from_str(&starting.json()).unwrap();
        assert_eq!(json["error"], "not-running");
        assert_eq!(
            (&json["state"], &json["progress"]),
            (&"starting".into(), &"Half of it.".into())
        );
    }

    #[test]
    fn a_bad_request_ends_its_connection() {
        let page = Refusal::BadRequest("No.")
            .page(&Accept::of(&HeaderMap::new()), &CustomPages::default());
        assert_eq!(page.headers()[CONNECTION], "close");
    }
}
