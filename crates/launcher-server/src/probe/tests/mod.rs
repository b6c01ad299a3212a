//! Probes of apps of all kinds.

mod servers;

use std::time::Duration;

use ddp_server::Transports;
use launcher_core::{
    Hostname,
    health::{HealthKind, HealthSettings, ProbeTarget, Prober},
};
use tokio::{io::AsyncWriteExt, time::sleep};

use self::servers::{
    INFO, VERSION_PRE1, answers, ddp, each, echo, head, http, nobody, records, says, trickles,
};
use super::AppProber;

const REFUSED: &str = "connection refused";
const CLOSED: &str = "the connection was closed without an answer";

fn target(port: u16, kind: HealthKind) -> ProbeTarget {
    let settings = HealthSettings {
        kind,
        ..HealthSettings::default()
    };
    ProbeTarget::new("127.0.0.1", port, &settings)
}

/// What is found out of an app of which nothing is known.
async fn found(port: u16) -> Result<HealthKind, String> {
    AppProber.probe(&target(port, HealthKind::Auto), true).await
}

/// The same, when it is known what it should be.
async fn found_as(kind: HealthKind, port: u16) -> Result<HealthKind, String> {
    AppProber.probe(&target(port, kind), true).await
}

/// The same, when not much time is left to it.
async fn found_soon(kind: HealthKind, port: u16) -> Result<HealthKind, String> {
    let target = ProbeTarget {
        timeout: Duration::from_secs(1),
        ..target(port, kind)
    };
    AppProber.probe(&target, true).await
}

fn fails(why: &str) -> Result<HealthKind, String> {
    Err(why.to_owned())
}

