//! Greeting, iframe page, info, and which paths are sessions.

use crate::support::{get, post, request, session, test_server};
use crate::{header, verify_cached, verify_cors, verify_not_cached, verify_options};

mod base_url_greeting {
    use super::*;

    #[tokio::test]
    async fn greeting() {
        let server = test_server().await;
        for path in ["/echo", "/echo/"] {
            let reply = get(server, path).await;
            assert_eq!(
                (reply.status, reply.body.as_str()),
                (200, "Welcome to SockJS!\n")
            );
            assert_eq!(
                header(&reply.headers, "content-type"),
                "text/plain; charset=UTF-8"
            );
            assert_eq!(header(&reply.headers, "set-cookie"), "");
        }
    }

    #[tokio::test]
    async fn not_found() {
        let server = test_server().await;
        for suffix in ["/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/"] {
            let reply = get(server, &format!("/echo{suffix}")).await;
            assert_eq!(reply.status, 404, "{suffix}");
            assert_eq!(reply.body, "404 Error: Page not found\n");
        }
        assert_eq!(
            get(server, "/echoes").await.status,
            418,
            "is not below the prefix"
        );
    }
}

mod iframe_page {
    use super::*;

    const BEFORE_URL: &str = "<!DOCTYPE html>\n<html>\n<head>\n  \
        <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n  \
        <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\" />\n  \
        <script src=\"http";
    const AFTER_URL: &str = "\"></script>\n  <script>\n    \
        document.domain = document.domain;\n    SockJS.bootstrap_iframe();\n  </script>\n\
        </head>\n<body>\n  <h2>Don't panic!</h2>\n  \
        <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>\n\
        </body>\n</html>";

    #[tokio::test]
    async fn simple_versioned_and_queried_url() {
        let server = test_server().await;
        let suffixes = ["", "-a", "-", "-0.1.2", "-0.1.2abc-dirty.2144"];
        for path in suffixes.map(|suffix| format!("/echo/iframe{suffix}.html")) {
            for path in [path.clone(), path + "?t=1234"] {
                let reply = get(server, &path).await;
                assert_eq!(reply.status, 200, "{path}");
                assert_eq!(
                    header(&reply.headers, "content-type"),
                    "text/html; charset=UTF-8"
                );
                verify_cached(&reply.headers);
                assert!(reply.headers.contains_key("etag"));
                assert!(!reply.headers.contains_key("last-modified"));
                assert_eq!(header(&reply.headers, "set-cookie"), "");
                assert!(reply.body.starts_with(BEFORE_URL) && reply.body.ends_with(AFTER_URL));
            }
        }
    }

    #[tokio::test]
    async fn invalid_url() {
        let server = test_server().await;
        let pages = [
            "iframe.htm",
            "iframe",
            "IFRAME.HTML",
            "IFRAME",
            "iframe.HTML",
        ];
        for page in pages.into_iter().chain(["iframe.xml", "iframe-/.html"]) {
            let reply = get(server, &format!("/echo/{page}")).await;
            assert_eq!(reply.status, 404, "{page}");
        }
    }

    #[tokio::test]
    async fn cacheability() {
        let server = test_server().await;
        let first = get(server, "/echo/iframe.html").await;
        let etag = header(&first.headers, "etag");
        let known = [("If-None-Match", etag)];
        let again = request(server, "GET /echo/iframe.html", &known, b"").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        assert_eq!(header(&again.headers, "content-type"), "");
    }
}

mod info_test {
    use super::*;

    async fn info(server: std::net::SocketAddr, service: &str) -> serde_json::Value {
        let reply = get(server, &format!("{service}/info")).await;
        serde_json::from_str(&reply.body).unwrap()
    }

    #[tokio::test]
    async fn basic() {
        let server = test_server().await;
        let reply = request(server, "GET /echo/info", &[("Origin", "test")], b"").await;
        assert_eq!(reply.status, 200);
        let kind = header(&reply.headers, "content-type");
        assert_eq!(kind, "application/json; charset=UTF-8");
        assert_eq!(header(&reply.headers, "set-cookie"), "");
        verify_not_cached(&reply.headers);
        verify_cors(&reply.headers, Some("test"));
        let start = r#"{"websocket":true,"origins":["*:*"],"cookie_needed":false,"entropy":"#;
        assert!(reply.body.starts_with(start), "{}", reply.body);
    }

