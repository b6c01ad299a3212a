//! A DDP client: methods, subscriptions and collections of a Meteor server, or of any other that
//! speaks DDP, from Rust.
//!
//! ```
//! use ddp_client::{Client, DocumentChange};
//! use ddp_server::{Server, fields, live};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // a server to talk to
//! let (tasks, tasks_view) = live::collection("tasks");
//! let server = Server::builder()
//!     .method("addTask", move |_ctx, (text,): (String,)| {
//!         tasks.set("1", fields! { "text": text, "done": false });
//!         async move { Ok("1") }
//!     })
//!     .publish("tasks", move |_sub, (): ()| {
//!         let all = tasks_view.find();
//!         async move { Ok(all) }
//!     })
//!     .build();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?.to_string();
//! tokio::spawn(async move { server.run(listener, std::future::pending()).await });
//!
//! // the client
//! let client = Client::connect(&address).await?;
//! let subscription = client.subscribe("tasks", ()).await?;
//! subscription.ready().await?;
//!
//! let mut changes = client.collection("tasks").observe();
//! let id: String = client.call("addTask", ("Buy milk",)).await?;
//! assert!(matches!(changes.next().await, Some(DocumentChange::Added(_))));
//!
//! #[derive(serde::Deserialize)]
//! struct Task {
//!     _id: String,
//!     text: String,
//! }
//! let tasks: Vec<Task> = client.collection("tasks").docs()?;
//! assert_eq!((tasks[0]._id.as_str(), tasks[0].text.as_str()), (id.as_str(), "Buy milk"));
//!
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! What is promised:
//!
//! - A call is over when its result *and* the data that it has written are there.
//! - While there is no connection, calls wait for one, each until its deadline, and collections
//!   stay what they were. On a new connection the client first logs in again, sends the calls
//!   that have no answer, and subscribes anew; when everything is there again, what differs
//!   changes in one step; what takes too long comes later ([`Builder::max_held`]). A call whose answer was lost runs twice, unless it says
//!   [`no_retry`](CallOptions::no_retry).
//! - Everything has a limit: calls that wait, data that is held back, messages, what a slow
//!   [`Observer`] or a user interface has not asked for.
//! - No password or token shows up in an error, a log, or `Debug` output of this crate. Below it,
//!   `tungstenite` writes whole frames and headers to a log at its level `trace`: a program that
//!   logs at that level should leave `tungstenite` out of it.
//!
//! Behaviour follows Meteor's `packages/ddp-client`; it is decided in [`ddp_protocol::client`],
//! this crate brings sockets, tasks and time. There are no stubs: methods run on the server only.
//!
//! # Features
//!
//! - `tls` (default): `wss` and `https` addresses, by rustls with ring. What the platform trusts
//!   is trusted, or what [`Builder::tls`] says.

mod address;
mod builder;
mod call;
mod client;
mod collection;
mod command;
mod dial;
mod dial_error;
mod driver;
mod errands;
mod error;
mod event;
mod id;
mod login;
mod observer;
mod shared;
mod status;
mod subscription;
mod time;
#[cfg(feature = "tls")]
mod tls;
mod wire;

pub use builder::Builder;
pub use call::CallOptions;
pub use client::Client;
pub use collection::{Collection, Document};
pub use ddp_protocol::client::{BackoffPolicy, LimitError};
pub use ddp_protocol::error::ErrorCode;
pub use ddp_protocol::{DocumentId, Error as ServerError, ejson, fields, object};
pub use error::Error;
pub use event::{Event, Events};
pub use login::{Login, Token, User};
pub use observer::{DocumentChange, Observer};
pub use status::Status;
pub use subscription::Subscription;
