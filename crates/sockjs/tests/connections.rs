//! What an application sees of its connections, and what limits them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::once;
use futures_util::{SinkExt, StreamExt as _};
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use sockjs::{Builder, Connection, Endpoint, SendError, SockJs, Transport};
use support::{Http, PATIENCE, WebSocket, get, post, request, serve, session, stream, xhr_stream};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// A server whose connections are handed to the test.
async fn server(
    configure: impl FnOnce(Builder) -> Builder,
) -> (std::net::SocketAddr, mpsc::UnboundedReceiver<Connection>) {
    let (given, connections) = mpsc::unbounded_channel();
    let builder = SockJs::builder("/s").disconnect_delay(PATIENCE);
    let service = configure(builder).build(move |connection| {
        let given = given.clone();
        async move {
            given.send(connection).unwrap();
        }
    });
    (serve(vec![service]).await, connections)
}

async fn waits(mut answer: Pin<&mut impl Future>) -> bool {
    poll_fn(|context| Poll::Ready(answer.as_mut().poll(context).is_pending())).await
}

async fn must_wait(connection: &mut Connection) -> bool {
    poll_fn(|context| Poll::Ready(connection.poll_ready(context).is_pending())).await
}

#[tokio::test]
async fn it_knows_where_it_comes_from() {
    let (server, mut connections) = server(|builder| builder).await;
    let transports = [
        ("POST", "xhr", Transport::XhrPolling, "xhr-polling"),
        (
            "POST",
            "xhr_streaming",
            Transport::XhrStreaming,
            "xhr-streaming",
        ),
        ("GET", "eventsource", Transport::EventSource, "eventsource"),
        ("GET", "htmlfile?c=x", Transport::HtmlFile, "htmlfile"),
        ("GET", "jsonp?c=x", Transport::JsonpPolling, "jsonp-polling"),
    ];
    for (index, (method, path, transport, name)) in transports.into_iter().enumerate() {
        let line = format!("{method} {}/{path}", session("/s"));
        let mut http = Http::connect(server).await;
        http.ask(&line, &[("X-Forwarded-For", "10.0.0.1")], b"")
            .await;
        let mut connection = connections.recv().await.unwrap();
        assert_eq!(connection.id(), index as u64);
        assert_eq!(connection.transport(), transport);
        assert_eq!(connection.transport().name(), name);
        assert!(connection.peer().ip().is_loopback());
        assert_eq!(connection.headers()["x-forwarded-for"], "10.0.0.1");
        assert_eq!(connection.take_headers()["host"], "test");
        assert!(connection.headers().is_empty());
    }
    let paths = [
        (
            session("/s") + "/websocket",
            Transport::WebSocket,
            "websocket",
        ),
        (
            "/s/websocket".to_owned(),
            Transport::RawWebSocket,
            "websocket-raw",
        ),
    ];
    for (path, transport, name) in paths {
        let _socket = WebSocket::connect(server, &path).await;
        let connection = connections.recv().await.unwrap();
        assert_eq!(connection.transport(), transport);
        assert_eq!(connection.transport().name(), name);
        assert_eq!(connection.headers()["upgrade"], "websocket");
    }
}

#[tokio::test]
async fn a_dropped_connection_is_closed_after_what_was_said() {
    let (server, mut connections) = server(|builder| builder).await;
    let path = session("/s") + "/xhr";
    assert_eq!(post(server, &path, "").await.body, "o\n");
    let mut connection = connections.recv().await.unwrap();
    connection.send("last words").await.unwrap();
    drop(connection);
    assert_eq!(post(server, &path, "").await.body, "a[\"last words\"]\n");
    assert_eq!(
        post(server, &path, "").await.body,
        "c[1000,\"Normal closure\"]\n"
    );

    let mut socket = WebSocket::connect(server, "/s/websocket").await;
    let mut connection = connections.recv().await.unwrap();
    connection.send("last words").await.unwrap();
    SinkExt::<String>::close(&mut connection).await.unwrap();
    assert_eq!(socket.text().await, "last words");
    assert_eq!(socket.closed().await, (1000, "Normal closure".to_owned()));
    assert_eq!(connection.start_send("more"), Err(SendError::Closed));
    assert_eq!(connection.next().await, None);
}

