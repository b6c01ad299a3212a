//! A DDP server, as Meteor's, without Meteor: methods, publications and live collections over
//! WebSocket.
//!
//! ```no_run
//! use ddp_server::{Error, MethodContext, Publication, Server, Subscription, ejson, fields};
//!
//! # async fn example() -> std::io::Result<()> {
//! let (tasks, tasks_view) = ddp_server::live::collection("tasks");
//!
//! let server = Server::builder()
//!     .method("addTask", move |_ctx: MethodContext, params: Vec<ejson::Value>| {
//!         let text = params.first().and_then(|text| text.as_str()).map(str::to_owned);
//!         let added = text.ok_or_else(Error::match_failed).map(|text| {
//!             let id = ddp_server::random_id();
//!             tasks.set(&id, fields! { "text": text, "done": false });
//!             id
//!         });
//!         async move { added }
//!     })
//!     .publish("tasks", move |_sub: Subscription, _params: Vec<ejson::Value>| {
//!         let all = tasks_view.find();
//!         async move { Ok(Publication::from(all)) }
//!     })
//!     .build();
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! server.run(listener, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```
//!
//! Behaviour follows `packages/ddp-server` of Meteor 3; what the protocol demands is decided in
//! [`ddp_protocol`], this crate brings sockets, tasks and time.

pub mod live;

mod command;
mod config;
mod connection;
mod driver;
mod handlers;
mod id;
mod listen;
mod method;
mod publication;
mod server;
mod task;
mod upgrade;
mod wire;

pub use config::{Config, Heartbeat};
pub use connection::Connection;
pub use ddp_protocol::{DocumentId, Error, ejson, fields, object};
pub use id::random_id;
pub use method::{IntoResult, MethodContext, WriteGuard};
pub use publication::{Publication, Subscription};
pub use server::{Builder, Server};
