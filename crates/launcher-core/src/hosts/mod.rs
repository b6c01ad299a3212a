//! The machines that run containers: so far one, that of the launcher's engine.

mod placement;
mod record;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use parking_lot::Mutex;

pub use placement::HostSettings;
pub(crate) use placement::Placement;
use record::HostRecord;

use crate::{
    Change, Error, InstanceView, Observer, Status,
    disk::{self, Filesystem},
    engine::{Engine, EngineError},
    store::Store,
};

/// Id of the machine of the launcher's engine.
pub const LOCAL: &str = "local";
/// Figures that are older are asked for again when somebody begins to look at them.
const FRESH: Duration = Duration::from_secs(30);

/// A machine that runs containers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// What it may be given.
    pub settings: HostSettings,
    /// Address on which its containers' ports can be reached.
    pub address: String,
    /// Containers of the launcher's that run.
    pub containers: u32,
    /// What is known of the machine; `None` until the engine has told.
    pub machine: Option<Machine>,
    /// When that was so.
    pub checked_at: Option<Timestamp>,
    /// Why newer figures cannot be had, in words.
    pub error: Option<String>,
}

/// What an engine and its machine are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Machine {
    /// The engine's version.
    pub engine_version: String,
    /// Processors.
    pub cpus: u32,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// The file system of the engine's directory; `None` if that cannot be seen from here.
    pub disk: Option<Filesystem>,
}

/// What callers change of a host. What is left out stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostChange {
    /// The most containers that it may run; `Some(None)`: as many as it can.
    pub max: Option<Option<u32>>,
    /// Whether it is given new containers.
    pub active: Option<bool>,
}

/// The hosts as they are known.
pub(crate) struct Hosts {
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    observer: Arc<dyn Observer>,
    placement: Arc<Placement>,
    /// Held while settings are stored and entered.
    changes: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    local: Host,
    /// How many containers of each instance run, where some do.
    running: HashMap<String, u32>,
}

impl Hosts {
    /// Reads what callers have set.
    pub(crate) async fn load(
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        observer: Arc<dyn Observer>,
        address: String,
    ) -> Result<Self, Error> {
        let record = store.get::<HostRecord>(record::LOCAL_ID).await?;
        let settings = record.map(|record| record.settings).unwrap_or_default();
        let local = Host {
            settings,
            address,
            ..Host::default()
        };
        observer.changed(Change::Host(LOCAL, Some(&local)));
        Ok(Self {
            store,
            engine,
            observer,
            placement: Arc::new(Placement::new(settings)),
            changes: tokio::sync::Mutex::default(),
            known: Mutex::new(Known {
                local,
                running: HashMap::new(),
            }),
        })
    }

    /// What may be placed where.
    pub(crate) fn placement(&self) -> Arc<Placement> {
        Arc::clone(&self.placement)
    }

    /// Changes what a host may be given. What runs goes on running.
    pub(crate) async fn set(&self, id: &str, change: HostChange) -> Result<(), Error> {
        known(id)?;
        let _order = self.changes.lock().await;
        let mut settings = self.placement.get();
        settings.max = change.max.unwrap_or(settings.max);
        settings.active = change.active.unwrap_or(settings.active);
        self.store.put(&HostRecord::local(settings)).await?;
        self.placement.set(settings);
        self.enter(|known| known.local.settings = settings);
        Ok(())
    }

    /// Asks the engine what it and its machine are.
    pub(crate) async fn refresh(&self, id: &str) -> Result<(), Error> {
        known(id)?;
        let asked = self.ask().await;
        let now = Timestamp::now();
        let error = asked.as_ref().err().map(ToString::to_string);
        self.enter(|known| {
            let local = &mut known.local;
            if let Ok(machine) = &asked {
                local.machine = Some(machine.clone());
                local.checked_at = Some(now);
            }
            local.error = error;
        });
        asked.map(drop).map_err(Error::from)
    }

    /// The same, unless it was done just now.
    pub(crate) async fn refresh_if_old(&self) {
        let checked_at = self.known.lock().local.checked_at;
        let age = checked_at.and_then(|at| Duration::try_from(Timestamp::now() - at).ok());
        if age.is_none_or(|age| age > FRESH) {
            drop(self.refresh(LOCAL).await);
        }
    }

    async fn ask(&self) -> Result<Machine, EngineError> {
        let engine = &self.engine;
        let (version, resources, root) =
            tokio::try_join!(engine.version(), engine.machine(), engine.root())?;
        let disk = match root {
            Some(root) => {
                tokio::task::spawn_blocking(move || disk::filesystem::of(&root).ok()).await
            }
            None => Ok(None),
        };
        Ok(Machine {
            engine_version: version,
            cpus: resources.cpus,
            memory_bytes: resources.memory_bytes,
            disk: disk.ok().flatten(),
        })
    }

    /// Counts an instance's containers that run.
    fn instance_changed(&self, id: &str, view: Option<&InstanceView>) {
        let number = view.map_or(0, running);
        self.enter(|known| {
            let before = match number {
                0 => known.running.remove(id),
                _ => known.running.insert(id.to_owned(), number),
            };
            let containers = known.local.containers + number;
            known.local.containers = containers - before.unwrap_or(0);
        });
    }

    fn enter(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock();
        let before = known.local.clone();
        change(&mut known);
        if known.local != before {
            self.observer
                .changed(Change::Host(LOCAL, Some(&known.local)));
        }
    }
}

fn running(view: &InstanceView) -> u32 {
    let lines = view.observed.containers.iter();
    let number = lines.filter(|line| line.status == Status::Running).count();
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn known(id: &str) -> Result<(), Error> {
    match id {
        LOCAL => Ok(()),
        _ => Err(Error::NoSuchHost(id.to_owned())),
    }
}

/// Hears of instances on behalf of the hosts, and passes on what it hears.
pub(crate) struct Counting {
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Observer for Counting {
    fn changed(&self, change: Change<'_>) {
        self.observer.changed(change);
        if let Change::Instance(id, view) = change {
            self.hosts.instance_changed(id, view);
        }
    }
}
