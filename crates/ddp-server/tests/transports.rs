//! The ways on which clients come: Meteor's own answers, and conversations over SockJS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;

use bytes::Bytes;
use ddp_server::{Config, Transports};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use support::{Client, Frame, Running, soon};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

/// What these say depends on the time, or on who serves HTTP.
const UNSTABLE_HEADERS: [&str; 5] = [
    "connection",
    "date",
    "expires",
    "keep-alive",
    "transfer-encoding",
];

fn recording(name: &str) -> Vec<Value> {
    let path = format!(
        "{}/tests/recordings/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["messages"].as_array().unwrap().clone()
}

async fn ask(address: SocketAddr, request: Request<Full<Bytes>>) -> Response<String> {
    let socket = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let response = soon("an answer", sender.send_request(request))
        .await
        .unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, String::from_utf8(body.to_vec()).unwrap())
}

/// A request such as `POST /websocket`.
fn request(line: &str, headers: &Value, body: &str) -> Request<Full<Bytes>> {
    let (method, path) = line.split_once(' ').unwrap();
    let builder = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "test");
    let headers = headers.as_object().into_iter().flatten();
    let builder = headers.fold(builder, |builder, (name, value)| {
        builder.header(name, value.as_str().unwrap())
    });
    builder.body(Full::from(body.to_owned())).unwrap()
}

/// A body without what is random in it.
fn stable(body: &str) -> String {
    let entropy = body
        .find("\"entropy\":")
        .map(|at| at + "\"entropy\":".len());
    let session = body
        .find("session\\\":\\\"")
        .map(|at| at + "session\\\":\\\"".len());
    match (entropy, session) {
        (Some(at), _) => format!("{}…", &body[..at]),
        (_, Some(at)) => format!("{}…{}", &body[..at], &body[at + 17..]),
        _ => body.to_owned(),
    }
}

#[tokio::test]
async fn http_is_answered_as_meteor_does() {
    let running = Running::test_service(Config::default()).await;
    let steps = recording("sockjs-http-endpoints");
    assert!(steps.len() > 30);
    for pair in steps.chunks(2) {
        let (asked, expected) = (&pair[0]["msg"], &pair[1]["msg"]);
        let line = asked["http"].as_str().unwrap();
        let body = asked["body"].as_str().unwrap_or_default();
        let answer = ask(running.address, request(line, &asked["headers"], body)).await;
        assert_eq!(answer.status().as_u16(), expected["status"], "{line}");
        for (name, value) in expected["headers"].as_object().unwrap() {
            if !UNSTABLE_HEADERS.contains(&name.as_str()) {
                let ours = answer
                    .headers()
                    .get(name)
                    .map(|value| value.to_str().unwrap());
                assert_eq!(ours, value.as_str(), "{name} of {line}");
            }
        }
        let expected = stable(expected["body"].as_str().unwrap());
        let ours = stable(answer.body());
        // the recording has only the begin of the page
        let page = line.contains("iframe") && ours.starts_with(&expected);
        assert!(
            page || ours == expected,
            "{line}: {ours} instead of {expected}"
        );
    }
}

#[tokio::test]
async fn websockets_are_opened_on_the_same_paths_as_with_meteor() {
    let running = Running::test_service(Config::default()).await;
    let steps = recording("websocket-path-variants");
    for pair in steps.windows(2) {
        let Some(path) = pair[0]["msg"]["upgrade"].as_str() else {
            continue;
        };
        let opened = Client::open(running.address, path, &[]).await;
        if pair[1]["msg"]["open"] == true {
            let (_, response) = opened.unwrap();
            assert_eq!(pair[1]["msg"]["protocol"], "", "{path}");
            assert!(!response.headers().contains_key("sec-websocket-protocol"));
        } else {
            // Meteor leaves the socket open without an answer
            let Err(tungstenite::Error::Http(response)) = opened else {
                panic!("{path} was opened");
            };
            assert_eq!(response.status(), 404);
        }
    }
}