#[tokio::test]
async fn a_ddp_server_is_a_meteor_app_and_is_left_as_it_was() {
    let (port, server) = ddp(Transports::default()).await;
    assert_eq!(found(port).await, Ok(HealthKind::Meteor));
    assert_eq!(
        found_as(HealthKind::Meteor, port).await,
        Ok(HealthKind::Meteor)
    );
    assert_eq!(found_as(HealthKind::Http, port).await, Ok(HealthKind::Http));
    while server.sessions() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_plain_probe_opens_no_session() {
    static ONLY_INFO: fn(&str) -> String = |path| match path {
        "/sockjs/info" => http(200, INFO),
        _ => http(404, ""),
    };
    let port = answers(ONLY_INFO).await;
    let target = target(port, HealthKind::Meteor);
    assert_eq!(
        AppProber.probe(&target, false).await,
        Ok(HealthKind::Meteor)
    );
    assert_eq!(
        found(port).await,
        fails("the WebSocket at /websocket was answered 404"),
        "an app that starts"
    );
}

#[tokio::test]
async fn a_meteor_app_is_found_below_the_path_of_its_root_url() {
    let (port, _server) = ddp(Transports {
        path_prefix: "/todo".to_owned(),
        ..Transports::default()
    })
    .await;
    let target = target(port, HealthKind::Meteor);
    assert_eq!(
        AppProber.probe(&target, true).await,
        fails("GET /sockjs/info answered 404")
    );
    let target = target.visited_at(Some("http://a.test/todo/"), None);
    assert_eq!(AppProber.probe(&target, true).await, Ok(HealthKind::Meteor));
}

#[tokio::test]
async fn an_app_without_websockets_is_not_asked_for_one() {
    let (port, _server) = ddp(Transports {
        websockets: false,
        ..Transports::default()
    })
    .await;
    assert_eq!(found(port).await, Ok(HealthKind::Meteor));
}

#[tokio::test]
async fn what_answers_http_is_well_unless_it_says_otherwise() {
    let ready = Ok(HealthKind::Http);
    assert_eq!(found(answers(|_| http(200, "hello")).await).await, ready);
    assert_eq!(found(answers(|_| http(404, "")).await).await, ready);
    assert_eq!(found(answers(|_| http(302, "")).await).await, ready);
    assert_eq!(
        found(answers(|_| http(500, "")).await).await,
        fails("GET / answered 500")
    );
    for kind in [HealthKind::Auto, HealthKind::Meteor] {
        assert_eq!(
            found_as(kind, answers(|_| http(502, "")).await).await,
            fails("GET /sockjs/info answered 502")
        );
    }
    assert_eq!(
        found_as(HealthKind::Meteor, answers(|_| http(200, "<html>")).await).await,
        fails("GET /sockjs/info did not answer with SockJS's JSON")
    );
}

#[tokio::test]
async fn http_is_asked_for_the_path_that_was_set_and_its_query_is_told_to_nobody() {
    static UP: fn(&str) -> String = |path| match path {
        "/up?token=geheim" => http(503, ""),
        _ => http(200, ""),
    };
    let port = answers(UP).await;
    for kind in [HealthKind::Http, HealthKind::Auto] {
        let target = ProbeTarget {
            path: Some("/up?token=geheim".to_owned()),
            ..target(port, kind)
        };
        assert_eq!(
            AppProber.probe(&target, true).await,
            fails("GET /up answered 503")
        );
    }
}

#[tokio::test]
async fn a_probe_says_who_it_is_and_how_visitors_come() {
    let (port, mut heads) = records("HTTP/1.1 200 OK\r\n\r\n").await;
    let name = Hostname::parse("App.Test").unwrap();
    let target = target(port, HealthKind::Http);
    AppProber.probe(&target, false).await.unwrap();
    let visited = target.visited_at(Some("https://app.test"), Some(&name));
    AppProber.probe(&visited, false).await.unwrap();
    let mut has = |lines: [&str; 4]| {
        let head = heads.try_recv().unwrap().to_ascii_lowercase();
        for line in lines {
            assert!(head.contains(&format!("{line}\r\n")), "{line}: {head}");
        }
    };
    let (agent, close) = ("user-agent: meteor-launcher-probe", "connection: close");
    let host = format!("host: 127.0.0.1:{port}");
    has([agent, close, &host, "x-forwarded-proto: http"]);
    has([agent, close, "host: app.test", "x-forwarded-proto: https"]);
}

#[tokio::test]
async fn what_answers_no_http_takes_connections_at_least() {
    let ready = Ok(HealthKind::Tcp);
    let speaks_first = each(|mut stream| async move {
        let _gone = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
        head(&mut stream).await;
    });
    let hangs_up = each(|mut stream| async move {
        head(&mut stream).await;
    });
    let garbage = answers(|_| "\u{1}\u{2}\u{3} garbage\r\n\r\n".to_owned());
    for port in [
        echo().await,
        speaks_first.await,
        hangs_up.await,
        garbage.await,
    ] {
        assert_eq!(found(port).await, ready);
        assert_eq!(found_as(HealthKind::Tcp, port).await, ready);
    }
    assert_eq!(
        found_as(HealthKind::Http, echo().await).await,
        fails("the answer is not HTTP")
    );
}

#[tokio::test]
async fn what_takes_no_connection_or_closes_it_at_once_is_not_ready() {
    // As Docker's own proxy does while nobody listens in the container.
    let closes = each(|stream| async move { drop(stream) }).await;
    for kind in [
        HealthKind::Auto,
        HealthKind::Meteor,
        HealthKind::Http,
        HealthKind::Tcp,
    ] {
        assert_eq!(found_as(kind, nobody().await).await, fails(REFUSED));
        assert_eq!(found_as(kind, closes).await, fails(CLOSED), "{kind:?}");
    }
}

#[tokio::test]
async fn what_never_answers_is_given_up_in_time() {
    let silent = each(|mut stream| async move {
        head(&mut stream).await;
        sleep(Duration::from_secs(600)).await;
    })
    .await;
    let late = |path: &str| fails(&format!("GET {path} did not answer within 1 s"));
    assert_eq!(
        found_soon(HealthKind::Auto, silent).await,
        late("/sockjs/info")
    );
    assert_eq!(found_soon(HealthKind::Http, silent).await, late("/"));
    assert_eq!(
        found_soon(HealthKind::Tcp, silent).await,
        Ok(HealthKind::Tcp)
    );
    let head = trickles("HTTP/1.1 200 OK\r\nX-").await;
    assert_eq!(found_soon(HealthKind::Http, head).await, late("/"));
    let body = trickles("HTTP/1.1 200 OK\r\n\r\n").await;
    assert_eq!(
        found_soon(HealthKind::Auto, body).await,
        late("/sockjs/info")
    );
}

#[tokio::test]
async fn of_a_page_the_status_counts_however_long_it_is() {
    let slow = trickles("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
    assert_eq!(found_as(HealthKind::Http, slow).await, Ok(HealthKind::Http));
    let huge = answers(|_| http(200, &"x".repeat(10_000_000))).await;
    assert_eq!(found(huge).await, Ok(HealthKind::Http));
    let head = answers(|_| format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1_000_000)));
    assert_eq!(
        found(head.await).await,
        fails("GET /sockjs/info answered with too long a head")
    );
}

#[tokio::test]
async fn a_session_is_one_that_is_connected() {
    static OLD: &[&[&str]] = &[&[
        r#"{"server_id":"0"}"#,
        "no json",
        r#"{"msg":"connected","session":"s"}"#,
    ]];
    assert_eq!(found(says(OLD).await).await, Ok(HealthKind::Meteor));
    static OTHER_VERSION: &[&[&str]] = &[
        &[r#"{"msg":"failed","version":"pre1"}"#, "close"],
        &[VERSION_PRE1, r#"{"msg":"connected","session":"s"}"#],
    ];
    assert_eq!(
        found(says(OTHER_VERSION).await).await,
        Ok(HealthKind::Meteor)
    );
    static NO_VERSION: &[&[&str]] = &[&[r#"{"msg":"failed","version":"pre1"}"#, "close"]];
    assert_eq!(
        found(says(NO_VERSION).await).await,
        fails("DDP's `connect` was refused")
    );
    static SILENT: &[&[&str]] = &[&[]];
    assert_eq!(
        found_soon(HealthKind::Meteor, says(SILENT).await).await,
        fails("no DDP `connected` within 1 s")
    );
    static ENDS: &[&[&str]] = &[&["close"]];
    assert_eq!(
        found(says(ENDS).await).await,
        fails("the WebSocket was closed before DDP's `connected`")
    );
}
