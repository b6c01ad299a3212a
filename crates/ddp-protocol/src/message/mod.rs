//! The messages of DDP: what clients send and what servers answer.

mod client;
mod server;

pub(crate) use client::{Incoming, Kind, Request};
pub use server::{DataMessage, ServerMessage};