    #[tokio::test]
    async fn entropy() {
        let server = test_server().await;
        let first = info(server, "/echo").await["entropy"].as_u64().unwrap();
        let second = info(server, "/echo").await["entropy"].as_u64().unwrap();
        assert_ne!(first, second);
        assert!(first < 1 << 32);
    }

    #[tokio::test]
    async fn options() {
        verify_options(test_server().await, "/echo/info", "OPTIONS, GET").await;
    }

    #[tokio::test]
    async fn disabled_websocket() {
        let server = test_server().await;
        let disabled = info(server, "/disabled_websocket_echo").await;
        assert_eq!(disabled["websocket"], false);
    }
}

mod session_urls {
    use super::*;

    #[tokio::test]
    async fn any_value() {
        let server = test_server().await;
        for part in ["/a/a", "/_/_", "/1/1", "/abcdefgh_i-j%20/abcdefg_i-j%20"] {
            let reply = post(server, &format!("/echo{part}/xhr"), "").await;
            assert_eq!((reply.status, reply.body.as_str()), (200, "o\n"), "{part}");
        }
    }

    #[tokio::test]
    async fn invalid_paths() {
        let server = test_server().await;
        for part in ["//", "/a./a", "/a/a.", "/./.", "/", "///"] {
            let path = format!("/echo{part}/xhr");
            assert_eq!(get(server, &path).await.status, 404, "{path}");
            assert_eq!(post(server, &path, "").await.status, 404, "{path}");
        }
    }

    #[tokio::test]
    async fn ignoring_server_id() {
        let server = test_server().await;
        let path = session("/echo");
        assert_eq!(post(server, &format!("{path}/xhr"), "").await.body, "o\n");
        let sent = post(server, &format!("{path}/xhr_send"), r#"["a"]"#).await;
        assert_eq!((sent.status, sent.body.as_str()), (204, ""));
        let other = path.replace("/000/", "/999/");
        let reply = post(server, &format!("{other}/xhr"), "").await;
        assert_eq!(reply.body, "a[\"a\"]\n");
    }
}

mod jsessionid_cookie {
    use super::*;
    use crate::support::stream;

    #[tokio::test]
    async fn basic() {
        let server = test_server().await;
        let reply = get(server, "/cookie_needed_echo/info").await;
        assert_eq!(header(&reply.headers, "set-cookie"), "");
        assert!(reply.body.contains(r#""cookie_needed":true"#));
    }

    #[tokio::test]
    async fn xhr() {
        let server = test_server().await;
        let line = || format!("POST {}/xhr", session("/cookie_needed_echo"));
        let reply = request(server, &line(), &[], b"").await;
        assert_eq!(reply.body, "o\n");
        assert_eq!(
            header(&reply.headers, "set-cookie"),
            "JSESSIONID=dummy; path=/"
        );
        let given = [("Cookie", "JSESSIONID=abcdef")];
        let reply = request(server, &line(), &given, b"").await;
        assert_eq!(
            header(&reply.headers, "set-cookie"),
            "JSESSIONID=abcdef; path=/"
        );
    }

    #[tokio::test]
    async fn xhr_streaming_eventsource_htmlfile_and_jsonp() {
        let server = test_server().await;
        let requests = [
            ("POST", "xhr_streaming"),
            ("GET", "eventsource"),
            ("GET", "htmlfile?c=%63allback"),
            ("GET", "jsonp?c=%63allback"),
        ];
        for (method, transport) in requests {
            let path = session("/cookie_needed_echo");
            let (_response, head) = stream(server, &format!("{method} {path}/{transport}")).await;
            assert_eq!(head.status, 200, "{transport}");
            let cookie = header(&head.headers, "set-cookie");
            assert_eq!(cookie, "JSESSIONID=dummy; path=/", "{transport}");
        }
    }

    #[tokio::test]
    async fn jsonp_send() {
        let server = test_server().await;
        let path = session("/cookie_needed_echo");
        get(server, &format!("{path}/jsonp?c=x")).await;
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let line = format!("POST {path}/jsonp_send");
        let reply = request(server, &line, &form, b"d=%5B%22x%22%5D").await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
        assert_eq!(
            header(&reply.headers, "set-cookie"),
            "JSESSIONID=dummy; path=/"
        );
    }
}
