//! Downloads from servers on loopback that answer what a script says, byte by byte.

use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::source::{Archive, FetchOptions, Fetcher, SourceError};

/// What a server does after it got a request.
#[derive(Clone)]
enum Answer {
    /// Sends this and closes.
    Send(String),
    /// Sends this and then nothing more, without closing.
    Stall(String),
}

/// A server that gives every request the same answer, and tells what it was asked.
struct Server {
    port: u16,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Server {
    async fn start(answer: impl Fn(u16) -> Answer) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    async fn start_at(address: &str, answer: impl Fn(u16) -> Answer) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = answer(port);
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (answer, sender) = (answer.clone(), sender.clone());
                tokio::spawn(async move {
                    let mut request = vec![0; 16 * 1024];
                    let count = socket.read(&mut request).await.unwrap();
                    let _ = sender.send(String::from_utf8_lossy(&request[..count]).into_owned());
                    let (Answer::Send(text) | Answer::Stall(text)) = &answer;
                    // The client may be gone before everything was sent.
                    let _ = socket.write_all(text.as_bytes()).await;
                    if matches!(answer, Answer::Stall(_)) {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { port, requests }
    }

    fn url(&self) -> String {
        format!(
            "http://user:hunter2@127.0.0.1:{}/app.tar.gz?token=hunter2",
            self.port
        )
    }
}

fn ok(headers: &str, body: &str) -> Answer {
    Answer::Send(format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}"))
}

fn location(to: &str) -> Answer {
    Answer::Send(format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
    ))
}

fn options() -> FetchOptions {
    FetchOptions {
        allow_private: true,
        ..FetchOptions::default()
    }
}

async fn fetch_with(
    url: &str,
    options: FetchOptions,
    directory: &Path,
) -> Result<u64, SourceError> {
    fetch_by(&Fetcher::new(options).unwrap(), url, directory).await
}

async fn fetch_by(fetcher: &Fetcher, url: &str, directory: &Path) -> Result<u64, SourceError> {
    let (_, end) = Archive::arriving(directory).await?;
    fetcher.fetch(url, end, |_, _| {}).await
}

/// The error's text, after checking that it holds no secret and that nothing is left on disk.
async fn failure_of(url: &str, options: FetchOptions) -> String {
    let directory = tempfile::tempdir().unwrap();
    let error = fetch_with(url, options, directory.path())
        .await
        .unwrap_err();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(
            !text.contains("hunter2") && !text.contains("user"),
            "{text}"
        );
        assert!(!text.contains(directory.path().to_str().unwrap()), "{text}");
    }
    error.to_string()
}

async fn failure(answer: Answer, options: FetchOptions) -> String {
    let server = Server::start(|_| answer.clone()).await;
    failure_of(&server.url(), options).await
}

#[tokio::test]
async fn an_archive_is_saved_whole() {
    let body = "x".repeat(300_000);
    let mut server = Server::start(|_| ok("Content-Length: 300000\r\n", &body)).await;
    let directory = tempfile::tempdir().unwrap();
    let seen = Mutex::new(Vec::new());
    let progress = |received, expected| seen.lock().unwrap().push((received, expected));
    let fetcher = Fetcher::new(options()).unwrap();
    let (archive, end) = Archive::arriving(directory.path()).await.unwrap();
    let fetched = fetcher.fetch(&server.url(), end, progress).await;

    let mut content = String::new();
    archive.reader().read_to_string(&mut content).unwrap();
    assert!(content == body && fetched.unwrap() == 300_000);
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted());
    assert_eq!(seen.last(), Some(&(300_000, Some(300_000))));
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "the file has no name"
    );

    let request = server.requests.recv().await.unwrap();
    assert!(
        request.starts_with("GET /app.tar.gz?token=hunter2 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("authorization: Basic dXNlcjpodW50ZXIy"),
        "{request}"
    );
}

