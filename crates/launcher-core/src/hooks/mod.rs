//! Webhooks of registries: addresses that nobody can guess, at which a registry tells of pushes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    digest::SecretHash,
    store::{Kind, Record},
};

/// The record of a hook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// 17 characters; no secret.
    pub id: String,
    /// What its owner calls it.
    #[serde(default)]
    pub name: Option<String>,
    /// Whoever has the secret is believed.
    pub secret: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Record for Hook {
    const KIND: Kind = Kind::Hook;

    fn id(&self) -> &str {
        &self.id
    }
}
