//! What a SockJS client over HTTP is told when its session has to go elsewhere: as a SockJS server would tell it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING,
    CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::body::ResponseBody;
use crate::sockets::Socket;
use crate::sockjs_path::Transport;

/// The answer to a request of a session that has ended here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GoAway {
    pub(crate) transport: Transport,
    /// The function that the answer calls, where it is a script.
    pub(crate) callback: Option<String>,
    /// The site whose page asks.
    pub(crate) origin: Option<HeaderValue>,
}

impl GoAway {
    pub(crate) fn response(&self) -> Response<ResponseBody> {
        let (status, kind, text) = self.parts();
        let mut response = Response::new(ResponseBody::Page(Full::new(text)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let mut set =
            |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
        set(CONTENT_TYPE, kind);
        set(CACHE_CONTROL, NEVER);
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        match &self.origin {
            Some(_) => set(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
            None => set(ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        };
        set(VARY, "Origin");
        if let Some(origin) = &self.origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        response
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.parts().0
    }

    fn parts(&self) -> (StatusCode, &'static str, Bytes) {
        if self.transport == Transport::Sending {
            let text = Bytes::from_static(b"404 Error: Page not found\n");
            return (StatusCode::NOT_FOUND, "text/plain; charset=UTF-8", text);
        }
        let callback = self.callback.as_deref();
        let (begin, frame) = (
            page(self.transport, callback),
            frame(self.transport, callback),
        );
        match frame {
            Some(frame) => (
                StatusCode::OK,
                content_type(self.transport),
                (begin + &frame).into(),
            ),
            // Nobody who speaks SockJS asks so.
            None => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain; charset=UTF-8",
                Bytes::from_static(b"\"callback\" parameter required"),
            ),
        }
    }
}

/// An answer of an app through which a session receives, until it is asked to leave.
pub(crate) struct Leaving {
    asked: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_asked: bool,
    transport: Transport,
    /// `None`: no frame can be added to this answer, it can only be cut.
    frame: Option<Bytes>,
    is_said: bool,
    tail: Tail,
}

/// What is to be done with the answer now.
pub(crate) enum Step {
    Pass,
    Say(Bytes),
    End,
    Cut,
}

impl Leaving {
    /// `None` for an answer whose end has come with its head.
    pub(crate) fn new(
        socket: Arc<Socket>,
        transport: Transport,
        callback: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<Self> {
        if headers.contains_key(CONTENT_LENGTH) {
            return None;
        }
        let is_plain = !headers.contains_key(CONTENT_ENCODING);
        let frame = frame(transport, callback).filter(|_| is_plain);
        Some(Self {
            asked: Box::pin(async move { socket.asked().await }),
            is_asked: false,
            transport,
            frame: frame.map(Bytes::from),
            is_said: false,
            tail: Tail::default(),
        })
    }

    pub(crate) fn passed(&mut self, bytes: &[u8]) {
        self.tail.push(bytes);
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Step {
        if self.is_said {
            return Step::End;
        }
        self.is_asked = self.is_asked || self.asked.as_mut().poll(context) == Poll::Ready(());
        if !self.is_asked {
            return Step::Pass;
        }
        match &self.frame {
            None => Step::Cut,
            Some(frame) if self.is_between_frames() => {
                self.is_said = true;
                Step::Say(frame.clone())
            }
            Some(_) => Step::Pass,
        }
    }

    fn is_between_frames(&self) -> bool {
        let tail = &*self.tail.bytes;
        match self.transport {
            Transport::Polling | Transport::Streaming => tail.is_empty() || tail.ends_with(b"\n"),
            Transport::EventSource => tail.is_empty() || tail.ends_with(b"\r\n"),
            Transport::HtmlFile => tail.ends_with(b"</script>\r\n") || tail.ends_with(b"\r\n\r\n"),
            Transport::Jsonp => tail.is_empty(),
            Transport::WebSocket | Transport::Sending => false,
        }
    }
}

/// The last bytes of what was passed on.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(LONGEST_END)..];
        self.bytes.extend_from_slice(new);
        let surplus = self.bytes.len().saturating_sub(LONGEST_END);
        self.bytes.drain(..surplus);
    }
}

/// As long as `</script>` and the end of its line.
const LONGEST_END: usize = 11;

const NEVER: &str = "no-store, no-cache, no-transform, must-revalidate, max-age=0";

/// The same in the query of a request, if it is one that clients make: it becomes part of a script.
pub(crate) fn callback(query: Option<&str>) -> Option<String> {
    let parameters = query.unwrap_or_default().split('&');
    let mut named = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, value) = named.find(|(name, _)| ["c", "callback"].contains(name))?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let valid = !value.is_empty() && value.len() <= LONGEST_CALLBACK && value.bytes().all(is_name);
    valid.then(|| value.to_owned())
}

const LONGEST_CALLBACK: usize = 32;

fn content_type(transport: Transport) -> &'static str {
    match transport {
        Transport::EventSource => "text/event-stream",
        Transport::HtmlFile => "text/html; charset=UTF-8",
        _ => "application/javascript; charset=UTF-8",
    }
}

/// SockJS's close frame. `None` where no function is named that it could be given to.
fn frame(transport: Transport, callback: Option<&str>) -> Option<String> {
    const FRAME: &str = "c[3000,\"Go away!\"]";
    const STRING: &str = "\"c[3000,\\\"Go away!\\\"]\"";
    match transport {
        Transport::EventSource => Some(format!("data: {FRAME}\r\n\r\n")),
        Transport::HtmlFile => callback.map(|_| format!("<script>\np({STRING});\n</script>\r\n")),
        Transport::Jsonp => callback.map(|name| format!("/**/{name}({STRING});\r\n")),
        _ => Some(format!("{FRAME}\n")),
    }
}

/// What browsers want before the first frame.
fn page(transport: Transport, callback: Option<&str>) -> String {
    match transport {
        Transport::Streaming => "h".repeat(2048) + "\n",
        Transport::EventSource => "\r\n".to_owned(),
        Transport::HtmlFile => {
            let page = format!("{HTML_FILE:1024}\r\n\r\n");
            page.replace("{{ callback }}", callback.unwrap_or_default())
        }
        _ => String::new(),
    }
}

/// sockjs-node's page (`lib/trans-htmlfile.js`).
const HTML_FILE: &str = r#"<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.{{ callback }};
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(transport: Transport, callback: Option<&str>) -> (u16, String) {
        let callback = callback.map(str::to_owned);
        let away = GoAway {
            transport,
            callback,
            origin: None,
        };
        let (status, _, text) = away.parts();
        (status.as_u16(), String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn each_transport_is_told_in_its_own_way() {
        let polling = "c[3000,\"Go away!\"]\n";
        assert_eq!(text(Transport::Polling, None), (200, polling.into()));
        let streaming = text(Transport::Streaming, None).1;
        assert_eq!(streaming.split_at(2049).1, polling);
        let events = "\r\ndata: c[3000,\"Go away!\"]\r\n\r\n";
        assert_eq!(text(Transport::EventSource, None), (200, events.into()));
        let script = "/**/_jp.a(\"c[3000,\\\"Go away!\\\"]\");\r\n";
        assert_eq!(text(Transport::Jsonp, Some("_jp.a")), (200, script.into()));
        let page = text(Transport::HtmlFile, Some("_jp.a")).1;
        assert!(page.contains("parent._jp.a;"));
        assert!(page.ends_with("<script>\np(\"c[3000,\\\"Go away!\\\"]\");\n</script>\r\n"));
        assert_eq!(text(Transport::Jsonp, None).0, 500);
        assert_eq!(text(Transport::Sending, None).0, 404);
    }

    #[test]
    fn pages_of_other_sites_may_read_it() {
        let origin = Some(HeaderValue::from_static("http://a.test"));
        for (origin, allowed) in [(origin, "http://a.test"), (None, "*")] {
            let away = GoAway {
                transport: Transport::Polling,
                callback: None,
                origin,
            };
            let response = away.response();
            assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], allowed);
        }
    }

