//! Which containers of an instance run.

use crate::{InstanceView, OpenConnections, Run, Status, Traffic};

/// A container that runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Running {
    pub(super) run: Run,
    /// Which replica it is, from 0.
    pub(super) replica: u32,
    /// How often that was started again.
    pub(super) restarts: u32,
    host: String,
    port: Option<u16>,
}

impl Running {
    /// Those of an instance.
    pub(super) fn of(view: &InstanceView) -> Vec<Self> {
        let containers = view.observed.containers.iter();
        let running = containers.filter(|container| container.status == Status::Running);
        let running = running.filter_map(|container| {
            Some(Self {
                run: container.run.clone()?,
                replica: container.replica,
                restarts: container.restarts,
                host: view.host.clone(),
                port: container.port,
            })
        });
        running.collect()
    }

    pub(super) fn open(&self, traffic: &dyn Traffic) -> Option<OpenConnections> {
        Some(traffic.open(&self.host, self.port?))
    }
}
