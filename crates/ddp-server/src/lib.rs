//! A DDP server, as Meteor's, without Meteor: methods, publications and live collections over
//! WebSocket and SockJS.
//!
//! ```no_run
//! use ddp_server::{Server, fields, live};
//!
//! # async fn example() -> std::io::Result<()> {
//! let (tasks, tasks_view) = live::collection("tasks");
//!
//! let server = Server::builder()
//!     .method("addTask", move |_ctx, (list, text): (String, String)| {
//!         let id = ddp_server::random_id();
//!         tasks.set(&id, fields! { "list": list, "text": text, "done": false });
//!         async move { Ok(id) }
//!     })
//!     .publish("tasks", move |_sub, (list,): (String,)| {
//!         let on_list = tasks_view.find().equals("list", list);
//!         async move { Ok(on_list) }
//!     })
//!     .build();
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! server.run(listener, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```
//!
//! That is all there is on the port. [`Server::handle`] serves DDP beside the rest of a site, with
//! axum or bare hyper.
//!
//! Where to go from here:
//!
//! - [`Builder`] lists what a server can offer; [`Server`] what it can be asked and told later;
//! - [`FromParams`], [`IntoResult`] and [`Error`] say what handlers take, return and fail with;
//! - [`MethodContext`] and [`Subscription`] are what handlers know of their call or subscriber;
//! - [`live`] keeps documents and publishes queries of them;
//! - [`rate_limit`] bounds how often clients ask, [`Config`] everything else;
//! - [`metrics`] counts.
//!
//! Behaviour follows `packages/ddp-server` of Meteor 3; what the protocol demands is decided in
//! [`ddp_protocol`], this crate brings sockets, tasks and time.

pub mod live;
pub mod metrics;
pub mod rate_limit;

mod builder;
mod callbacks;
mod command;
mod config;
mod connection;
mod driver;
mod endpoints;
mod error;
mod handlers;
mod http_service;
mod id;
mod inbox;
mod listen;
mod method;
mod method_context;
mod offers;
mod params;
mod publication;
mod publisher;
mod result;
mod server;
mod sessions;
mod subscription;
mod task;
mod transports;
mod upgrade;
mod wire;

pub use builder::Builder;
pub use config::{Config, Heartbeat};
pub use connection::Connection;
pub use ddp_protocol::error::ErrorCode;
pub use ddp_protocol::merge_box::Strategy;
pub use ddp_protocol::session::MessageRate;
pub use ddp_protocol::{DocumentId, ejson, fields, object, random};
pub use error::{ClientSafe, Error};
pub use http_service::Body;
pub use id::random_id;
pub use method_context::{MethodContext, WriteGuard};
pub use params::FromParams;
pub use publication::Publication;
pub use result::IntoResult;
pub use server::Server;
pub use subscription::Subscription;
pub use transports::Transports;
