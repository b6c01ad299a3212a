//! Polling by XHR, sessions as seen through it, and which characters get through.

use crate::support::{get, post, request, session, stream, test_server};
use crate::{header, verify_cors, verify_not_cached, verify_options};

mod protocol {
    use super::*;

    #[tokio::test]
    async fn simple_session() {
        let server = test_server().await;
        let path = session("/echo");
        let poll = || async { post(server, &format!("{path}/xhr"), "").await };
        let opened = poll().await;
        assert_eq!((opened.status, opened.body.as_str()), (200, "o\n"));
        let sent = post(server, &format!("{path}/xhr_send"), r#"["a"]"#).await;
        assert_eq!((sent.status, sent.body.as_str()), (204, ""));
        assert_eq!(poll().await.body, "a[\"a\"]\n");

        let (_waiting, head) = stream(server, &format!("POST {path}/xhr")).await;
        assert_eq!(head.status, 200);
        let second = poll().await;
        assert_eq!(second.status, 200);
        assert_eq!(second.body, "c[2010,\"Another connection still open\"]\n");
    }

    #[tokio::test]
    async fn close_session() {
        let server = test_server().await;
        let path = format!("{}/xhr", session("/close"));
        for frame in ["o\n", "c[3000,\"Go away!\"]\n", "c[3000,\"Go away!\"]\n"] {
            let reply = post(server, &path, "").await;
            assert_eq!((reply.status, reply.body.as_str()), (200, frame));
        }
    }
}

mod xhr_polling {
    use super::*;

    #[tokio::test]
    async fn options() {
        let server = test_server().await;
        for suffix in ["xhr", "xhr_send"] {
            let path = format!("/echo/abc/abc/{suffix}");
            verify_options(server, &path, "OPTIONS, POST").await;
        }
    }

    #[tokio::test]
    async fn transport() {
        let server = test_server().await;
        let path = session("/echo");
        let origin = [("Origin", "test")];
        let reply = request(server, &format!("POST {path}/xhr"), &origin, b"").await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "o\n"));
        let kind = header(&reply.headers, "content-type");
        assert_eq!(kind, "application/javascript; charset=UTF-8");
        verify_cors(&reply.headers, Some("test"));
        verify_not_cached(&reply.headers);

        let line = format!("POST {path}/xhr_send");
        let reply = request(server, &line, &origin, br#"["x"]"#).await;
        assert_eq!((reply.status, reply.body.as_str()), (204, ""));
        assert_eq!(
            header(&reply.headers, "content-type"),
            "text/plain; charset=UTF-8"
        );
        verify_cors(&reply.headers, Some("test"));
        verify_not_cached(&reply.headers);

        let reply = post(server, &format!("{path}/xhr"), "").await;
        assert_eq!(reply.body, "a[\"x\"]\n");
        verify_cors(&reply.headers, None);
    }