#[tokio::test]
async fn messages_wait_and_go_together() {
    let (server, mut connections) = server(|builder| builder).await;
    let path = session("/s") + "/xhr";
    post(server, &path, "").await;
    let mut connection = connections.recv().await.unwrap();
    for text in ["a", "b", "c"] {
        connection.start_send(text).unwrap();
    }
    assert_eq!(connection.queued_bytes(), 3 * 33);
    assert_eq!(post(server, &path, "").await.body, "a[\"a\",\"b\",\"c\"]\n");
    poll_fn(|context| connection.poll_drained(context))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_waiting_poll_is_answered_by_the_first_message() {
    let (server, mut connections) = server(|builder| builder).await;
    let path = session("/s") + "/xhr";
    post(server, &path, "").await;
    let mut connection = connections.recv().await.unwrap();
    let (mut waiting, head) = stream(server, &format!("POST {path}")).await;
    connection.send("now").await.unwrap();
    assert_eq!(waiting.body(&head).await, "a[\"now\"]\n");
}

#[tokio::test]
async fn who_sends_to_a_client_that_does_not_read_has_to_wait() {
    let (server, mut connections) = server(|builder| builder.max_queued_bytes(100)).await;
    let path = session("/s") + "/xhr";
    post(server, &path, "").await;
    let mut connection = connections.recv().await.unwrap();
    connection.send("x".repeat(100)).await.unwrap();
    assert_eq!(connection.start_send("more"), Err(SendError::Full));
    assert!(must_wait(&mut connection).await);
    let sending = tokio::spawn(async move {
        connection.send("more").await.unwrap();
        connection
    });
    assert_eq!(
        post(server, &path, "").await.body,
        format!("a[\"{}\"]\n", "x".repeat(100))
    );
    let mut connection = sending.await.unwrap();
    assert!(!must_wait(&mut connection).await);
    assert_eq!(post(server, &path, "").await.body, "a[\"more\"]\n");
}

#[tokio::test]
async fn a_websocket_that_is_not_read_stops_its_sender_only() {
    let (server, mut connections) = server(|builder| builder.max_queued_bytes(1000)).await;
    let deaf = WebSocket::connect(server, "/s/websocket").await;
    let mut to_deaf = connections.recv().await.unwrap();
    // a gigabyte: what waits must not
    let sending = tokio::spawn(async move {
        for _ in 0..10_000 {
            to_deaf.send("x".repeat(100_000)).await?;
        }
        Ok(())
    });
    let mut other = WebSocket::connect(server, "/s/websocket").await;
    let mut to_other = connections.recv().await.unwrap();
    to_other.send("hello").await.unwrap();
    assert_eq!(other.text().await, "hello");
    drop(deaf);
    assert_eq!(sending.await.unwrap(), Err(SendError::Closed));
}

#[tokio::test]
async fn a_client_whose_application_does_not_listen_has_to_wait() {
    let (server, mut connections) = server(|builder| builder.max_queued_bytes(40)).await;
    let path = session("/s");
    post(server, &format!("{path}/xhr"), "").await;
    let mut connection = connections.recv().await.unwrap();
    let first = post(server, &format!("{path}/xhr_send"), "[\"0123456789\"]").await;
    assert_eq!(first.status, 204);
    let line = format!("{path}/xhr_send");
    let second = tokio::spawn(async move { post(server, &line, "[\"b\"]").await.status });
    assert_eq!(connection.next().await.unwrap(), "0123456789");
    assert_eq!(second.await.unwrap(), 204);
    assert_eq!(connection.next().await.unwrap(), "b");
}

#[tokio::test]
async fn a_client_is_told_when_nobody_listens_for_too_long() {
    let deadline = Duration::from_millis(20);
    let (server, mut connections) =
        server(|builder| builder.max_queued_bytes(1).receive_timeout(deadline)).await;
    let path = session("/s");
    post(server, &format!("{path}/xhr"), "").await;
    let _connection = connections.recv().await.unwrap();
    let send = format!("{path}/xhr_send");
    assert_eq!(post(server, &send, "[\"a\"]").await.status, 204);
    assert_eq!(post(server, &send, "[\"b\"]").await.status, 503);
}

#[tokio::test]
async fn a_body_may_not_take_forever() {
    let deadline = Duration::from_millis(20);
    let (server, _connections) = server(|builder| builder.receive_timeout(deadline)).await;
    let mut http = Http::connect(server).await;
    let path = session("/s");
    let request =
        format!("POST {path}/xhr_send HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n[");
    http.write(&request).await;
    assert_eq!(http.head().await.status, 408);
}

#[tokio::test]
async fn who_has_no_session_is_not_listened_to_for_long() {
    let (server, _connections) = server(|builder| builder).await;
    let text = format!("[\"{}\"]", "x".repeat(64 * 1024));
    for end in ["xhr_send", "jsonp_send"] {
        let path = format!("{}/{end}", session("/s"));
        assert_eq!(post(server, &path, &text).await.status, 413, "{end}");
    }
}

#[tokio::test]
async fn bodies_of_a_session_are_read_one_after_the_other() {
    let service = SockJs::builder("/s").build(support::echo);
    let peer = ([127, 0, 0, 1], 1).into();
    let xhr = Request::post("/s/0/a/xhr").body(Full::<Bytes>::default());
    let _session = service.handle(xhr.unwrap(), peer).await;
    let send = |text: oneshot::Receiver<Frame<Bytes>>| {
        let body = StreamBody::new(once(text));
        let request = Request::post("/s/0/a/xhr_send").body(body).unwrap();
        Box::pin(service.handle(request, peer))
    };
    let ((first_text, first), (second_text, second)) = (oneshot::channel(), oneshot::channel());
    let (mut first, mut second) = (send(first), send(second));
    assert!(waits(first.as_mut()).await);
    second_text
        .send(Frame::data("[\"b\"]".into()))
        .expect("a body that waits");
    assert!(waits(second.as_mut()).await, "before the first");
    first_text
        .send(Frame::data("[\"a\"]".into()))
        .expect("a body that is read");
    for answer in [first, second] {
        assert_eq!(
            answer.await.map(|answer| answer.status()).ok(),
            Some(StatusCode::NO_CONTENT)
        );
    }
}

#[tokio::test]
async fn long_messages_are_refused() {
    let (server, mut connections) = server(|builder| builder.max_message_bytes(20)).await;
    let path = session("/s");
    post(server, &format!("{path}/xhr"), "").await;
    let send = format!("{path}/xhr_send");
    assert_eq!(
        post(server, &send, "[\"0123456789012345\"]").await.status,
        204
    );
    assert_eq!(
        post(server, &send, "[\"01234567890123456\"]").await.status,
        413
    );
    let mut connection = connections.recv().await.unwrap();
    assert_eq!(connection.next().await.unwrap(), "0123456789012345");

    let mut socket = WebSocket::connect(server, "/s/websocket").await;
    let mut connection = connections.recv().await.unwrap();
    socket.send("012345678901234567890").await;
    assert_eq!(socket.closed().await.0, 1009);
    assert_eq!(connection.next().await, None);
}

#[tokio::test]
async fn a_client_that_takes_leave_is_answered() {
    let (server, mut connections) = server(|builder| builder).await;
    let mut socket = WebSocket::connect(server, &(session("/s") + "/websocket")).await;
    let mut connection = connections.recv().await.unwrap();
    assert_eq!(socket.text().await, "o");
    socket.send("[\"last words\"]").await;
    let frame = CloseFrame {
        code: CloseCode::Library(4000),
        reason: "bye".into(),
    };
    socket.0.close(Some(frame)).await.unwrap();
    assert_eq!(socket.closed().await, (4000, "bye".to_owned()));
    assert_eq!(connection.next().await.unwrap(), "last words");
    assert_eq!(connection.next().await, None);
}

#[tokio::test]
async fn there_are_so_many_connections_and_no_more() {
    let (server, mut connections) = server(|builder| builder.max_sessions(2)).await;
    let path = session("/s") + "/xhr";
    post(server, &path, "").await;
    let socket = WebSocket::connect(server, "/s/websocket").await;
    let _first = connections.recv().await.unwrap();
    let mut second = connections.recv().await.unwrap();
    let refused = post(server, &(session("/s") + "/xhr"), "").await;
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (503, "Too many connections\n")
    );
    let upgrade = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw=="),
    ];
    assert_eq!(
        request(server, "GET /s/websocket", &upgrade, b"")
            .await
            .status,
        503
    );
    assert_eq!(get(server, "/s/info").await.status, 200);
    drop(socket);
    assert_eq!(second.next().await, None);
    assert_eq!(
        post(server, &(session("/s") + "/xhr"), "").await.body,
        "o\n"
    );
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_no_more() {
    let (server, mut connections) = server(|builder| builder.max_sessions_per_address(1)).await;
    post(server, &(session("/s") + "/xhr"), "").await;
    let _first = connections.recv().await.unwrap();
    assert_eq!(
        post(server, &(session("/s") + "/xhr"), "").await.status,
        503
    );
}