#[tokio::test]
async fn chunked_answers_are_taken() {
    let body = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let server = Server::start(|_| ok("Transfer-Encoding: chunked\r\n", body)).await;
    let directory = tempfile::tempdir().unwrap();
    let fetched = fetch_with(&server.url(), options(), directory.path())
        .await
        .unwrap();
    assert_eq!(fetched, 5);
}

#[tokio::test]
async fn other_answers_are_told_with_their_status() {
    for status in [
        "404 Not Found",
        "204 No Content",
        "206 Partial Content",
        "500 Oops",
        "304 Not Modified",
    ] {
        let answer = Answer::Send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        let text = failure(answer, options()).await;
        assert!(
            text.contains(&format!("/app.tar.gz answered {}", &status[..3])),
            "{text}"
        );
    }
    let text = failure(
        Answer::Send("SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
        options(),
    )
    .await;
    assert!(text.contains("could not be fetched"), "{text}");
}

#[tokio::test]
async fn redirects_are_followed_five_times() {
    let target = Server::start(|_| ok("Content-Length: 2\r\n", "ok")).await;
    let mut next = target.port;
    for _ in 0..5 {
        next = Server::start(|_| location(&format!("http://127.0.0.1:{next}/x")))
            .await
            .port;
    }
    let directory = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{next}/");
    let fetched = fetch_with(&url, options(), directory.path()).await;
    assert_eq!(fetched.unwrap(), 2);

    let sixth = Server::start(|_| location(&format!("http://127.0.0.1:{next}/x"))).await;
    assert!(
        failure_of(&sixth.url(), options())
            .await
            .contains("redirects more than 5 times")
    );
    let circle = Server::start(|port| location(&format!("http://127.0.0.1:{port}/"))).await;
    assert!(
        failure_of(&circle.url(), options())
            .await
            .contains("redirects more than 5 times")
    );
}

#[tokio::test]
async fn redirects_elsewhere_are_refused() {
    for target in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://",
        "data:text/plain,x",
    ] {
        let answer =
            format!("HTTP/1.1 301 Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
        let text = failure(Answer::Send(answer), options()).await;
        assert!(
            text.contains("redirects to something that is not a usable URL"),
            "{text}"
        );
    }
    let text = failure(
        Answer::Send("HTTP/1.1 302 Found\r\n\r\n".to_owned()),
        options(),
    )
    .await;
    assert!(text.contains("answered 302"), "{text}");
}

#[tokio::test]
async fn private_addresses_are_refused_before_anything_is_sent() {
    let mut server = Server::start(|_| ok("Content-Length: 0\r\n", "")).await;
    let guarded = FetchOptions {
        allow_private: false,
        ..options()
    };
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0",
    ] {
        let url = format!("http://user:hunter2@{host}:{}/x", server.port);
        let text = failure_of(&url, guarded.clone()).await;
        assert!(
            text.contains("private or otherwise reserved address range"),
            "{host}: {text}"
        );
    }
    let url = "http://169.254.169.254/latest/meta-data/";
    assert!(
        failure_of(url, guarded)
            .await
            .starts_with("169.254.169.254 is in a private")
    );
    assert!(
        server.requests.try_recv().is_err(),
        "the server was reached"
    );
}

/// On loopback there is no public address, so one of its own stands in for them.
fn only_the_first(ip: IpAddr) -> bool {
    ip == IpAddr::from([127, 0, 0, 1])
}

#[tokio::test]
async fn redirects_to_private_addresses_are_refused() {
    let mut inner = Server::start_at("127.0.0.2:0", |_| ok("Content-Length: 0\r\n", "")).await;
    for host in ["127.0.0.2", "[::1]", "2130706434"] {
        let target = format!("http://{host}:{}/", inner.port);
        let outer = Server::start(|_| location(&target)).await;
        let fetcher = Fetcher::with_rule(options(), only_the_first).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let outcome = fetch_by(&fetcher, &outer.url(), directory.path()).await;
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, SourceError::PrivateAddress { .. }),
            "{host}: {error}"
        );
    }
    assert!(inner.requests.try_recv().is_err(), "the server was reached");
}

