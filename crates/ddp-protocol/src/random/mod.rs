//! Seeded random ids, the same in every program that knows the seed (Meteor's
//! `packages/random` and `packages/ddp-common/random_stream.js`).
//!
//! A client that runs a method's stub makes up the ids of the documents that it inserts, and
//! sends the seed (`randomSeed`) along; the server makes the same ids from it. Nothing here is
//! random: seeds come from outside. Where the client sent none, take one that nobody can guess.

mod alea;
mod generator;
mod stream;

pub use self::generator::{Random, id_by};
pub use self::stream::RandomStream;