#[tokio::test]
async fn neither_a_subprotocol_nor_compression_is_selected() {
    let running = Running::test_service(Config::default()).await;
    let steps = recording("subprotocol-and-deflate");
    for step in steps.iter().filter(|step| step["dir"] == "send") {
        let mut offers = vec![("sec-websocket-extensions", "permessage-deflate")];
        let protocols = step["msg"]["protos"].as_array().unwrap();
        let protocol = protocols.first().and_then(Value::as_str);
        offers.extend(protocol.map(|protocol| ("sec-websocket-protocol", protocol)));
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        let head = raw_handshake(&mut socket, &offers).await.to_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(!head.contains("sec-websocket-protocol"), "{head}");
        assert!(!head.contains("sec-websocket-extensions"), "{head}");
    }
}

/// The head of the answer to an upgrade, by hand: clients refuse an answer that selects nothing.
async fn raw_handshake(socket: &mut TcpStream, headers: &[(&str, &str)]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let offers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let request = format!(
        "GET /websocket HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offers}\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A text of a client of SockJS.
fn framed(messages: &[Value]) -> Message {
    let texts: Vec<String> = messages.iter().map(Value::to_string).collect();
    Message::text(serde_json::to_string(&texts).unwrap())
}

fn connect() -> Value {
    json!({ "msg": "connect", "version": "1", "support": ["1"] })
}

async fn text(client: &mut Client) -> String {
    let message = soon("a frame", client.0.next()).await.unwrap().unwrap();
    message.into_text().unwrap().to_string()
}

/// The message in a frame of SockJS.
fn unframed(frame: &str) -> Value {
    let texts: Vec<String> = serde_json::from_str(frame.strip_prefix('a').unwrap()).unwrap();
    assert_eq!(texts.len(), 1, "each message has its own frame");
    serde_json::from_str(&texts[0]).unwrap()
}

async fn sockjs(running: &Running) -> Client {
    let path = "/sockjs/123/abcdefgh/websocket";
    let (mut client, _) = Client::open(running.address, path, &[]).await.unwrap();
    assert_eq!(text(&mut client).await, "o");
    client.0.send(framed(&[connect()])).await.unwrap();
    assert_eq!(unframed(&text(&mut client).await)["msg"], "connected");
    client
}

#[tokio::test]
async fn a_browser_speaks_sockjs_over_a_websocket() {
    let running = Running::test_service(Config::default()).await;
    let mut client = sockjs(&running).await;
    let ping = |id: &str| json!({ "msg": "ping", "id": id });
    client
        .0
        .send(framed(&[ping("a"), ping("b")]))
        .await
        .unwrap();
    assert_eq!(unframed(&text(&mut client).await)["id"], "a");
    assert_eq!(unframed(&text(&mut client).await)["id"], "b");
    let alone = Message::text(json!(ping("c").to_string()).to_string());
    client.0.send(alone).await.unwrap();
    assert_eq!(unframed(&text(&mut client).await)["id"], "c");
}

#[tokio::test]
async fn a_change_reaches_clients_of_every_transport() {
    let running = Running::test_service(Config::default()).await;
    let mut raw = running.connected().await;
    raw.subscribe("ticker").await;
    let mut framed_client = sockjs(&running).await;
    let sub = json!({ "msg": "sub", "id": "s", "name": "ticker" });
    framed_client
        .0
        .send(framed(std::slice::from_ref(&sub)))
        .await
        .unwrap();
    while unframed(&text(&mut framed_client).await)["msg"] != "ready" {}
    let polling = Polling::open(&running, "/sockjs/0/polling").await;
    polling.send(&[sub]).await;
    while !polling.poll().await.contains("ready") {}

    raw.send(&json!({ "msg": "method", "id": "m", "method": "tick", "params": [7] }))
        .await;
    let messages = raw.recv_until("result").await;
    let changed = messages
        .iter()
        .find(|message| message["msg"] == "changed")
        .unwrap();
    assert_eq!(changed["fields"]["v"], 7);
    assert_eq!(unframed(&text(&mut framed_client).await), *changed);
    let polled = polling.poll().await;
    assert_eq!(unframed(polled.trim_end()), *changed);
}

/// A client that asks again and again.
struct Polling {
    address: SocketAddr,
    path: &'static str,
}

impl Polling {
    async fn open(running: &Running, path: &'static str) -> Self {
        let polling = Self {
            address: running.address,
            path,
        };
        assert_eq!(polling.poll().await, "o\n");
        polling.send(&[connect()]).await;
        assert!(polling.poll().await.contains("connected"));
        polling
    }

    async fn post(&self, what: &str, body: String) -> Response<String> {
        let line = format!("POST {}/{what}", self.path);
        ask(self.address, request(&line, &Value::Null, &body)).await
    }

    async fn poll(&self) -> String {
        self.post("xhr", String::new()).await.into_body()
    }

    async fn send(&self, messages: &[Value]) {
        let body = framed(messages).into_text().unwrap().to_string();
        assert_eq!(self.post("xhr_send", body).await.status(), 204);
    }
}

#[tokio::test]
async fn the_end_of_a_session_is_told_on_every_transport() {
    let running = Running::test_service(Config::default()).await;
    let close = json!({ "msg": "method", "id": "m", "method": "closeMe" });
    let mut client = sockjs(&running).await;
    client
        .0
        .send(framed(std::slice::from_ref(&close)))
        .await
        .unwrap();
    assert_eq!(text(&mut client).await, r#"c[1000,"Normal closure"]"#);
    assert_eq!(client.next().await, Frame::Closed(Some(1000)));

    let polling = Polling::open(&running, "/sockjs/0/closed").await;
    polling.send(&[close]).await;
    assert_eq!(polling.poll().await, "c[1000,\"Normal closure\"]\n");
}

#[tokio::test]
async fn what_is_no_frame_of_sockjs_closes_with_3000() {
    let running = Running::test_service(Config::default()).await;
    let mut client = sockjs(&running).await;
    client.send_text("[\"broken".to_owned()).await;
    let closed = soon("the close", client.0.next()).await.unwrap().unwrap();
    let Message::Close(Some(CloseFrame { code, reason })) = closed else {
        panic!("{closed:?} instead of a close");
    };
    assert_eq!(
        (u16::from(code), reason.as_str()),
        (3000, "Broken framing.")
    );
}

#[tokio::test]
async fn transports_are_configured_as_in_meteor() {
    let transports = Transports {
        path_prefix: "/app".to_owned(),
        websockets: false,
        sockjs_cors: false,
        iframes: false,
        jsessionid: true,
        ..Transports::default()
    };
    let config = Config {
        transports,
        ..Config::default()
    };
    let running = Running::test_service(config).await;
    let info = ask(
        running.address,
        request("GET /app/sockjs/info", &Value::Null, ""),
    )
    .await;
    assert!(!info.headers().contains_key("access-control-allow-origin"));
    let info: Value = serde_json::from_str(info.body()).unwrap();
    assert_eq!(info["websocket"], false);
    assert_eq!(info["cookie_needed"], true);
    assert_eq!(info.get("origins"), None);
    let page = request("GET /app/sockjs/iframe.html", &Value::Null, "");
    assert_eq!(ask(running.address, page).await.status(), 404);
    let xhr = ask(
        running.address,
        request("POST /app/sockjs/0/1/xhr", &Value::Null, ""),
    )
    .await;
    assert_eq!(xhr.headers()["set-cookie"], "JSESSIONID=dummy; path=/");
    for path in [
        "/websocket",
        "/app/websocket",
        "/app/sockjs/websocket",
        "/app/sockjs/1/2/websocket",
    ] {
        let Err(tungstenite::Error::Http(response)) =
            Client::open(running.address, path, &[]).await
        else {
            panic!("{path} was opened");
        };
        assert_eq!(response.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_shutdown_ends_sessions_of_every_transport() {
    let running = Running::test_service(Config::default()).await;
    let mut client = sockjs(&running).await;
    let polling = Polling::open(&running, "/sockjs/0/shutdown").await;
    let told = async {
        let (framed, polled) = tokio::join!(text(&mut client), polling.poll());
        assert_eq!(framed, r#"c[1000,"Normal closure"]"#);
        assert_eq!(polled, "c[1000,\"Normal closure\"]\n");
        assert_eq!(client.next().await, Frame::Closed(Some(1000)));
    };
    let server = running.server.clone();
    soon("the end of all sessions", async {
        tokio::join!(server.shutdown(), told)
    })
    .await;
}
