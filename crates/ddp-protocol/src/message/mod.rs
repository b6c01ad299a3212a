//! The messages of DDP: what clients send and what servers answer.

mod client;
mod from_server;
mod server;
mod to_server;

pub(crate) use client::{Incoming, Kind, Request};
pub(crate) use from_server::{Action, Data, ResultError, Told};
pub use server::{DataMessage, ServerMessage};
pub use to_server::ClientMessage;