    #[test]
    fn callbacks_are_names() {
        assert_eq!(callback(Some("t=1&c=_jp.a-b")).unwrap(), "_jp.a-b");
        for none in [None, Some("c="), Some("c=alert(1)"), Some("d=a")] {
            assert_eq!(callback(none), None);
        }
    }

    #[test]
    fn a_frame_is_added_between_others_only() {
        let socket = || crate::sockets::Sockets::default().open_session().1;
        let step = |transport, pieces: &[&str], headers: &HeaderMap| {
            let socket = socket();
            let leaving = Leaving::new(Arc::clone(&socket), transport, Some("a"), headers);
            let mut leaving = leaving.unwrap();
            pieces
                .iter()
                .for_each(|piece| leaving.passed(piece.as_bytes()));
            let mut context = Context::from_waker(std::task::Waker::noop());
            assert!(matches!(leaving.poll(&mut context), Step::Pass));
            socket.ask();
            let first = leaving.poll(&mut context);
            match first {
                Step::Say(_) => assert!(matches!(leaving.poll(&mut context), Step::End)),
                _ => assert!(!matches!(first, Step::End)),
            }
            first
        };
        let headers = HeaderMap::new();
        let says =
            |transport, pieces: &[&str]| matches!(step(transport, pieces, &headers), Step::Say(_));
        for transport in [Transport::Polling, Transport::Streaming] {
            assert!(says(transport, &[]));
            assert!(says(transport, &["hhh\n", "a[\"x\"]\n"]));
            assert!(!says(transport, &["a[\"x"]));
        }
        assert!(says(Transport::EventSource, &["data: a[]\r\n\r", "\n"]));
        assert!(!says(Transport::EventSource, &["data: a[]"]));
        assert!(says(Transport::HtmlFile, &["</scr", "ipt>\r\n"]));
        assert!(!says(Transport::HtmlFile, &[]));
        assert!(says(Transport::Jsonp, &[]));
        assert!(!says(Transport::Jsonp, &["/**/a(\"o\");\r\n"]));
        let mut packed = HeaderMap::new();
        packed.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(matches!(
            step(Transport::Streaming, &[], &packed),
            Step::Cut
        ));
        let mut whole = HeaderMap::new();
        whole.insert(CONTENT_LENGTH, HeaderValue::from_static("2"));
        assert!(Leaving::new(socket(), Transport::Polling, None, &whole).is_none());
    }
}
