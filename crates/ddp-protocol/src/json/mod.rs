//! JSON text as JavaScript's `JSON.parse` and `JSON.stringify` treat it.
//!
//! A reader of its own because a DDP server has to take what JavaScript takes: `1e400` is
//! infinity there and an error elsewhere.

mod parse;
mod scan;
mod write;

pub use parse::{MAX_DEPTH, SyntaxError, parse};
pub(crate) use write::{write_array, write_json, write_number, write_object, write_string};
