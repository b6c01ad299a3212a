//! Live collections: documents in memory whose changes reach every subscriber.
//!
//! [`collection`] makes one and gives its two ends: a [`Writer`], of which there is only one, and
//! a [`Collection`] that can be read and published from anywhere. A publication returns a
//! [`Query`]: which documents, and which of their fields.
//!
//! ```
//! use ddp_server::{fields, live};
//!
//! let (tasks, tasks_view) = live::collection("tasks");
//! tasks.set("milk", fields! { "list": "home", "text": "Buy milk", "secret": 1 });
//! tasks.set("mail", fields! { "list": "work", "text": "Answer Ada", "secret": 2 });
//!
//! let home = tasks_view.find().equals("list", "home").exclude(["secret"]);
//! let (id, milk) = home.documents().remove(0);
//! assert_eq!((id.as_wire(), milk.len()), ("milk", 2));
//! ```
//!
//! What a change changes is found once for each distinct query, whoever listens: subscriptions to
//! the same query share its documents and its changes. A document that begins to match is `added`,
//! one that no longer does is `removed`. A write hands its changes to the sessions before it
//! returns, so what a method wrote reaches its caller before the method's `updated`; it never
//! waits for a session.

mod collection;
mod documents;
mod observer;
mod observers;
mod query;
mod selector;
mod shared;
mod typed;
mod writer;

pub use self::collection::{Collection, collection};
pub use self::query::Query;
pub use self::writer::Writer;
