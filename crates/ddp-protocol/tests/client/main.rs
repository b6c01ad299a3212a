//! The promises of a client's connection, one short conversation each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod chance;
mod limits;
mod logins;
mod reconnects;
mod talk;
mod versions;
