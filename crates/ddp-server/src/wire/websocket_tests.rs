use std::future::poll_fn;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::*;

/// A WebSocket and its client, with a pipe between them that holds little.
async fn pair(size: usize) -> (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (server, client) = tokio::io::duplex(size);
    let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    (WebSocket::new(server, Bytes::new(), 1 << 20), client)
}

/// Hears and sends until something has arrived.
async fn pump(socket: &mut WebSocket<DuplexStream>) -> Arrived {
    poll_fn(|context| {
        let _waits = socket.poll_flush(context);
        let arrived = socket.poll_receive(context);
        let _waits = socket.poll_flush(context);
        arrived
    })
    .await
}

/// The next message that is not for the wire only.
async fn hear(socket: &mut WebSocket<DuplexStream>) -> Arrived {
    loop {
        match pump(socket).await {
            Arrived::Nothing => {}
            arrived => return arrived,
        }
    }
}

async fn hears_nothing(socket: &mut WebSocket<DuplexStream>) -> bool {
    poll_fn(|context| Poll::Ready(socket.poll_receive(context).is_pending())).await
}

#[tokio::test]
async fn a_pong_waits_for_the_end_of_a_frame() {
    let (mut socket, mut client) = pair(64).await;
    socket.push(Transmit::Text("x".repeat(1000).into()));
    let server = async {
        assert!(matches!(pump(&mut socket).await, Arrived::Nothing));
        assert!(socket.waiting_bytes() > 0, "the frame has begun");
        socket.push(Transmit::Text("second".to_owned().into()));
        assert!(matches!(pump(&mut socket).await, Arrived::Text(_)));
    };
    let client = async {
        client.send(Message::Ping("?".into())).await.unwrap();
        let first = client.next().await.unwrap().unwrap();
        assert_eq!(first, Message::text("x".repeat(1000)));
        let mut others = Vec::new();
        for _ in 0..2 {
            others.push(client.next().await.unwrap().unwrap());
        }
        assert!(others.contains(&Message::Pong("?".into())));
        assert!(others.contains(&Message::text("second")));
        client.send(Message::text("heard")).await.unwrap();
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn whoever_floods_with_pings_and_reads_nothing_is_not_kept_in_memory() {
    let (mut socket, mut client) = pair(64).await;
    let server = async {
        while !matches!(pump(&mut socket).await, Arrived::Text(_)) {}
        assert!(socket.waiting_bytes() < 100_000);
    };
    let flood = async {
        for _ in 0..2000 {
            let ping = Message::Ping(vec![0; 120].into());
            client.feed(ping).await.unwrap();
        }
        client.send(Message::text("done")).await.unwrap();
    };
    tokio::join!(server, flood);
}

#[tokio::test]
async fn a_large_message_leaves_no_buffer() {
    let (mut socket, mut client) = pair(1 << 20).await;
    for size in [100_000, 10] {
        client.send(Message::text("x".repeat(size))).await.unwrap();
        assert!(matches!(pump(&mut socket).await, Arrived::Text(text) if text.len() == size));
        assert!(hears_nothing(&mut socket).await);
        assert!(!socket.large, "the buffer was not given back");
    }
}

#[tokio::test]
async fn a_large_message_in_pieces_leaves_no_buffer_and_loses_nothing() {
    let (mut socket, mut client) = pair(1 << 20).await;
    let frame = |text: &str, opcode, last| {
        Message::Frame(Frame::message(text.to_owned(), OpCode::Data(opcode), last))
    };
    let large = "x".repeat(50_000);
    let ping = Message::Ping("?".into());
    for (opcode, last) in [(Data::Text, false), (Data::Continue, true)] {
        client.send(ping.clone()).await.unwrap();
        client.send(frame(&large, opcode, last)).await.unwrap();
    }
    client.send(frame("be", Data::Text, false)).await.unwrap();
    assert!(matches!(hear(&mut socket).await, Arrived::Text(text) if text.len() == 100_000));
    assert!(hears_nothing(&mut socket).await);
    assert!(socket.large, "a message has begun");
    client
        .send(frame("gun", Data::Continue, true))
        .await
        .unwrap();
    assert!(matches!(hear(&mut socket).await, Arrived::Text(text) if text == "begun"));
    assert!(hears_nothing(&mut socket).await);
    assert!(!socket.large, "the buffer was not given back");
}

#[tokio::test]
async fn only_sockjs_asks_for_signs_of_life() {
    let now = Instant::now();
    let heartbeat = Heartbeat {
        interval: Duration::from_secs(45),
        timeout: Duration::from_secs(10),
    };
    let (raw, _client) = pair(64).await;
    assert_eq!(raw.poll_timeout(), None);
    let (socket, mut client) = pair(64).await;
    let mut socket = socket.with_sockjs(heartbeat, now);
    for _ in 0..2 {
        let asks = socket.poll_timeout().unwrap();
        assert_eq!(socket.handle_timeout(asks), Ok(()));
        let server = async {
            assert!(matches!(pump(&mut socket).await, Arrived::Nothing));
        };
        let answer = async {
            while !client.next().await.unwrap().unwrap().is_ping() {}
            client.flush().await.unwrap();
        };
        tokio::join!(server, answer);
    }
    let asks = socket.poll_timeout().unwrap();
    assert_eq!(asks, now + Duration::from_secs(135));
    assert_eq!(socket.handle_timeout(asks), Ok(()));
    let gives_up = socket.poll_timeout().unwrap();
    assert_eq!(gives_up, now + Duration::from_secs(145));
    let ending = Ending::Close(CloseCode::NoHeartbeat);
    assert_eq!(socket.handle_timeout(gives_up), Err(ending));
}

#[tokio::test]
async fn a_close_comes_after_what_was_said() {
    let (mut socket, mut client) = pair(64).await;
    socket.push(Transmit::Text("x".repeat(1000).into()));
    socket.close(CloseCode::TryAgainLater);
    let server = async move {
        poll_fn(|context| socket.poll_closed(context)).await;
    };
    let client = async {
        assert!(client.next().await.unwrap().unwrap().is_text());
        let Some(Ok(Message::Close(Some(frame)))) = client.next().await else {
            panic!("no close");
        };
        assert_eq!(u16::from(frame.code), 1013);
        assert!(client.next().await.is_none());
    };
    tokio::join!(server, client);
}