    #[tokio::test]
    async fn invalid_session() {
        let server = test_server().await;
        let reply = post(
            server,
            &format!("{}/xhr_send", session("/echo")),
            r#"["x"]"#,
        )
        .await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (404, "404 Error: Page not found\n")
        );
        verify_cors(&reply.headers, None);
    }

    #[tokio::test]
    async fn invalid_json() {
        let server = test_server().await;
        let path = session("/echo");
        assert_eq!(post(server, &format!("{path}/xhr"), "").await.body, "o\n");
        let answers = [
            ("[\"x", 500, "Broken JSON encoding."),
            ("", 500, "Payload expected."),
            ("{}", 500, "Payload expected."),
            ("[\"a\"]", 204, ""),
        ];
        for (payload, status, body) in answers {
            let reply = post(server, &format!("{path}/xhr_send"), payload).await;
            assert_eq!(
                (reply.status, reply.body.as_str()),
                (status, body),
                "{payload}"
            );
        }
        let reply = post(server, &format!("{path}/xhr"), "").await;
        assert_eq!(reply.body, "a[\"a\"]\n");
    }

    #[tokio::test]
    async fn content_types() {
        let server = test_server().await;
        let path = session("/echo");
        post(server, &format!("{path}/xhr"), "").await;
        let types = [
            "text/plain",
            "T",
            "application/json",
            "application/xml",
            "",
            "application/json; charset=utf-8",
            "text/xml; charset=utf-8",
            "text/xml",
        ];
        for kind in types {
            let line = format!("POST {path}/xhr_send");
            let reply = request(server, &line, &[("Content-Type", kind)], br#"["a"]"#).await;
            assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{kind}");
        }
        assert_eq!(receive(server, &path, types.len()).await, ["a"; 8]);
    }

    #[tokio::test]
    async fn request_headers_cors() {
        let server = test_server().await;
        for (asked, allowed) in [(Some("a, b, c"), "a, b, c"), (Some(""), ""), (None, "")] {
            let mut headers = vec![
                ("Origin", "test"),
                ("Access-Control-Request-Method", "POST"),
            ];
            headers.extend(asked.map(|asked| ("Access-Control-Request-Headers", asked)));
            let line = format!("OPTIONS {}/xhr", session("/echo"));
            let reply = request(server, &line, &headers, b"").await;
            assert_eq!(reply.status, 204);
            verify_cors(&reply.headers, Some("test"));
            assert_eq!(
                header(&reply.headers, "access-control-allow-headers"),
                allowed
            );
        }
    }

    #[tokio::test]
    async fn sending_empty_frame() {
        let server = test_server().await;
        let path = session("/echo");
        post(server, &format!("{path}/xhr"), "").await;
        for payload in ["[]", r#"["a"]"#] {
            let reply = post(server, &format!("{path}/xhr_send"), payload).await;
            assert_eq!(reply.status, 204);
        }
        let reply = post(server, &format!("{path}/xhr"), "").await;
        assert_eq!(reply.body, "a[\"a\"]\n");
    }
}

/// Polls until so many messages have come: how many come at once depends on the echo's pace.
async fn receive(server: std::net::SocketAddr, path: &str, count: usize) -> Vec<String> {
    let mut received: Vec<String> = Vec::new();
    while received.len() < count {
        let reply = post(server, &format!("{path}/xhr"), "").await;
        let frame = reply.body.strip_prefix('a').unwrap();
        received.extend(serde_json::from_str::<Vec<String>>(frame).unwrap());
    }
    received
}

mod json_encoding {
    use super::*;

    /// What browsers or proxies mangle when a server sends it.
    fn server_killers() -> impl Iterator<Item = char> {
        (0xff..=0xffff).filter_map(char::from_u32).filter(|c| {
            matches!(c, '\u{200c}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
                | '\u{2060}'..='\u{206f}' | '\u{fff0}'..='\u{ffff}')
        })
    }

    async fn echoed(payload: &str) -> String {
        let server = test_server().await;
        let path = session("/echo");
        post(server, &format!("{path}/xhr"), "").await;
        let sent = post(server, &format!("{path}/xhr_send"), payload).await;
        assert_eq!(sent.status, 204);
        post(server, &format!("{path}/xhr"), "").await.body
    }

    #[tokio::test]
    async fn xhr_server_encodes() {
        let plain: String = server_killers().collect();
        let escaped: String = server_killers()
            .map(|c| format!("\\u{:04x}", u32::from(c)))
            .collect();
        let received = echoed(&format!("[\"{plain}\"]")).await;
        assert_eq!(received, format!("a[\"{escaped}\"]\n"));
    }

    /// All that clients escape, and more: every character of the basic plane.
    #[tokio::test]
    async fn xhr_server_decodes() {
        let all: String = (0..=0xffff).filter_map(char::from_u32).collect();
        let escaped: String = all
            .chars()
            .map(|c| format!("\\u{:04x}", u32::from(c)))
            .collect();
        let received = echoed(&format!("[\"{escaped}\"]")).await;
        let received: Vec<String> = serde_json::from_str(&received[1..]).unwrap();
        assert_eq!(received, [all]);
    }
}

mod json_polling {
    use super::*;

    const FORM: [(&str, &str); 1] = [("Content-Type", "application/x-www-form-urlencoded")];

