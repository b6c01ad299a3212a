//! Requests whose end two servers could see in different places are refused, and what may be hidden in them
//! reaches nobody (RFC 9112 §11.2).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use support::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The request that must not arrive, hidden in each of those below.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// Heads after the request line and `Host`, and the bodies that belong to them. `HIDDEN` follows.
const FRAMINGS: &[&str] = &[
    // A length beside a coding, both ways round.
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    // Codings that are not quite `chunked`.
    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: \0chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding:\n chunked\r\n\r\n0\r\n\r\n",
    "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ": y\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    // Lengths that are none, or more than one.
    "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "Content-Length: 0\r\nContent-Length: 39\r\n\r\n",
    "Content-Length: 39\r\nContent-Length: 0\r\n\r\n",
    "Content-Length: 0, 0\r\n\r\n",
    "Content-Length: 0,39\r\n\r\n",
    "Content-Length: +0\r\n\r\n",
    "Content-Length: -0\r\n\r\n",
    "Content-Length: -1\r\n\r\n",
    "Content-Length: 0x0\r\n\r\n",
    "Content-Length: 0 0\r\n\r\n",
    "Content-Length: 0_0\r\n\r\n",
    "Content-Length: 0.0\r\n\r\n",
    "Content-Length: 1e1\r\n\r\n",
    "Content-Length: \"0\"\r\n\r\n",
    "Content-Length:\r\n\r\n",
    "Content-Length: zero\r\n\r\n",
    "Content-Length: 18446744073709551616\r\n\r\n",
    "Content-Length: 99999999999999999999999999\r\n\r\n",
    "Content-Length : 0\r\n\r\n",
    "Content-Length\0: 0\r\n\r\n",
    "Content-Length: 0\0\r\n\r\n",
    "Content-Length: 0\x0c\r\n\r\n",
    "Content-Length:\r\n 0\r\n\r\n",
    // Lines that do not end as they must.
    "X: y\n\r\n",
    "X: y\r\n\n",
    "X: y\n\n",
    "X: y\r\r\n\r\n",
    "X: y\rZ: z\r\n\r\n",
    "X: y\r\n z\r\n\r\n",
    "X: y\r\n\tz\r\n\r\n",
    "X: \0\r\n\r\n",
    "X: \x7f\r\n\r\n",
    "X Y: z\r\n\r\n",
    // Careless chunks.
    "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n-0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n 0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\t\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0 0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\nG\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0;x\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0;x\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0;x\r0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0;\0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0x\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\r\na\r0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\r\na0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\n y\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\nX: \0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\nX y\r\n\r\n",
];

/// Whole heads. `HIDDEN` follows.
const HEADS: &[&str] = &[
    // Which host is meant?
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test b.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test/b.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test#\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: b.test@a.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a.test\r\n\r\n",
    "GET / HTTP/1.1\r\n Host: a.test\r\n\r\n",
    "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n",
    "GET http://a.test/ HTTP/1.1\r\n\r\n",
    "GET http://a.test@b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET //a.test:x HTTP/1.1\r\n\r\n",
    // Which version?
    "GET /hidden\r\n",
    "GET /hidden \r\n",
    "GET / HTTP/0.9\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.2\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/11\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n",
    "GET / http/1.1\r\nHost: a.test\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\n",
    // Where does the request line end, and what is in it?
    "\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "\rGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    " GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.1\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.1\r\r\nHost: a.test\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /  HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET\t/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET / x HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "G\0T / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /\x7f HTTP/1.1\r\nHost: a.test\r\n\r\n",
    // HTTP/1.0 knows no codings.
    "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    // The same for methods that usually have no body.
    "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: x\r\n\r\n",
    // What says that it is something else goes by the same rules.
    "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
];

/// An upstream that answers every request that has come whole, and what it has got.
async fn upstream_with_record() -> (SocketAddr, Arc<Mutex<String>>) {
    let record = Arc::new(Mutex::new(String::new()));
    let recorded = Arc::clone(&record);
    let address = upstream(move |mut wire| {
        let recorded = Arc::clone(&recorded);
        async move {
            while let Some(head) = wire.head_or_end().await {
                recorded.lock().push_str(&head);
                if header(&head, "transfer-encoding").is_some() {
                    coded_body(&mut wire).await;
                }
                let length = header(&head, "content-length").map_or(0, |n| n.parse().unwrap());
                wire.exactly(length).await;
                wire.send(&ok("there")).await;
            }
        }
    })
    .await;
    (address, record)
}