#[tokio::test]
async fn a_client_that_stays_away_is_gone() {
    let delay = Duration::from_millis(20);
    let (server, mut connections) = server(|builder| builder.disconnect_delay(delay)).await;
    let path = session("/s");
    post(server, &format!("{path}/xhr"), "").await;
    let mut connection = connections.recv().await.unwrap();
    assert_eq!(connection.next().await, None);
    assert_eq!(connection.start_send("b"), Err(SendError::Closed));
    assert_eq!(
        post(server, &format!("{path}/xhr_send"), "[]").await.status,
        404
    );
    assert_eq!(
        post(server, &format!("{path}/xhr"), "").await.body,
        "o\n",
        "the id is free"
    );
}

#[tokio::test]
async fn waiting_responses_get_heartbeats() {
    let every = Duration::from_millis(20);
    let (server, mut connections) = server(|builder| builder.heartbeat(every)).await;
    let path = session("/s");
    let mut response = xhr_stream(server, &path).await;
    let _connection = connections.recv().await.unwrap();
    assert_eq!(response.chunk().await.unwrap(), "o\n");
    assert_eq!(response.chunk().await.unwrap(), "h\n");
    assert_eq!(response.chunk().await.unwrap(), "h\n");
}

#[tokio::test]
async fn websockets_that_answer_pings_live_on() {
    let every = Duration::from_millis(20);
    let (server, mut connections) = server(|builder| builder.heartbeat(every)).await;
    let mut socket = WebSocket::connect(server, &(session("/s") + "/websocket")).await;
    let mut connection = connections.recv().await.unwrap();
    assert_eq!(socket.text().await, "o");
    for _ in 0..3 {
        let ping = socket.0.next().await.unwrap().unwrap();
        assert!(ping.is_ping(), "{ping:?}");
    }
    connection.send("still here").await.unwrap();
    assert_eq!(socket.text().await, "a[\"still here\"]");
}

