//! A server to talk to, which can be stopped and started again on its port.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod scripted;

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use ddp_client::ejson::{Fields, Value};
use ddp_client::{BackoffPolicy, Builder, Client, DocumentChange, Observer, Status};
use ddp_server::{Error, MethodContext, Publication, Server, Subscription, fields, live, object};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything may take before a test has failed. Nothing waits this long otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what has to happen.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

/// A subscription that is ready.
pub(crate) async fn subscribed(client: &Client, name: &str) -> ddp_client::Subscription {
    let sub = client.subscribe(name, ()).await.unwrap();
    soon("ready", sub.ready()).await.unwrap();
    sub
}

/// The next change, in short.
pub(crate) async fn next(changes: &mut Observer) -> String {
    let n = |fields: &Fields| fields["n"].as_f64().unwrap();
    match soon("a change", changes.next()).await {
        Some(DocumentChange::Added(document)) => {
            format!("+{} {}", document.id, n(&document.fields))
        }
        Some(DocumentChange::Changed { document, before }) => {
            format!("{} {}>{}", document.id, n(&before), n(&document.fields))
        }
        Some(DocumentChange::Removed(document)) => format!("-{}", document.id),
        None => "end".to_owned(),
    }
}

/// Waits for a session.
pub(crate) async fn connected(client: &Client) {
    let mut status = client.status();
    let connected = status.wait_for(|status| *status == Status::Connected);
    soon("a connection", connected).await.unwrap();
}

/// Waits until there is none.
pub(crate) async fn lost(client: &Client) {
    let mut status = client.status();
    let lost = status.wait_for(|status| matches!(status, Status::Waiting { .. }));
    soon("the loss", lost).await.unwrap();
}

/// What outlives a restart of the server.
pub(crate) struct World {
    pub(crate) tasks: Arc<live::Writer>,
    tasks_view: live::Collection,
    pub(crate) address: SocketAddr,
    /// How often the method `closeOnce` ran.
    pub(crate) runs: Arc<AtomicU32>,
    /// Every login that was tried.
    pub(crate) logins: mpsc::Receiver<Value>,
    login_tried: mpsc::Sender<Value>,
    /// The methods `hold`, which ends after a `release`, and `note`, as they end.
    pub(crate) ended: mpsc::Receiver<&'static str>,
    method_ended: mpsc::Sender<&'static str>,
    released: Arc<Notify>,
    /// Whether tokens are taken.
    pub(crate) takes_tokens: Arc<AtomicBool>,
}