#[tokio::test]
async fn names_are_checked_by_what_they_resolve_to() {
    let mut server = Server::start(|_| ok("Content-Length: 2\r\n", "ok")).await;
    let url = format!("http://localhost:{}/", server.port);
    let directory = tempfile::tempdir().unwrap();
    let refusing = Fetcher::with_rule(options(), |_| false).unwrap();
    let outcome = fetch_by(&refusing, &url, directory.path()).await;
    let error = outcome.unwrap_err();
    assert_eq!(
        error.to_string().split(' ').next(),
        Some("localhost"),
        "{error}"
    );
    assert!(
        server.requests.try_recv().is_err(),
        "the server was reached"
    );
    let taking = Fetcher::with_rule(options(), only_the_first).unwrap();
    let taken = fetch_by(&taking, &url, directory.path()).await;
    assert_eq!(taken.unwrap(), 2);
}

#[tokio::test]
async fn too_much_is_refused() {
    let small = FetchOptions {
        max_bytes: 1000,
        ..options()
    };
    let body = "x".repeat(5000);
    let announced = failure(ok("Content-Length: 5000\r\n", &body), small.clone()).await;
    let silent = failure(ok("", &body), small.clone()).await;
    let lying = failure(
        ok(
            "Transfer-Encoding: chunked\r\n",
            &format!("1388\r\n{body}\r\n"),
        ),
        small,
    )
    .await;
    for text in [announced, silent, lying] {
        assert_eq!(text, "the archive is larger than the limit of 1000 bytes");
    }
}

#[tokio::test]
async fn downloads_that_are_cut_off_are_noticed() {
    let text = failure(ok("Content-Length: 5000\r\n", "short"), options()).await;
    assert_eq!(text, "the download was cut off after 5 bytes of 5000");
    let text = failure(
        ok("Transfer-Encoding: chunked\r\n", "5\r\nshort\r\n"),
        options(),
    )
    .await;
    assert_eq!(text, "the download was cut off after 5 bytes");
    assert!(
        failure(Answer::Send(String::new()), options())
            .await
            .contains("could not be fetched")
    );
}

#[tokio::test]
async fn servers_that_fall_silent_are_given_up() {
    let short = Duration::from_millis(100);
    let hasty = FetchOptions {
        idle_timeout: short,
        connect_timeout: short,
        ..options()
    };
    let silent = failure(Answer::Stall(String::new()), hasty.clone()).await;
    assert!(silent.contains("sent nothing for 200ms"), "{silent}");
    let partly = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome".to_owned();
    let fallen = failure(Answer::Stall(partly.clone()), hasty);
    let text = tokio::time::timeout(Duration::from_secs(5), fallen)
        .await
        .unwrap();
    assert!(text.contains("sent nothing for 100ms"), "{text}");
    let hurried = FetchOptions {
        deadline: short,
        ..options()
    };
    let text = failure(Answer::Stall(partly), hurried).await;
    assert_eq!(
        text,
        "the archive was not downloaded within 100ms (see --download-timeout)"
    );
}

#[tokio::test]
async fn servers_that_send_more_than_they_announced_give_what_they_announced() {
    let body = "x".repeat(5000);
    let server = Server::start(|_| ok("Content-Length: 1000\r\n", &body)).await;
    let directory = tempfile::tempdir().unwrap();
    let fetched = fetch_with(&server.url(), options(), directory.path()).await;
    assert_eq!(fetched.unwrap(), 1000);
}

#[tokio::test]
async fn lengths_that_contradict_each_other_are_refused() {
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: many\r\n",
        "Content-Length: 99999999999999999999999\r\n",
    ] {
        let text = failure(ok(headers, "short"), options()).await;
        assert!(text.contains("could not be fetched"), "{headers}: {text}");
    }
    let absurd = failure(ok("Content-Length: 999999999999999\r\n", ""), options()).await;
    assert!(absurd.contains("larger than the limit"), "{absurd}");
}

