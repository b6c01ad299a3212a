use futures_util::FutureExt as _;
use tokio::io::DuplexStream;

use super::*;

/// A pump and the client's end of its socket, both in memory.
async fn pump(config: &Config, raw: bool) -> (Pump<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (session, receiver) = Session::open(config.limits(), ReceiverKind::Socket, Instant::now());
    let pump = Pump {
        socket: WebSocketStream::from_raw_socket(ours, End::Server, None).await,
        session: Shared::new(session),
        receiver,
        raw,
        unflushed: false,
    };
    let client = WebSocketStream::from_raw_socket(theirs, End::Client, None).await;
    (pump, client)
}

/// Lets it do all that it can do without waiting.
fn turn(pump: &mut Pump<DuplexStream>) {
    let mut alarm = pin!(sleep_until(Instant::now().into()));
    loop {
        let step = poll_fn(|context| pump.poll_step(alarm.as_mut(), context));
        match step.now_or_never() {
            Some(None) => {}
            Some(Some(_)) => panic!("the connection has ended"),
            None => return,
        }
    }
}

#[tokio::test]
async fn it_hears_no_more_than_the_application_keeps_up_with() {
    let config = Config {
        max_queued_bytes: 40,
        ..Config::default()
    };
    let (mut pump, mut client) = pump(&config, true).await;
    for text in ["one of ten", "two of ten", "three of ten"] {
        client.send(Message::text(text)).await.unwrap();
    }
    for text in ["one of ten", "two of ten", "three of ten"] {
        turn(&mut pump);
        let heard = pump.session.with(Session::poll_message);
        assert_eq!(heard.as_deref(), Some(text));
        let more = pump.session.with(|session| session.has_message());
        assert!(!more, "it was heard before there was room");
    }
}

#[tokio::test]
async fn the_reason_of_a_raw_close_fits_into_its_frame() {
    let (mut pump, mut client) = pump(&Config::default(), true).await;
    let reason = "é".repeat(100);
    let ending = pump.start_send(Frame::Close(Closing::new(3000, reason)));
    let Poll::Ready(ending) = ending else {
        panic!("a close is the end");
    };
    // the client's end is gone with the task that reads it, so that the pump need not wait
    let reader = tokio::spawn(async move { client.next().await.unwrap().unwrap() });
    pump.finish(ending).await;
    let Message::Close(Some(frame)) = reader.await.unwrap() else {
        panic!("no close frame");
    };
    assert_eq!(frame.reason.as_str(), "é".repeat(61));
}