#[tokio::test]
async fn websockets_that_do_not_answer_pings_are_closed() {
    let time = Duration::from_millis(20);
    let (server, mut connections) = server(|builder| {
        builder
            .heartbeat(time)
            .heartbeat_timeout(time)
            .close_timeout(time)
    })
    .await;
    // a client that only reads
    let mut http = Http::connect(server).await;
    let upgrade = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw=="),
    ];
    let line = format!("GET {}/websocket", session("/s"));
    assert_eq!(http.ask(&line, &upgrade, b"").await.status, 101);
    let mut connection = connections.recv().await.unwrap();
    assert_eq!(connection.next().await, None);
    let said = http.rest().await;
    assert!(
        said.contains("c[3000,\"No response from heartbeat\"]"),
        "{said:?}"
    );
}

#[tokio::test]
async fn transports_can_be_switched_off() {
    let (server, _connections) = server(|builder| {
        builder
            .transport(Transport::JsonpPolling, false)
            .transport(Transport::HtmlFile, false)
            .transport(Transport::HtmlFile, true)
            .transport(Transport::RawWebSocket, false)
    })
    .await;
    let path = session("/s");
    assert_eq!(get(server, &format!("{path}/jsonp?c=x")).await.status, 404);
    assert_eq!(
        stream(server, &format!("GET {path}/htmlfile?c=x"))
            .await
            .1
            .status,
        200
    );
    let raw = get(server, "/s/websocket").await;
    assert_eq!(raw.status, 404);
    assert_eq!(raw.headers["cache-control"], "public, max-age=31536000");
    assert!(
        get(server, "/s/info")
            .await
            .body
            .contains("\"websocket\":true")
    );
}

