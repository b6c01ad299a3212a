use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::body::ResponseBody;
use crate::client_stream::ClientStream;
use crate::config::Config;
use crate::connections::Place;
use crate::head_timer::HeadTimer;
use crate::headers::Arrived;
use crate::http2;
use crate::limited::Limited;
use crate::opening::{self, Opened, Version};
use crate::pages::Refusal;
use crate::proxy::Shared;
use crate::service::Client;
use crate::shutdown::Tasks;
use crate::slow_head;
use crate::upstream::DEFAULT_MAX_HEADERS;
use crate::visitor::Arrival;

/// A client's connection that has been accepted.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) place: Place,
}

/// A connection of which it is known who opened it, and what he speaks.
struct Begun {
    opened: Opened,
    since: Instant,
    client: Client,
}

/// Serves one connection to its end.
pub(crate) async fn serve(accepted: Accepted, shared: Arc<Shared>, tasks: Tasks) {
    // In boxes, since an idle connection of HTTP/1.1 would have to carry the room for all else with it.
    let Some(begun) = Box::pin(begin(accepted, shared, tasks)).await else {
        return;
    };
    match begun.opened.version {
        Version::Http1 => serve_http1(begun).await,
        Version::Http2 => Box::pin(http2::serve(begun.opened, begun.client)).await,
    }
}

async fn begin(accepted: Accepted, shared: Arc<Shared>, tasks: Tasks) -> Option<Begun> {
    let since = Instant::now();
    let stream = accepted.stream;
    // Both fail only when the client is gone already.
    let local = stream.local_addr().ok()?;
    stream.set_nodelay(true).ok()?;
    let open = Arc::new(shared.connections.open(accepted.place));
    let config = &shared.config;
    let arrival = Arrival::new(accepted.peer.ip(), local.port(), &config.trusted_proxies);
    let opened = tokio::select! {
        opened = opening::open(stream, arrival, since, config) => opened,
        () = tasks.draining() => return None,
    };
    let opened = opened.inspect_err(|error| log_end(error)).ok()??;
    let arrival = opened.arrival;
    let counted = shared.clients.connect(&arrival, &shared.config);
    let Ok(counted) = counted else {
        refuse(&opened.stream);
        let refusal = Refusal::Limited(Limited::TooManyConnections);
        shared.refused_unread(arrival.peer, &refusal, 0);
        return None;
    };
    let client = Client {
        shared,
        arrived: Arrived::new(&arrival),
        arrival,
        counted,
        tasks,
        open,
    };
    Some(Begun {
        opened,
        since,
        client,
    })
}

/// Told without waiting for anything, and so without costing anything.
fn refuse(stream: &TcpStream) {
    let _ = stream.try_write(TOO_MANY);
    // Closing a socket with something unread resets it, which may overtake the answer.
    let _ = stream.try_read(&mut [0; 4096]);
}

const TOO_MANY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\
    Retry-After: 5\r\n\r\n";

async fn serve_http1(begun: Begun) {
    let (tasks, shared) = (begun.client.tasks.clone(), Arc::clone(&begun.client.shared));
    let arrival = begun.client.arrival;
    let mut connection = http1_connection(begun);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = tasks.draining() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let Err(error) = ended else { return };
    log_end(&error);
    if let Some(refusal) = unread(&error) {
        shared.refused_unread(arrival.peer, &refusal, 0);
    } else if error.is_timeout()
        && let Some(parts) = connection.into_parts()
    {
        Box::pin(slow_head::refuse(parts, &shared, &arrival)).await;
    }
}

/// What hyper has answered by itself to something that it could not read.
fn unread(error: &hyper::Error) -> Option<Refusal> {
    if error.is_parse_too_large() {
        Some(Refusal::Limited(Limited::HeadTooLarge))
    } else if error.is_parse() {
        Some(Refusal::BadRequest("This is no request."))
    } else {
        None
    }
}

/// No local variable of this is kept with the connection, as it would be in an `async fn`.
fn http1_connection(
    begun: Begun,
) -> UpgradeableConnection<
    TokioIo<ClientStream>,
    impl Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible, Future: Send>
    + Send,
> {
    let Begun {
        opened,
        since,
        client,
    } = begun;
    let config = Arc::clone(&client.shared.config);
    let timer = HeadTimer::new(since, &config);
    let (phase, half_closed) = (timer.phase(), config.half_closed_request);
    let stream = ClientStream::new(opened.stream, opened.ahead, phase, half_closed);
    let client = Arc::new(client);
    let service = service_fn(move |request| {
        let client = Arc::clone(&client);
        async move { Ok::<_, Infallible>(client.answer(request).await) }
    });
    let connection = http1_server(&config, timer).serve_connection(TokioIo::new(stream), service);
    connection.with_upgrades()
}

fn http1_server(config: &Config, timer: HeadTimer) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(timer).header_read_timeout(config.header_read);
    builder.max_header_size(config.max_header_bytes);
    if config.max_headers != DEFAULT_MAX_HEADERS {
        builder.max_headers(config.max_headers);
    }
    builder
}

pub(crate) fn log_end(error: &dyn Error) {
    tracing::debug!(%error, "a client's connection broke");
}
