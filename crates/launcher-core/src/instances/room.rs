//! Whether the host may be given what is wished.

use super::{Instances, Wish};
use crate::{AppInstance, Error, Wanted};

impl Instances {
    /// Whether a new instance may be recorded.
    pub(super) fn check_launch(&self, record: &AppInstance) -> Result<(), Error> {
        self.placement.get().check_active()?;
        self.check_room(record.replicas)
    }

    /// Whether a wish may be recorded.
    pub(super) fn check_wish(&self, wish: Wish, record: &AppInstance) -> Result<(), Error> {
        let runs = matches!(record.wanted, Wanted::Running { .. });
        match wish {
            Wish::Scale(replicas) if replicas > record.replicas => {
                self.placement.get().check_active()?;
                let more = if runs { replicas - record.replicas } else { 0 };
                self.check_room(more)
            }
            Wish::Start | Wish::Restart if !runs => self.check_room(record.replicas),
            _ => Ok(()),
        }
    }

    /// Whether so many containers may run beside those that should.
    pub(super) fn check_room(&self, more: u32) -> Result<(), Error> {
        if more == 0 {
            return Ok(());
        }
        let table = self.table.read();
        let wanted = table.values().map(|entry| {
            let record = &entry.view.borrow().record;
            match record.wanted {
                Wanted::Running { .. } => u64::from(record.replicas),
                _ => 0,
            }
        });
        self.placement.get().check_room(wanted.sum(), more)
    }
}
