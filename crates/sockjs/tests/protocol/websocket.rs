//! WebSockets, with SockJS's frames and without.

use crate::support::{Http, WebSocket, get, request, session, stream, test_server};
use crate::verify_405;

mod websocket_http_errors {
    use super::*;

    #[tokio::test]
    async fn http_method() {
        let server = test_server().await;
        for path in ["/echo/0/0/websocket", "/echo/websocket"] {
            let reply = get(server, path).await;
            assert_eq!(
                (reply.status, reply.body.as_str()),
                (400, "Not a valid websocket request")
            );
        }
    }

    #[tokio::test]
    async fn invalid_connection_header() {
        let server = test_server().await;
        let headers = [("Upgrade", "WebSocket"), ("Connection", "close")];
        let reply = request(server, "GET /echo/0/0/websocket", &headers, b"").await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (400, "Not a valid websocket request")
        );
    }

    #[tokio::test]
    async fn invalid_method() {
        let server = test_server().await;
        let upgrade = [("Upgrade", "WebSocket"), ("Connection", "Upgrade")];
        for headers in [&upgrade[..], &[]] {
            verify_405(&request(server, "POST /echo/0/0/websocket", headers, b"").await);
        }
    }

    #[tokio::test]
    async fn a_disabled_one_is_not_found() {
        let server = test_server().await;
        for path in [
            "/disabled_websocket_echo/0/0/websocket",
            "/disabled_websocket_echo/websocket",
        ] {
            assert_eq!(get(server, path).await.status, 404);
        }
    }
}

mod framed {
    use super::*;

    #[tokio::test]
    async fn transport() {
        let server = test_server().await;
        let mut socket = WebSocket::connect(server, &(session("/echo") + "/websocket")).await;
        assert_eq!(socket.text().await, "o");
        socket.send(r#"["a"]"#).await;
        assert_eq!(socket.text().await, r#"a["a"]"#);
        socket.send(r#""a""#).await;
        assert_eq!(socket.text().await, r#"a["a"]"#);
    }

    #[tokio::test]
    async fn close() {
        let server = test_server().await;
        let mut socket = WebSocket::connect(server, &(session("/close") + "/websocket")).await;
        assert_eq!(socket.text().await, "o");
        assert_eq!(socket.text().await, r#"c[3000,"Go away!"]"#);
        assert_eq!(socket.closed().await, (1000, "Normal closure".to_owned()));
    }

    #[tokio::test]
    async fn headers_sanity() {
        let server = test_server().await;
        for (version, connection) in [
            ("13", "Upgrade"),
            ("8", "upgrade"),
            ("7", "keep-alive, Upgrade"),
        ] {
            let headers = [
                ("Upgrade", "websocket"),
                ("Connection", connection),
                ("Sec-WebSocket-Version", version),
                ("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw=="),
            ];
            let line = format!("GET {}/websocket", session("/echo"));
            let head = Http::connect(server).await.ask(&line, &headers, b"").await;
            assert_eq!(head.status, 101);
            assert_eq!(
                head.headers["sec-websocket-accept"],
                "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
            );
            assert!(
                head.headers["connection"]
                    .to_str()
                    .unwrap()
                    .eq_ignore_ascii_case("upgrade")
            );
            assert_eq!(head.headers["upgrade"], "websocket");
            assert!(!head.headers.contains_key("content-length"));
        }
    }

    #[tokio::test]
    async fn empty_frame() {
        let server = test_server().await;
        let mut socket = WebSocket::connect(server, &(session("/echo") + "/websocket")).await;
        assert_eq!(socket.text().await, "o");
        for text in ["", "[]", r#"["a"]"#] {
            socket.send(text).await;
        }
        assert_eq!(socket.text().await, r#"a["a"]"#);
    }

    #[tokio::test]
    async fn reuse_session_id() {
        let server = test_server().await;
        let path = session("/echo") + "/websocket";
        let mut one = WebSocket::connect(server, &path).await;
        let mut two = WebSocket::connect(server, &path).await;
        for (socket, text) in [(&mut one, r#"["a"]"#), (&mut two, r#"["b"]"#)] {
            assert_eq!(socket.text().await, "o");
            socket.send(text).await;
            assert_eq!(socket.text().await, format!("a{text}"));
        }
        drop((one, two));
        let mut again = WebSocket::connect(server, &path).await;
        assert_eq!(again.text().await, "o");
    }

    #[tokio::test]
    async fn broken_json() {
        let server = test_server().await;
        let mut socket = WebSocket::connect(server, &(session("/echo") + "/websocket")).await;
        assert_eq!(socket.text().await, "o");
        socket.send(r#"["a"#).await;
        assert_eq!(socket.closed().await, (3000, "Broken framing.".to_owned()));
    }
}

mod raw_websocket {
    use super::*;

    #[tokio::test]
    async fn transport() {
        let server = test_server().await;
        let mut socket = WebSocket::connect(server, "/echo/websocket").await;
        socket.send("Hello world!\u{ffff}").await;
        assert_eq!(socket.text().await, "Hello world!\u{ffff}");
        socket.send("").await;
        assert_eq!(socket.text().await, "");
    }

    #[tokio::test]
    async fn close() {
        let server = test_server().await;
        let mut socket = WebSocket::connect(server, "/close/websocket").await;
        assert_eq!(socket.closed().await, (3000, "Go away!".to_owned()));
    }
}

#[tokio::test]
async fn a_get_of_a_session_is_not_a_post() {
    let server = test_server().await;
    let (_, head) = stream(server, "GET /echo/0/0/xhr").await;
    assert_eq!(head.status, 405);
    assert_eq!(head.headers["allow"], "POST, OPTIONS");
}