impl World {
    /// A world in which a server runs.
    pub(crate) async fn with_server() -> (Self, Running) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (tasks, tasks_view) = live::collection("tasks");
        let (login_tried, logins) = mpsc::channel();
        let (method_ended, ended) = mpsc::channel();
        let world = Self {
            tasks: Arc::new(tasks),
            tasks_view,
            address: listener.local_addr().unwrap(),
            runs: Arc::default(),
            logins,
            login_tried,
            ended,
            method_ended,
            released: Arc::default(),
            takes_tokens: Arc::new(AtomicBool::new(true)),
        };
        let running = Running::start(world.server(), listener);
        (world, running)
    }

    /// Starts the server again.
    pub(crate) async fn restart(&self) -> Running {
        let listener = TcpListener::bind(self.address).await.unwrap();
        Running::start(self.server(), listener)
    }

    /// A client that does not wait long before it tries again.
    pub(crate) fn builder(&self) -> Builder {
        let builder = Client::builder(&self.address.to_string()).unwrap();
        builder.backoff(BackoffPolicy {
            max: Duration::from_millis(20),
            ..BackoffPolicy::default()
        })
    }

    pub(crate) async fn client(&self) -> Client {
        soon("a connection", self.builder().connect())
            .await
            .unwrap()
    }

    fn server(&self) -> Server {
        let builder = Server::builder();
        let builder = self.writing(self.holding(answering(builder)));
        let builder = builder.method("login", self.login());
        self.publishing(builder).build()
    }

    /// Methods that touch what outlives the server.
    fn writing(&self, builder: ddp_server::Builder) -> ddp_server::Builder {
        let (tasks, runs) = (Arc::clone(&self.tasks), Arc::clone(&self.runs));
        builder
            .method("count", move |_, (id, to): (String, u32)| {
                for n in 1..=to {
                    tasks.set(&id, fields! { "n": n });
                }
                async { Ok(()) }
            })
            .method("closeOnce", move |context: MethodContext, (): ()| {
                let before = runs.fetch_add(1, Ordering::SeqCst);
                async move {
                    if before == 0 {
                        context.connection().close();
                    }
                    Ok(before + 1)
                }
            })
    }

    /// Methods that tell in which order they end.
    fn holding(&self, builder: ddp_server::Builder) -> ddp_server::Builder {
        let (held, noted) = (self.method_ended.clone(), self.method_ended.clone());
        let (waits, releases) = (Arc::clone(&self.released), Arc::clone(&self.released));
        builder
            .method("hold", move |context: MethodContext, (): ()| {
                context.unblock();
                let (held, waits) = (held.clone(), Arc::clone(&waits));
                async move {
                    waits.notified().await;
                    held.send("hold").unwrap();
                    Ok(())
                }
            })
            .method("release", move |_, (): ()| {
                releases.notify_one();
                async { Ok(()) }
            })
            .method("note", move |_, (): ()| {
                noted.send("note").unwrap();
                async { Ok(()) }
            })
    }

    fn publishing(&self, builder: ddp_server::Builder) -> ddp_server::Builder {
        let view = self.tasks_view.clone();
        builder
            .publish("tasks", move |_: Subscription, (): ()| {
                let all = view.find();
                async { Ok(all) }
            })
            .publish("never", |_: Subscription, (): ()| async {
                Ok(Publication::manual())
            })
            .publish("refused", |_: Subscription, (): ()| async {
                Err::<Publication, _>(Error::new(403, "Access denied"))
            })
            .publish("ends", |sub: Subscription, (): ()| async move {
                sub.ready();
                sub.stop();
                Ok(Publication::manual())
            })
    }

    fn login(
        &self,
    ) -> impl Fn(MethodContext, (Value,)) -> std::future::Ready<Result<Value, Error>> + Send + Sync + use<>
    {
        let tried = self.login_tried.clone();
        let takes_tokens = Arc::clone(&self.takes_tokens);
        move |_, (options,)| {
            tried.send(options.clone()).unwrap();
            let resume = options.get("resume").and_then(Value::as_str);
            let digest = options.get("password").and_then(|p| p.get("digest"));
            let good = match resume {
                Some(token) => token == "secret" && takes_tokens.load(Ordering::SeqCst),
                None => digest
                    .and_then(Value::as_str)
                    .is_some_and(|d| d.starts_with("5e884898")),
            };
            std::future::ready(if good {
                Ok(object! { "id": "ada", "token": "secret", "type": "password" })
            } else {
                Err(Error::new(403, "Something went wrong."))
            })
        }
    }
}

/// Methods that only answer, or not even that.
fn answering(builder: ddp_server::Builder) -> ddp_server::Builder {
    builder
        .method("add", |_, (a, b): (f64, f64)| async move { Ok(a + b) })
        .method("nothing", |_, (): ()| async { Ok(()) })
        .method("logout", |_, (): ()| async { Ok(()) })
        .method("large", |_, (size,): (usize,)| async move {
            Ok("x".repeat(size))
        })
        .method("never", |context: MethodContext, (): ()| {
            context.unblock();
            pending::<Result<(), Error>>()
        })
        .method("fail", |_, (): ()| async {
            let error = Error::new("my-code", "My reason");
            Err::<(), _>(error.details(object! { "some": "details" }))
        })
}

/// A server that runs until it is stopped.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(server: Server, listener: TcpListener) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            server.run(listener, stopped.cancelled_owned()).await;
        });
        Self { stop, task }
    }

    /// Ends the server: all its sessions, and its port is free.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        soon("the end of the server", self.task).await.unwrap();
    }
}
