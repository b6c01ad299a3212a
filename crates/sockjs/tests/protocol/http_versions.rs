//! The same over HTTP 1.0 and 1.1.

use crate::support::{Http, session, test_server};

const GREETING: &str = "Welcome to SockJS!\n";
const KEEP_ALIVE: [(&str, &str); 1] = [("Connection", "Keep-Alive")];

#[tokio::test]
async fn http_1_synchronous() {
    let server = test_server().await;
    for version in ["1.0", "1.1"] {
        let mut http = Http::connect(server).await;
        for _ in 0..2 {
            let head = http.ask_by(version, "GET /echo", &KEEP_ALIVE, b"").await;
            assert_eq!(head.status, 200);
            assert!(!head.headers.contains_key("transfer-encoding"));
            assert_eq!(head.headers["content-length"], "19");
            assert_eq!(http.exactly(19).await, GREETING);
        }
    }
}

#[tokio::test]
async fn http_1_0_streaming() {
    let server = test_server().await;
    let mut http = Http::connect(server).await;
    let line = format!("POST {}/xhr_streaming", session("/close"));
    let head = http.ask_by("1.0", &line, &KEEP_ALIVE, b"").await;
    assert_eq!(head.status, 200);
    assert!(!head.headers.contains_key("transfer-encoding"));
    assert!(!head.headers.contains_key("content-length"));
    let expected = "h".repeat(2048) + "\no\nc[3000,\"Go away!\"]\n";
    assert_eq!(http.rest().await, expected, "and the end of the connection");
}

#[tokio::test]
async fn http_1_1_streaming() {
    let server = test_server().await;
    let mut http = Http::connect(server).await;
    let line = format!("POST {}/xhr_streaming", session("/close"));
    let head = http.ask(&line, &KEEP_ALIVE, b"").await;
    assert_eq!(head.status, 200);
    assert_eq!(head.headers["transfer-encoding"], "chunked");
    assert!(!head.headers.contains_key("content-length"));
    assert!(http.chunk().await.unwrap().starts_with('h'));
    assert_eq!(http.chunk().await.unwrap(), "o\n");
    assert_eq!(http.chunk().await.unwrap(), "c[3000,\"Go away!\"]\n");
    assert_eq!(http.chunk().await, None);
    let head = http.ask("GET /echo", &[], b"").await;
    assert_eq!(http.body(&head).await, GREETING, "the connection goes on");
}
