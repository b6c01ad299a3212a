//! Pulls and pushes, as an engine is asked for them and tells of them.

use std::sync::Arc;

use crate::registries::{RegistryHost, Secret};

/// A pull or a push.
pub struct Transfer {
    /// The image's name, with a tag or a digest.
    pub name: String,
    /// Credentials of its registry, if there are any.
    pub login: Option<RegistryLogin>,
    /// Called with everything that the engine tells.
    pub output: TransferOutput,
}

/// Takes what an engine tells of a transfer.
pub type TransferOutput = Arc<dyn Fn(TransferNews<'_>) + Send + Sync>;

/// Credentials of a registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegistryLogin {
    /// The registry.
    pub registry: RegistryHost,
    /// Who logs in; `<token>` where the password is an identity token.
    pub username: String,
    /// The password, or a token.
    pub password: Secret,
}

/// What an engine tells of a transfer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransferNews<'a> {
    /// Of one layer.
    Layer {
        /// Short id of the layer.
        id: &'a str,
        /// How far it is.
        state: LayerState,
        /// The same in the engine's words.
        text: &'a str,
    },
    /// Of the transfer as a whole.
    Text(&'a str),
}

/// How far one layer of a transfer is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LayerState {
    /// It waits for its turn.
    Waiting,
    /// Its bytes are on their way.
    Moving {
        /// So many have arrived.
        done: u64,
        /// Of so many, if that is known.
        of: Option<u64>,
    },
    /// All bytes have arrived; it is unpacked.
    Unpacking,
    /// It is done.
    Done,
}
