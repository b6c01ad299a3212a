//! To-do lists that all clients share: `cargo run -p ddp-server --example todos`.
//!
//! From a browser's console, with a page of any Meteor app:
//!
//! ```js
//! const todos = DDP.connect("http://localhost:3000");
//! const Tasks = new Mongo.Collection("tasks", { connection: todos });
//! todos.subscribe("tasks", "home");
//! todos.call("tasks.add", "home", "Buy milk");
//! ```

use std::sync::Arc;
use std::time::Duration;

use ddp_server::ejson::Date;
use ddp_server::live::{Writer, collection};
use ddp_server::rate_limit::{Match, Rule};
use ddp_server::{Builder, Error, Server, fields};
use serde::Serialize;

/// A document of the collection `tasks`.
#[derive(Serialize)]
struct Task {
    #[serde(rename = "_id")]
    id: String,
    list: String,
    text: String,
    done: bool,
    due: Option<Date>,
}

fn server() -> Server {
    let (tasks, view) = collection("tasks");
    let builder = Server::builder()
        // subscribers of the same list share its documents and its changes
        .publish("tasks", move |_, (list,): (String,)| {
            let on_list = view.find().equals("list", list);
            async { Ok(on_list) }
        })
        .rate_limit(Rule::methods(20, Duration::from_secs(1)).connection_id(Match::any()));
    offer_methods(builder, &Arc::new(tasks)).build()
}

fn offer_methods(builder: Builder, tasks: &Arc<Writer>) -> Builder {
    let [add, set_done, remove] = std::array::from_fn(|_| Arc::clone(tasks));
    builder
        .method(
            "tasks.add",
            move |ctx, params: (String, String, Option<Date>)| {
                let (list, text, due) = params;
                let task = Task {
                    // the id that the client's stub has made, too
                    id: ctx.random().collection("tasks").id(),
                    list,
                    text,
                    done: false,
                    due,
                };
                let outcome = insert(&add, &task);
                async { outcome.map(|()| task.id) }
            },
        )
        .method("tasks.setDone", move |_, (id, done): (String, bool)| {
            let found = set_done.update(&id, |task| task.extend(fields! { "done": done }));
            async move { known(found) }
        })
        .method("tasks.remove", move |_, (id,): (String,)| {
            let found = remove.remove(&id);
            async move { known(found) }
        })
}

fn insert(tasks: &Writer, task: &Task) -> Result<(), Error> {
    if task.text.trim().is_empty() {
        return Err(Error::new("empty", "A task needs some text"));
    }
    tasks.insert(task)?;
    Ok(())
}

fn known(found: bool) -> Result<(), Error> {
    found
        .then_some(())
        .ok_or_else(|| Error::not_found("No such task"))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let interrupted = async {
        let _no_signals_on_this_platform = tokio::signal::ctrl_c().await;
    };
    server().run(listener, interrupted).await;
    Ok(())
}
