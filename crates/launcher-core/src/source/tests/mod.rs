//! Tests of the whole module: from archives on disk and servers on loopback to build contexts.

mod arriving;
mod bundles;
mod contexts;
mod downloads;
mod hostile;
mod kit;
