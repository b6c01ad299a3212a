//! The transports with one long response.

use crate::support::{post, session, stream, test_server, xhr_stream};
use crate::{header, verify_cors, verify_not_cached, verify_options};

async fn send(server: std::net::SocketAddr, path: &str, payload: &str) {
    let reply = post(server, &format!("{path}/xhr_send"), payload).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
}

mod xhr_streaming {
    use super::*;

    #[tokio::test]
    async fn options() {
        let server = test_server().await;
        verify_options(server, "/echo/abc/abc/xhr_streaming", "OPTIONS, POST").await;
    }

    #[tokio::test]
    async fn transport() {
        let server = test_server().await;
        let path = session("/echo");
        let (mut response, head) = stream(server, &format!("POST {path}/xhr_streaming")).await;
        assert_eq!(head.status, 200);
        let kind = header(&head.headers, "content-type");
        assert_eq!(kind, "application/javascript; charset=UTF-8");
        verify_cors(&head.headers, None);
        verify_not_cached(&head.headers);
        assert_eq!(response.chunk().await.unwrap(), "h".repeat(2048) + "\n");
        assert_eq!(response.chunk().await.unwrap(), "o\n");
        send(server, &path, r#"["x"]"#).await;
        assert_eq!(response.chunk().await.unwrap(), "a[\"x\"]\n");
    }

    #[tokio::test]
    async fn response_limit() {
        let server = test_server().await;
        let path = session("/echo");
        let mut response = xhr_stream(server, &path).await;
        assert_eq!(response.chunk().await.unwrap(), "o\n");
        let message = format!("[\"{}\"]", "x".repeat(128));
        for _ in 0..31 {
            send(server, &path, &message).await;
            assert_eq!(response.chunk().await.unwrap(), format!("a{message}\n"));
        }
        assert_eq!(response.chunk().await, None);
        send(server, &path, &message).await;
        let mut next = xhr_stream(server, &path).await;
        assert_eq!(
            next.chunk().await.unwrap(),
            format!("a{message}\n"),
            "it goes on"
        );
    }
}

mod event_source {
    use super::*;

    #[tokio::test]
    async fn transport() {
        let server = test_server().await;
        let path = session("/echo");
        let (mut response, head) = stream(server, &format!("GET {path}/eventsource")).await;
        assert_eq!(head.status, 200);
        assert_eq!(header(&head.headers, "content-type"), "text/event-stream");
        verify_cors(&head.headers, None);
        verify_not_cached(&head.headers);
        assert_eq!(response.chunk().await.unwrap(), "\r\n");
        assert_eq!(response.chunk().await.unwrap(), "data: o\r\n\r\n");
        send(server, &path, r#"["x"]"#).await;
        assert_eq!(response.chunk().await.unwrap(), "data: a[\"x\"]\r\n\r\n");
        send(server, &path, r#"["  \u0000\n\r "]"#).await;
        let escaped = "data: a[\"  \\u0000\\n\\r \"]\r\n\r\n";
        assert_eq!(response.chunk().await.unwrap(), escaped);
    }

    #[tokio::test]
    async fn response_limit() {
        let server = test_server().await;
        let path = session("/echo");
        let (mut response, _) = stream(server, &format!("GET {path}/eventsource")).await;
        assert_eq!(response.chunk().await.unwrap(), "\r\n");
        assert_eq!(response.chunk().await.unwrap(), "data: o\r\n\r\n");
        let message = format!("[\"{}\"]", "x".repeat(4096));
        send(server, &path, &message).await;
        assert_eq!(
            response.chunk().await.unwrap(),
            format!("data: a{message}\r\n\r\n")
        );
        assert_eq!(response.chunk().await, None);
    }
}

mod html_file {
    use super::*;

    const HEAD: &str = "<!doctype html>\n<html><head>\n  \
        <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n  \
        <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\" />\n\
        </head><body><h2>Don't panic!</h2>\n  <script>\n    \
        document.domain = document.domain;\n    var c = parent.callback;\n    c.start();\n    \
        function p(d) {c.message(d);};\n    window.onload = function() {c.stop();};\n  </script>";

    #[tokio::test]
    async fn transport() {
        let server = test_server().await;
        let path = session("/echo");
        let line = format!("GET {path}/htmlfile?c=%63allback");
        let (mut response, head) = stream(server, &line).await;
        assert_eq!(head.status, 200);
        assert_eq!(
            header(&head.headers, "content-type"),
            "text/html; charset=UTF-8"
        );
        verify_not_cached(&head.headers);
        let prelude = response.chunk().await.unwrap();
        assert_eq!(prelude.trim(), HEAD);
        assert!(prelude.len() > 1024);
        let opened = "<script>\np(\"o\");\n</script>\r\n";
        assert_eq!(response.chunk().await.unwrap(), opened);
        send(server, &path, r#"["x"]"#).await;
        let message = "<script>\np(\"a[\\\"x\\\"]\");\n</script>\r\n";
        assert_eq!(response.chunk().await.unwrap(), message);
    }

    #[tokio::test]
    async fn response_limit() {
        let server = test_server().await;
        let path = session("/echo");
        let (mut response, _) = stream(server, &format!("GET {path}/htmlfile?c=x")).await;
        response.chunk().await.unwrap();
        response.chunk().await.unwrap();
        let text = "x".repeat(4096);
        send(server, &path, &format!("[\"{text}\"]")).await;
        let message = format!("<script>\np(\"a[\\\"{text}\\\"]\");\n</script>\r\n");
        assert_eq!(response.chunk().await.unwrap(), message);
        assert_eq!(response.chunk().await, None);
    }
}
