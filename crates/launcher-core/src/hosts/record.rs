//! What is stored of a host: what callers have set.

use serde::{Deserialize, Serialize};

use super::HostSettings;
use crate::store::{Kind, Record};

/// Id of the record of the local host, among those of other settings.
pub(super) const LOCAL_ID: &str = "host/local";

#[derive(Serialize, Deserialize)]
pub(super) struct HostRecord {
    id: String,
    #[serde(flatten)]
    pub(super) settings: HostSettings,
}

impl HostRecord {
    pub(super) fn local(settings: HostSettings) -> Self {
        Self {
            id: LOCAL_ID.to_owned(),
            settings,
        }
    }
}

impl Record for HostRecord {
    const KIND: Kind = Kind::Setting;

    fn id(&self) -> &str {
        &self.id
    }
}