    async fn send(server: std::net::SocketAddr, path: &str, form: &str) -> crate::support::Reply {
        let line = format!("POST {path}/jsonp_send");
        request(server, &line, &FORM, form.as_bytes()).await
    }

    #[tokio::test]
    async fn transport() {
        let server = test_server().await;
        let path = session("/echo");
        let reply = get(server, &format!("{path}/jsonp?c=%63allback")).await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (200, "/**/callback(\"o\");\r\n")
        );
        let kind = header(&reply.headers, "content-type");
        assert_eq!(kind, "application/javascript; charset=UTF-8");
        assert_eq!(header(&reply.headers, "x-content-type-options"), "nosniff");
        verify_not_cached(&reply.headers);

        let reply = send(server, &path, "d=%5B%22x%22%5D").await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
        assert_eq!(
            header(&reply.headers, "content-type"),
            "text/plain; charset=UTF-8"
        );
        verify_not_cached(&reply.headers);

        let reply = get(server, &format!("{path}/jsonp?callback=%63allback")).await;
        assert_eq!(reply.body, "/**/callback(\"a[\\\"x\\\"]\");\r\n");
    }

    #[tokio::test]
    async fn no_or_invalid_callback() {
        let server = test_server().await;
        for transport in ["jsonp", "htmlfile"] {
            let path = format!("{}/{transport}", session("/echo"));
            let reply = get(server, &path).await;
            assert_eq!(reply.status, 500);
            assert_eq!(reply.body, "\"callback\" parameter required");
            for callback in ["%20", "*", "abc(", "abc%28"] {
                let reply = get(server, &format!("{path}?c={callback}")).await;
                assert_eq!(reply.status, 500);
                assert_eq!(reply.body, "invalid \"callback\" parameter");
            }
        }
    }

    #[tokio::test]
    async fn invalid_json() {
        let server = test_server().await;
        let path = session("/echo");
        assert_eq!(
            get(server, &format!("{path}/jsonp?c=x")).await.body,
            "/**/x(\"o\");\r\n"
        );
        let answers = [
            ("d=%5B%22x", 500, "Broken JSON encoding."),
            ("", 500, "Payload expected."),
            ("d=", 500, "Payload expected."),
            ("p=p", 500, "Payload expected."),
            ("d=%5B%22b%22%5D", 200, "ok"),
        ];
        for (form, status, body) in answers {
            let reply = send(server, &path, form).await;
            assert_eq!(
                (reply.status, reply.body.as_str()),
                (status, body),
                "{form}"
            );
        }
        let reply = get(server, &format!("{path}/jsonp?c=x")).await;
        assert_eq!(reply.body, "/**/x(\"a[\\\"b\\\"]\");\r\n");
    }

    #[tokio::test]
    async fn content_types() {
        let server = test_server().await;
        let path = session("/echo");
        post(server, &format!("{path}/xhr"), "").await;
        assert_eq!(send(server, &path, "d=%5B%22abc%22%5D").await.body, "ok");
        let line = format!("POST {path}/jsonp_send");
        let plain = [("Content-Type", "text/plain")];
        assert_eq!(
            request(server, &line, &plain, b"[\"%61bc\"]").await.body,
            "ok"
        );
        assert_eq!(receive(server, &path, 2).await, ["abc", "%61bc"]);
    }

    #[tokio::test]
    async fn close() {
        let server = test_server().await;
        let path = format!("{}/jsonp?c=x", session("/close"));
        let close = "/**/x(\"c[3000,\\\"Go away!\\\"]\");\r\n";
        for body in ["/**/x(\"o\");\r\n", close, close] {
            assert_eq!(get(server, &path).await.body, body);
        }
    }

    #[tokio::test]
    async fn sending_empty_frame() {
        let server = test_server().await;
        let path = session("/echo");
        get(server, &format!("{path}/jsonp?c=x")).await;
        assert_eq!(send(server, &path, "d=%5B%5D").await.body, "ok");
        assert_eq!(send(server, &path, "d=%5B%22x%22%5D").await.body, "ok");
        let reply = get(server, &format!("{path}/jsonp?c=x")).await;
        assert_eq!(reply.body, "/**/x(\"a[\\\"x\\\"]\");\r\n");
    }
}
