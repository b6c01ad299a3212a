//! The server's side of [SockJS](https://github.com/sockjs/sockjs-protocol): connections that
//! exchange texts with browsers, over a WebSocket where one gets through and over plain HTTP where
//! none does. For hyper 1, and for what is made of it, such as axum.
//!
//! ```no_run
//! use std::convert::Infallible;
//!
//! use futures_util::{SinkExt, StreamExt};
//! use http::{Response, StatusCode};
//! use http_body_util::{Either, Full};
//! use hyper::{body::Bytes, server::conn::http1, service::service_fn};
//! use hyper_util::rt::TokioIo;
//! use sockjs::{Connection, SockJs};
//!
//! /// Whoever connects is greeted, and hears everything again.
//! async fn echo(mut connection: Connection) {
//!     let greeting = format!("hello over {}", connection.transport().name());
//!     if connection.send(greeting).await.is_err() {
//!         return; // gone already
//!     }
//!     while let Some(text) = connection.next().await {
//!         if text == "bye" {
//!             connection.close(3000, "Bye!");
//!         } else if connection.send(text).await.is_err() {
//!             return;
//!         }
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let service = SockJs::builder("/echo").build(echo);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
//!     loop {
//!         let (socket, peer) = listener.accept().await?;
//!         let service = service.clone();
//!         let answer = service_fn(move |request| {
//!             let service = service.clone();
//!             async move {
//!                 Ok::<_, Infallible>(match service.handle(request, peer).await {
//!                     Ok(response) => response.map(Either::Left),
//!                     // not below /echo: the rest of the site
//!                     Err(_request) => {
//!                         let mut response = Response::new(Either::Right(Full::<Bytes>::default()));
//!                         *response.status_mut() = StatusCode::NOT_FOUND;
//!                         response
//!                     }
//!                 })
//!             }
//!         });
//!         let http = http1::Builder::new();
//!         tokio::spawn(http.serve_connection(TokioIo::new(socket), answer).with_upgrades());
//!     }
//! }
//! ```
//!
//! In axum it is a fallback, or whatever else gets requests whole:
//!
//! ```
//! use axum::extract::{ConnectInfo, Request};
//! use axum::response::IntoResponse;
//! use std::net::SocketAddr;
//!
//! # let service = sockjs::SockJs::builder("/echo").build(|_connection| async {});
//! let app: axum::Router = axum::Router::new().fallback(
//!     |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| async move {
//!         match service.handle(request, peer).await {
//!             Ok(response) => response.map(axum::body::Body::new),
//!             Err(_request) => http::StatusCode::NOT_FOUND.into_response(),
//!         }
//!     },
//! );
//! let app = app.into_make_service_with_connect_info::<SocketAddr>();
//! ```
//!
//! A server that writes to its WebSockets itself asks [`SockJs::endpoint`] what a path is for, serves
//! those, and leaves the rest to [`SockJs::handle`]; what goes over a framed WebSocket is in
//! [`frame`].
//!
//! # Behaviour
//!
//! SockJS 0.3, as sockjs-node 0.3.24 speaks it, with all its transports: WebSocket, XHR streaming
//! and polling, `EventSource`, `htmlfile`, JSONP, and the iframe page through which some of them
//! reach other origins. Where this crate does otherwise:
//!
//! - A client that breaks off a response in the middle ends its session, as there, but its next
//!   request is told `c[1002,"Connection interrupted"]`; there it would get a new session.
//! - Everything has a limit: see [`Builder`].
//! - A text with `</script>` in it does not break `htmlfile`.
//! - Raw WebSockets are asked for signs of life (with a ping) like framed ones.
//! - `/chunking_test`, of SockJS 0.1, is not served.
//!
//! A text is a Rust string. Where a client sends half of a surrogate pair, it becomes `U+FFFD`, as
//! it would on a WebSocket.
//!
//! # Why there is this crate
//!
//! The crate that is called `sockjs` on crates.io is a server too, for an actix of 2018; its
//! version 0.3.0 is the last one, and no other library for Rust serves SockJS. Browsers of Meteor
//! apps speak it unless they are told not to.

pub mod frame;
pub mod handshake;

mod admission;
mod body;
mod builder;
mod config;
mod connection;
mod encoding;
mod iframe;
mod path;
mod receive;
mod registry;
mod response;
mod send;
mod server;
mod session;
mod shared;
mod socket;

pub use body::Body;
pub use builder::Builder;
pub use connection::{Connection, SendError};
pub use path::{Endpoint, Transport};
pub use server::SockJs;
