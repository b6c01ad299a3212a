//! Meteor's DDP and EJSON without I/O.
//!
//! Nothing in this crate opens a socket, reads a clock or rolls dice: frames and times come in as
//! arguments, and what is to be done comes out. [`Session`] is the server's side of a connection,
//! [`client::Connection`] the client's.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use ddp_protocol::session::{Event, Names, Session, Transmit};
//!
//! struct OneMethod;
//!
//! impl Names for OneMethod {
//!     fn has_method(&self, name: &str) -> bool {
//!         name == "double"
//!     }
//!     fn has_publication(&self, _name: &str) -> bool {
//!         false
//!     }
//! }
//!
//! let now = Instant::now();
//! let mut session = Session::new(Arc::default(), Arc::new(OneMethod), "Br8mFgKZCAfKZSaMY", now);
//! session.handle_text(r#"{"msg":"connect","version":"1","support":["1"]}"#, now);
//! session.handle_text(r#"{"msg":"method","id":"m","method":"double","params":[21]}"#, now);
//!
//! while let Some(event) = session.poll_event() {
//!     if let Event::Method { call, params, .. } = event {
//!         let number = params.first().and_then(|value| value.as_f64()).unwrap_or(0.0);
//!         session.method_returned(call, Ok(Some((number * 2.0).into())));
//!     }
//! }
//!
//! let frames: Vec<_> = std::iter::from_fn(|| session.poll_transmit()).collect();
//! assert_eq!(frames, [
//!     r#"{"msg":"connected","session":"Br8mFgKZCAfKZSaMY"}"#,
//!     r#"{"msg":"updated","methods":["m"]}"#,
//!     r#"{"msg":"result","id":"m","result":42}"#,
//! ].map(|frame| Transmit::Text(frame.to_owned().into())));
//! ```

pub mod client;
pub mod ejson;
pub mod error;
pub mod heartbeat;
pub mod json;
pub mod merge_box;
pub mod message;
pub mod mongo_id;
pub mod random;
pub mod session;

pub use error::Error;
pub use merge_box::LiveChange;
pub use mongo_id::DocumentId;
pub use session::Session;