#[tokio::test]
async fn broken_chunks_are_noticed() {
    for body in [
        "zz\r\nshort\r\n",
        "5\r\nshortandmore\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let text = failure(ok("Transfer-Encoding: chunked\r\n", body), options()).await;
        assert!(text.contains("cut off"), "{body:?}: {text}");
    }
}

/// Sends the start, and then the piece again and again until the client is gone.
async fn endless(start: &'static str, piece: &'static str, pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await.unwrap();
        socket.write_all(start.as_bytes()).await.unwrap();
        while socket.write_all(piece.as_bytes()).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    });
    format!("http://user:hunter2@127.0.0.1:{port}/x?token=hunter2")
}

#[tokio::test]
async fn answers_without_an_end_are_ended() {
    let small = FetchOptions {
        max_bytes: 100_000,
        ..options()
    };
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let url = endless(chunks, "8\r\nendless!\r\n", Duration::ZERO).await;
    let text = failure_of(&url, small).await;
    assert!(
        text.contains("larger than the limit of 100000 bytes"),
        "{text}"
    );

    // Never silent for long, but never done either.
    let hurried = FetchOptions {
        deadline: Duration::from_millis(300),
        ..options()
    };
    let url = endless(chunks, "1\r\nx\r\n", Duration::from_millis(20)).await;
    assert_eq!(
        failure_of(&url, hurried.clone()).await,
        "the archive was not downloaded within 300ms (see --download-timeout)"
    );
    let url = endless(
        "HTTP/1.1 200 OK\r\n",
        "X-Slow: loris\r\n",
        Duration::from_millis(20),
    )
    .await;
    assert_eq!(
        failure_of(&url, hurried).await,
        "the archive was not downloaded within 300ms (see --download-timeout)"
    );
}

#[tokio::test]
async fn heads_without_an_end_are_refused() {
    let url = endless("HTTP/1.1 200 OK\r\n", "X-Header: more\r\n", Duration::ZERO).await;
    assert!(
        failure_of(&url, options())
            .await
            .contains("could not be fetched")
    );
    let interim = endless(
        "",
        "HTTP/1.1 103 Early Hints\r\n\r\n",
        Duration::from_millis(1),
    )
    .await;
    let hurried = FetchOptions {
        deadline: Duration::from_millis(300),
        ..options()
    };
    assert!(!failure_of(&interim, hurried).await.is_empty());
}

#[tokio::test]
async fn a_packed_answer_is_saved_as_it_comes() {
    // What a server says of the encoding does not matter: the archive's own first bytes do.
    let mut server =
        Server::start(|_| ok("Content-Encoding: gzip\r\nContent-Length: 5\r\n", "plain")).await;
    let directory = tempfile::tempdir().unwrap();
    let fetched = fetch_with(&server.url(), options(), directory.path()).await;
    assert_eq!(fetched.unwrap(), 5);
    let request = server.requests.recv().await.unwrap();
    assert!(
        !request.to_lowercase().contains("accept-encoding"),
        "{request}"
    );
}

#[tokio::test]
async fn unreachable_hosts_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let text = failure_of(
        &format!("http://user:hunter2@127.0.0.1:{port}/x?hunter2"),
        options(),
    )
    .await;
    assert!(text.contains("Connection refused"), "{text}");
    let text = failure_of("http://user:hunter2@nowhere.invalid/x?hunter2", options()).await;
    assert!(
        text.starts_with("http://nowhere.invalid/x could not be fetched"),
        "{text}"
    );
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_told_without_its_path() {
    let server = Server::start(|_| ok("Content-Length: 2\r\n", "ok")).await;
    let error = fetch_with(&server.url(), options(), Path::new("/nonexistent/place"))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("the launcher could not write") && !text.contains("place"),
        "{text}"
    );
}
