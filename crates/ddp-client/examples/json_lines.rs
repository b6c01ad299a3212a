//! A DDP client for scripts: commands on standard input, what happens on standard output, each a
//! line of JSON. `cargo run -p ddp-client --example json_lines -- localhost:3000 tasks users`
//! connects, stays connected, and tells every change of the collections `tasks` and `users`.
//!
//! A command is `{"id": …, "op": …, "params": […]}`; its answer is `{"id": …, "result": …}` or
//! `{"id": …, "error": {"error", "reason", "details"}}`, in which the error `client` is one that the
//! server knows nothing of. Commands run at the same time. The values of `op`:
//!
//! - `call`, with a method and its arguments. `undefined` is answered as `null`;
//! - `subscribe`, with a publication and its arguments, is answered when the data is there, by
//!   what `unsubscribe` takes;
//! - `login`, with a user's name or e-mail address and the password; `resume`, with a token; both
//!   are answered by `{"id", "token"}`; `logout`.
//!
//! Between answers come `{"collection": …, "document": …}` for a document that has come or
//! changed, `{"collection": …, "removed": …}` for the id of one that is gone, and
//! `{"status": "connected"}`, also for `connecting`, `waiting`, `failed`, `offline` and `closed`,
//! where it is known with a `reason`.
//!
//! The program ends with its standard input.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what is printed is what this program is for"
)]

use std::collections::HashMap;
use std::io::BufRead as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ddp_client::ejson::{self, Fields, Value};
use ddp_client::{
    CallOptions, Client, DocumentChange, Error, ErrorCode, Event, Login, Observer, Status,
    Subscription, Token, object,
};
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(address) = words.next() else {
        eprintln!("usage: json_lines ADDRESS [COLLECTION]...");
        return ExitCode::FAILURE;
    };
    match run(&address, words).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(address: &str, collections: impl Iterator<Item = String>) -> Result<(), Error> {
    let client = Client::connect(address).await?;
    let mut events = client.events();
    tell_status(&Status::Connected);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let Event::Status(status) = event {
                tell_status(&status);
            }
        }
    });
    for name in collections {
        let changes = client.collection(&name).observe();
        tokio::spawn(follow(name, changes));
    }
    let script = Script {
        client: client.clone(),
        subscriptions: Arc::default(),
    };
    let mut lines = read_lines();
    while let Some(line) = lines.recv().await {
        tokio::spawn(script.clone().answer(line));
    }
    client.close().await;
    Ok(())
}

/// The lines of standard input, from a thread that can wait for them.
fn read_lines() -> mpsc::Receiver<String> {
    let (lines, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

async fn follow(collection: String, mut changes: Observer) {
    while let Some(change) = changes.next().await {
        let name = collection.as_str();
        tell(&match change {
            DocumentChange::Added(document) | DocumentChange::Changed { document, .. } => {
                // a document is an object, and that can be read as any value
                let document = document.parse::<Value>().unwrap_or(Value::Null);
                object! { "collection": name, "document": document }
            }
            DocumentChange::Removed(document) => {
                let id = document.id.to_value().unwrap_or(Value::Null);
                object! { "collection": name, "removed": id }
            }
        });
    }
}

/// What commands work with.
#[derive(Clone)]
struct Script {
    client: Client,
    subscriptions: Arc<Mutex<HashMap<String, Subscription>>>,
}

impl Script {
    async fn answer(self, line: String) {
        let command = ejson::parse(&line).unwrap_or(Value::Null);
        let member = |key| command.get(key).cloned().unwrap_or(Value::Null);
        let id = member("id");
        let params = match member("params") {
            Value::Array(params) => params,
            _ => Vec::new(),
        };
        let op = member("op");
        let outcome = self.run(op.as_str().unwrap_or_default(), params).await;
        tell(&match outcome {
            Ok(result) => object! { "id": id, "result": result },
            Err(error) => object! { "id": id, "error": error },
        });
    }

    async fn run(&self, op: &str, params: Vec<Value>) -> Result<Value, Value> {
        let client = &self.client;
        let outcome = match op {
            "call" => {
                let call = client.call_value(text(&params, 0)?, rest(&params), CallOptions::new());
                call.await.map(|result| result.unwrap_or(Value::Null))
            }
            "subscribe" => self.subscribe(text(&params, 0)?, rest(&params)).await,
            "unsubscribe" => Ok(self.unsubscribe(text(&params, 0)?)),
            "login" => {
                let login = client.login_with_password(text(&params, 0)?, text(&params, 1)?);
                login.await.map(shown)
            }
            "resume" => client.login_with_token(text(&params, 0)?).await.map(shown),
            "logout" => client.logout().await.map(|()| Value::Null),
            _ => return Err(own_error("no such op")),
        };
        outcome.map_err(|error| explain(&error))
    }

    async fn subscribe(&self, name: &str, params: Vec<Value>) -> Result<Value, Error> {
        let subscription = self.client.subscribe(name, params).await?;
        subscription.ready().await?;
        let id = subscription.id().to_owned();
        self.subscriptions().insert(id.clone(), subscription);
        Ok(id.into())
    }

    fn unsubscribe(&self, id: &str) -> Value {
        // it ends by being dropped
        self.subscriptions().remove(id).is_some().into()
    }

    fn subscriptions(&self) -> MutexGuard<'_, HashMap<String, Subscription>> {
        let subscriptions = self.subscriptions.lock();
        subscriptions.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text at this place of a command's parameters.
fn text(params: &[Value], at: usize) -> Result<&str, Value> {
    let text = params.get(at).and_then(Value::as_str);
    text.ok_or_else(|| own_error(&format!("params[{at}] must be a text")))
}

/// What comes behind the name of a method or publication.
fn rest(params: &[Value]) -> Vec<Value> {
    params.iter().skip(1).cloned().collect()
}

fn shown(login: Login) -> Value {
    let token = login.token.as_ref().map(Token::secret);
    object! { "id": login.user_id, "token": token.map_or(Value::Null, Value::from) }
}

fn explain(error: &Error) -> Value {
    let Error::Server(error) = error else {
        return own_error(&error.to_string());
    };
    let code = match error.code() {
        ErrorCode::Number(code) => Value::from(*code),
        ErrorCode::String(code) => Value::from(code.as_str()),
    };
    let mut shown = Fields::new();
    shown.insert("error".to_owned(), code);
    if let Some(reason) = error.reason() {
        shown.insert("reason".to_owned(), reason.into());
    }
    if let Some(details) = error.details_value() {
        shown.insert("details".to_owned(), details.clone());
    }
    Value::Object(shown)
}

fn own_error(reason: &str) -> Value {
    object! { "error": "client", "reason": reason }
}

fn tell_status(status: &Status) {
    let (name, reason) = match status {
        Status::Connecting => ("connecting", None),
        Status::Connected => ("connected", None),
        Status::Waiting { reason, .. } => ("waiting", Some(reason)),
        Status::Failed { reason } => ("failed", Some(reason)),
        Status::Offline => ("offline", None),
        Status::Closed => ("closed", None),
    };
    tell(&match reason {
        Some(reason) => object! { "status": name, "reason": &**reason },
        None => object! { "status": name },
    });
}

fn tell(message: &Value) {
    println!("{}", ejson::stringify(message));
}
