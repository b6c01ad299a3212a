//! Whether a host may be given more containers.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::Error;

/// What a host may be given.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HostSettings {
    /// The most containers that it may run; `None`: as many as it can.
    pub max: Option<u32>,
    /// Whether it is given new ones.
    pub active: bool,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            max: None,
            active: true,
        }
    }
}

impl HostSettings {
    /// Whether containers may be added that were not there before.
    pub(crate) fn check_active(self) -> Result<(), Error> {
        match self.active {
            true => Ok(()),
            false => Err(Error::HostInactive),
        }
    }

    /// Whether so many more may run beside those that should run already.
    pub(crate) fn check_room(self, wanted: u64, more: u32) -> Result<(), Error> {
        match self.max {
            Some(max) if wanted + u64::from(more) > u64::from(max) => {
                Err(Error::HostFull { max, wanted, more })
            }
            _ => Ok(()),
        }
    }
}

/// The settings as they are now.
#[derive(Default)]
pub(crate) struct Placement(Mutex<HostSettings>);

impl Placement {
    pub(crate) fn new(settings: HostSettings) -> Self {
        Self(Mutex::new(settings))
    }

    pub(crate) fn get(&self) -> HostSettings {
        *self.0.lock()
    }

    pub(super) fn set(&self, settings: HostSettings) {
        *self.0.lock() = settings;
    }
}
