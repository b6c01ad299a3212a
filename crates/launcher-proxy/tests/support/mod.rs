//! A proxy on a free port, upstreams that are scripts, and clients that see every byte.
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::time::Duration;

use launcher_proxy::{
    Config, Proxy, Route, RouteTable, RouteWriter, SiteSettings, Stats, TrafficFigures, Upstream,
    UpstreamStats,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Longer than anything here takes: what waits for so long waits for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy that runs until it is told to stop.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) routes: Option<RouteWriter>,
    proxy: Proxy,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl World {
    pub(crate) async fn new(table: RouteTable) -> Self {
        Self::with_config(Config::default(), table).await
    }

    pub(crate) async fn with_config(config: Config, table: RouteTable) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (proxy, routes) = Proxy::new(config);
        routes.publish(table);
        let (stop, stopped) = oneshot::channel::<()>();
        let runs = proxy.clone();
        let running = tokio::spawn(async move {
            runs.run(listener, async { drop(stopped.await) }).await;
        });
        Self {
            address,
            routes: Some(routes),
            proxy,
            stop,
            running,
        }
    }

    /// With `a.test` routed to `upstream`.
    pub(crate) async fn to(upstream: SocketAddr) -> Self {
        Self::new(table("a.test", upstream)).await
    }

    pub(crate) fn publish(&self, table: RouteTable) {
        self.routes.as_ref().unwrap().publish(table);
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire::new(TcpStream::connect(self.address).await.unwrap())
    }

    pub(crate) fn stats(&self) -> Stats {
        self.proxy.stats()
    }

    /// Waits until the proxy's counts are as wanted. They are the only sign of some events.
    pub(crate) async fn until(&self, wanted: impl Fn(Stats) -> bool) {
        let reached = async {
            while !wanted(self.stats()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        patiently(reached).await;
    }

    pub(crate) fn upstream_stats(&self, upstream: SocketAddr) -> Option<UpstreamStats> {
        let host = upstream.ip().to_string();
        self.proxy.upstream_stats(&host, upstream.port())
    }

    pub(crate) fn traffic(&self) -> TrafficFigures {
        self.proxy.traffic()
    }

    /// Open requests and upgraded connections of `upstream`.
    pub(crate) fn open(&self, upstream: SocketAddr) -> (usize, usize) {
        let stats = self.upstream_stats(upstream);
        stats.map_or((0, 0), |stats| (stats.open_requests, stats.upgraded))
    }

    /// Waits until so many requests and upgraded connections are open at `upstream`.
    pub(crate) async fn until_open(&self, upstream: SocketAddr, wanted: (usize, usize)) {
        self.until(|_| self.open(upstream) == wanted).await;
    }

    /// Tells the proxy to stop; the handle ends when it has.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.running
    }
}

/// A configuration in which all sites have settings that are changed by `change`.
pub(crate) fn with_site(change: impl FnOnce(&mut SiteSettings)) -> Config {
    let mut settings = SiteSettings::default();
    change(&mut settings);
    Config {
        site: settings.into(),
        ..Config::default()
    }
}

pub(crate) fn table(hostname: &str, upstream: SocketAddr) -> RouteTable {
    RouteTable::builder().route(hostname, to(upstream)).build()
}

pub(crate) fn to(upstream: SocketAddr) -> Route {
    Route::to(at(upstream))
}

pub(crate) fn at(upstream: SocketAddr) -> Upstream {
    Upstream::new(upstream.ip().to_string(), upstream.port())
}

/// `a.test` routed to any of `serving`, while `draining` drain.
pub(crate) fn switched(serving: &[SocketAddr], draining: &[SocketAddr]) -> RouteTable {
    let route = Route::to_any(serving.iter().copied().map(at));
    let table = RouteTable::builder().route("a.test", route);
    let drained = draining.iter().copied().map(at);
    drained
        .fold(table, launcher_proxy::RouteTableBuilder::draining)
        .build()
}

/// Serves every connection with `script`.
pub(crate) async fn upstream<F>(script: impl Fn(Wire) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(Wire::new(stream)));
        }
    });
    address
}

/// An upstream that answers every request with `response`, as it stands.
pub(crate) async fn answering(response: &'static str) -> SocketAddr {
    upstream(move |mut wire| async move {
        while wire.head_or_end().await.is_some() {
            wire.send(response).await;
        }
    })
    .await
}

/// An upstream that answers with the head of the request it got.
pub(crate) async fn echoing_heads() -> SocketAddr {
    upstream(|mut wire| async move {
        while let Some(head) = wire.head_or_end().await {
            wire.send(&ok(&head)).await;
        }
    })
    .await
}

/// A port where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

pub(crate) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")
}

/// One end of a connection, as text.
pub(crate) struct Wire {
    pub(crate) stream: BufReader<TcpStream>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        patiently(self.stream.get_mut().write_all(bytes))
            .await
            .unwrap();
    }

    pub(crate) async fn shutdown(&mut self) {
        self.stream.get_mut().shutdown().await.unwrap();
    }

    /// Everything up to the empty line, or `None` if the other side closes instead.
    pub(crate) async fn head_or_end(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            // The other side may as well reset the connection: to these tests that is an end.
            let read = patiently(self.stream.read_line(&mut head))
                .await
                .unwrap_or(0);
            if read == 0 {
                return None;
            }
        }
        Some(head)
    }

    pub(crate) async fn head(&mut self) -> String {
        self.head_or_end().await.expect("the other side closed")
    }

    pub(crate) async fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        patiently(self.stream.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    pub(crate) async fn text(&mut self, length: usize) -> String {
        String::from_utf8(self.exactly(length).await).unwrap()
    }

    /// Everything up to and including `end`.
    pub(crate) async fn up_to(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            text.push_str(&self.text(1).await);
        }
        text
    }

    /// Everything until the other side closes.
    pub(crate) async fn rest(&mut self) -> String {
        let mut text = String::new();
        patiently(self.stream.read_to_string(&mut text))
            .await
            .unwrap();
        text
    }

    /// All that still comes.
    pub(crate) async fn rest_bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        patiently(self.stream.read_to_end(&mut bytes))
            .await
            .unwrap();
        bytes
    }

    /// The head and the body, by its `Content-Length`, of one answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let body = self.text(length).await;
        Answer { head, body }
    }

    /// Sends `request` and reads the answer.
    pub(crate) async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer().await
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        status(&self.head)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

pub(crate) fn status(head: &str) -> u16 {
    head.split(' ')
        .nth(1)
        .expect("a status line")
        .parse()
        .unwrap()
}

/// The value of the first line of header `name`.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

pub(crate) async fn patiently<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .expect("it should have happened by now")
}

/// Where a sender that reports its progress stopped: a moment passed without any.
pub(crate) async fn stalled(progress: &mut watch::Receiver<usize>) -> usize {
    let moment = Duration::from_millis(300);
    while let Ok(Ok(())) = tokio::time::timeout(moment, progress.changed()).await {}
    *progress.borrow_and_update()
}

pub(crate) const CHUNK: usize = 64 * 1024;

/// Different bytes in every chunk, so that a lost or doubled one shows.
pub(crate) fn chunk(number: usize) -> Vec<u8> {
    (0..CHUNK)
        .map(|place| ((place + number * 7) % 251) as u8)
        .collect()
}