#[tokio::test]
async fn other_origins_can_be_kept_out() {
    let (server, _connections) = server(|builder| builder.cors(false)).await;
    let origin = [("Origin", "http://elsewhere.test")];
    for line in [
        "GET /s/info",
        "OPTIONS /s/a/b/xhr",
        "POST /s/a/b/xhr",
        "POST /s/a/c/xhr_send",
    ] {
        let reply = request(server, line, &origin, b"").await;
        assert!(
            !reply.headers.contains_key("access-control-allow-origin"),
            "{line}"
        );
    }
    assert!(!get(server, "/s/info").await.body.contains("origins"));
}

#[tokio::test]
async fn the_iframe_page_loads_the_library_that_was_named() {
    let (server, _connections) = server(|builder| builder.sockjs_url("/sockjs.js")).await;
    let page = get(server, "/s/iframe.html").await.body;
    assert!(page.contains("<script src=\"/sockjs.js\"></script>"));
}

#[tokio::test]
async fn the_iframe_page_can_be_left_out() {
    let (server, _connections) = server(|builder| builder.iframe(false)).await;
    for page in ["/s/iframe.html", "/s/iframe-1.6.1.html"] {
        assert_eq!(get(server, page).await.status, 404, "{page}");
    }
}

#[tokio::test]
async fn a_server_can_look_before_it_leaves_a_request_to_the_service() {
    let service = SockJs::builder("/s/").build(support::echo);
    let framed = Endpoint::Receive(Transport::WebSocket, "id");
    assert_eq!(service.endpoint("/s/0/id/websocket"), Some(framed));
    assert_eq!(
        service.endpoint("/s/websocket"),
        Some(Endpoint::RawWebSocket)
    );
    assert_eq!(service.endpoint("/elsewhere"), None);
}

#[tokio::test]
async fn a_shutdown_tells_everybody_and_takes_nobody_new() {
    let service = SockJs::builder("/s").build(support::echo);
    let server = serve(vec![service.clone()]).await;
    let mut socket = WebSocket::connect(server, &(session("/s") + "/websocket")).await;
    assert_eq!(socket.text().await, "o");
    let path = session("/s");
    let mut response = xhr_stream(server, &path).await;
    assert_eq!(response.chunk().await.unwrap(), "o\n");
    assert_eq!(service.sessions(), 2);

    let stopping = tokio::spawn({
        let service = service.clone();
        async move { service.shutdown().await }
    });
    let close = "c[1001,\"The server is shutting down\"]";
    assert_eq!(socket.text().await, close);
    assert_eq!(socket.closed().await.0, 1000);
    assert_eq!(response.chunk().await.unwrap(), format!("{close}\n"));
    stopping.await.unwrap();
    assert_eq!(
        post(server, &(session("/s") + "/xhr"), "").await.status,
        503
    );
}