/// Reads up to the empty line after the last chunk and trailers, or to the end of a body that breaks off.
async fn coded_body(wire: &mut Wire) {
    let (mut line, mut last) = (String::new(), false);
    while !(last && line == "\r\n") {
        last |= line.starts_with('0');
        line.clear();
        if wire.stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

fn corpus() -> Vec<String> {
    let framings = FRAMINGS
        .iter()
        .map(|framing| format!("POST / HTTP/1.1\r\nHost: a.test\r\n{framing}{HIDDEN}"));
    let heads = HEADS.iter().map(|head| format!("{head}{HIDDEN}"));
    framings.chain(heads).collect()
}

/// All that comes back for `pieces`.
async fn answers(world: &World, pieces: impl Iterator<Item = &[u8]>) -> String {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        // The proxy may have closed by now.
        let _ = stream.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    let mut answers = Vec::new();
    // It may as well reset the connection, after its answer.
    let _ = patiently(stream.read_to_end(&mut answers)).await;
    String::from_utf8(answers).unwrap()
}

async fn all_are_refused(cut: impl Fn(&[u8]) -> Vec<&[u8]>) {
    let (upstream, record) = upstream_with_record().await;
    let world = World::to(upstream).await;
    for request in corpus() {
        let pieces = cut(request.as_bytes());
        let answers = answers(&world, pieces.into_iter()).await;
        let statuses: Vec<_> = answers.matches("HTTP/1.1 ").collect();
        assert_eq!(statuses.len(), 1, "{request:?} got {answers:?}");
        assert_eq!(status(&answers), 400, "{request:?} got {answers:?}");
        let head = answers.to_ascii_lowercase();
        assert!(
            head.contains("connection: close\r\n"),
            "{request:?} got {answers:?}"
        );
        assert!(!record.lock().contains("/hidden"), "{request:?}");
    }
    world.until(|stats| stats.open_connections == 0).await;
    assert_eq!(world.open(upstream), (0, 0));
}

#[tokio::test]
async fn what_is_ambiguous_gets_400_and_hides_nothing() {
    all_are_refused(|request| vec![request]).await;
}

#[tokio::test]
async fn nor_does_it_in_pieces() {
    all_are_refused(|request| request.chunks(7).collect()).await;
}

#[tokio::test]
async fn nor_does_it_behind_another_request() {
    let (upstream, record) = upstream_with_record().await;
    let world = World::to(upstream).await;
    for request in corpus() {
        let first = "POST /first HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc";
        let both = [first, &request].concat();
        let answers = answers(&world, std::iter::once(both.as_bytes())).await;
        assert!(
            answers.starts_with("HTTP/1.1 200 "),
            "{request:?} got {answers:?}"
        );
        let (_, second) = answers.split_once("there").unwrap();
        assert_eq!(status(second), 400, "{request:?} got {answers:?}");
        assert_eq!(
            second.matches("HTTP/1.1 ").count(),
            1,
            "{request:?} got {answers:?}"
        );
        assert!(!record.lock().contains("/hidden"), "{request:?}");
    }
}

#[tokio::test]
async fn what_is_not_ambiguous_is_answered() {
    let (upstream, record) = upstream_with_record().await;
    let world = World::to(upstream).await;
    for framing in [
        "\r\n",
        "Content-Length: 0\r\n\r\n",
        "Content-Length: 00005\r\n\r\na\nb\rc",
        "content-length:5\r\n\r\n\r\n\r\n0",
        "Content-Length:  \t 5 \t \r\n\r\n12345",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "TRANSFER-ENCODING: CHUNKED\r\n\r\n5\r\n\n\n\n\n\n\r\n000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n12345\r\n0 ;x=\"y\"\r\nX: y\r\n\r\n",
        "X: \r\nY:\r\nZ: ä\r\n\r\n",
    ] {
        let mut client = world.connect().await;
        for method in ["POST", "GET", "PUT"] {
            let request = format!("\r\n{method} / HTTP/1.1\r\nHost: a.test\r\n{framing}");
            let answer = client.ask(&request).await;
            assert_eq!(answer.status(), 200, "{request:?}");
        }
    }
    assert!(!record.lock().contains("/hidden"));
}
