use std::convert::Infallible;
use std::future::pending;
use std::io::Cursor;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::InspectReader;

use crate::body::ResponseBody;
use crate::config::Config;
use crate::connection::log_end;
use crate::opening::Opened;
use crate::progress::Progress;
use crate::service::Client;
use crate::shutdown::Tasks;

/// Serves an HTTP/2 connection to its end. Who says nothing for [`Config::idle_keep_alive`] is told to
/// use another one for what comes; what is being answered is not touched.
pub(crate) async fn serve(opened: Opened, client: Client) {
    let config = Arc::clone(&client.shared.config);
    let tasks = client.tasks.clone();
    let client = Arc::new(client);
    let service = service_fn(move |request| {
        let client = Arc::clone(&client);
        async move { Ok::<_, Infallible>(answer(&client, request).await) }
    });
    let (reads, writes) = opened.stream.into_split();
    let heard = Progress::default();
    let reads = counting(Cursor::new(opened.ahead).chain(reads), &heard);
    let stream = TokioIo::new(tokio::io::join(reads, writes));
    let mut connection = pin!(server(&config, &tasks).serve_connection(stream, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = time_to_end(&tasks, &heard, config.idle_keep_alive) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        log_end(&error);
    }
}

async fn answer(client: &Client, request: Request<Incoming>) -> Response<ResponseBody> {
    let mut response = client.answer(request).await;
    // A page that ends a connection of HTTP/1.1 ends only its stream here.
    response.headers_mut().remove(CONNECTION);
    response
}

async fn time_to_end(tasks: &Tasks, heard: &Progress, idle: Duration) {
    tokio::select! {
        () = tasks.draining() => {}
        _ = heard.in_time(idle, pending::<()>()) => {}
    }
}

fn counting<R: AsyncRead>(reads: R, heard: &Progress) -> impl AsyncRead + use<R> {
    let heard = heard.clone();
    InspectReader::new(reads, move |_| heard.step())
}

/// Against floods of streams that are reset at once hyper has limits of its own.
fn server(config: &Config, tasks: &Tasks) -> http2::Builder<StreamTasks> {
    let mut builder = http2::Builder::new(StreamTasks(tasks.clone()));
    builder.timer(TokioTimer::new());
    builder.max_concurrent_streams(MOST_STREAMS);
    builder.max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX));
    builder
}

const MOST_STREAMS: u32 = 128;

/// Each stream has a task of its own, which ends no later than the connection's.
#[derive(Clone)]
struct StreamTasks(Tasks);

impl<F> Executor<F> for StreamTasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}
