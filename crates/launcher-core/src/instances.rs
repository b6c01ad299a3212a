//! All app instances as they stand, and the only place where they change.
//!
//! Wishes go to the store first, then into the table; observations go into the table only. Every
//! change is told to the [`Observer`] and to those who wait, in order, before the call returns.

use std::{sync::Arc, time::Duration};

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use crate::{
    AppInstance, Change, Error, Hostname, InstanceView, Observed, Observer, Status, Wanted,
    engine::{Container, Ended},
    observation,
    store::{Store, StoreError},
};

/// Most hostnames that one instance may have.
pub(crate) const MAX_HOSTNAMES: usize = 1_000;

pub(crate) struct Instances {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
    default_host: String,
    /// Held while a wish is checked, stored and entered, so that wishes cannot contradict.
    wishes: tokio::sync::Mutex<()>,
    /// Read while an instance is recorded; written while an image is removed that no instance wants.
    launches: tokio::sync::RwLock<()>,
    /// Held while observers are told, so that they hear changes in the order in which they happen.
    telling: Mutex<()>,
    table: RwLock<IndexMap<String, Entry>>,
}

struct Entry {
    view: watch::Sender<InstanceView>,
    wake: Arc<Notify>,
}

/// Something that a caller wishes of an instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wish {
    Start,
    Restart,
    Stop,
    Kill,
    Remove,
    /// A new container, which runs.
    Rebuild,
    /// A new container, when one is to run the next time.
    Renew,
}

/// How an instance was wanted before a wish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Before {
    wish: u64,
    wanted: Wanted,
    generation: u64,
}

impl Before {
    /// How it was wanted before the wish with this number.
    pub(crate) fn new(wish: u64, wanted: Wanted, generation: u64) -> Self {
        Self {
            wish,
            wanted,
            generation,
        }
    }
}

/// What a method waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Goal {
    /// The wish with this number has been carried out, or a later one that agrees with it.
    Wish(u64, Wanted),
    /// The record is gone, as this wish has it.
    Gone(u64),
}

impl Instances {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        observer: Arc<dyn Observer>,
        default_host: String,
    ) -> Self {
        Self {
            store,
            observer,
            default_host,
            wishes: tokio::sync::Mutex::default(),
            launches: tokio::sync::RwLock::default(),
            telling: Mutex::default(),
            table: RwLock::default(),
        }
    }

    /// Fills the table from the store.
    pub(crate) async fn load(&self) -> Result<(), Error> {
        for record in self.store.all::<AppInstance>().await? {
            self.enter(record);
        }
        Ok(())
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.table.read().keys().cloned().collect()
    }

    pub(crate) fn views(&self) -> Vec<InstanceView> {
        self.table
            .read()
            .values()
            .map(|entry| entry.view.borrow().clone())
            .collect()
    }

    pub(crate) fn view(&self, id: &str) -> Result<InstanceView, Error> {
        let table = self.table.read();
        let entry = table
            .get(id)
            .ok_or_else(|| Error::NoSuchInstance(id.to_owned()))?;
        Ok(entry.view.borrow().clone())
    }

    /// What wakes the instance's worker: a wish, or something that happened to its container.
    pub(crate) fn wake_handle(&self, id: &str) -> Option<Arc<Notify>> {
        self.table
            .read()
            .get(id)
            .map(|entry| Arc::clone(&entry.wake))
    }

    /// Wakes the worker of an instance; false when there is no such instance.
    pub(crate) fn wake(&self, id: &str) -> bool {
        self.wake_handle(id).map(|wake| wake.notify_one()).is_some()
    }

    /// Records a new instance.
    pub(crate) async fn add(&self, record: AppInstance) -> Result<(), Error> {
        let _launch = self.launches.read().await;
        let _order = self.wishes.lock().await;
        for hostname in &record.hostnames {
            self.check_free(hostname, &record.id)?;
        }
        if let Err(error) = self.store.put(&record).await {
            // A store that was only slow must not bring back later what its caller was refused.
            drop(
                self.store
                    .remove_instance(&record.id, Timestamp::now())
                    .await,
            );
            return Err(error.into());
        }
        self.enter(record);
        Ok(())
    }

    /// Until this is dropped no instance is recorded that wants an image.
    pub(crate) async fn no_launch(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.launches.write().await
    }

    /// Records a wish for an instance and returns what to wait for.
    pub(crate) async fn wish(&self, id: &str, wish: Wish) -> Result<Goal, Error> {
        Ok(self.wish_anew(id, wish).await?.0)
    }

    /// The same, and what [`Self::take_back`] needs.
    pub(crate) async fn wish_anew(&self, id: &str, wish: Wish) -> Result<(Goal, Before), Error> {
        let mut before = None;
        let entered = self.change(id, |view, record| {
            before = Some((record.wanted.clone(), record.generation));
            if wish == Wish::Start && is_starting(view) {
                return Ok(());
            }
            record.wanted = wanted(wish, view);
            record.wish += 1;
            match wish {
                Wish::Remove => record.hostnames.clear(),
                Wish::Rebuild | Wish::Renew => record.generation = record.wish,
                _ => {}
            }
            Ok(())
        });
        let record = entered.await?;
        self.wake(id);
        let goal = match wish {
            Wish::Remove => Goal::Gone(record.wish),
            _ => Goal::Wish(record.wish, record.wanted.clone()),
        };
        let (wanted, generation) =
            before.unwrap_or_else(|| (record.wanted.clone(), record.generation));
        let before = Before {
            wish: record.wish,
            wanted,
            generation,
        };
        Ok((goal, before))
    }

    /// Makes an instance wanted as it was before a wish, unless there is a newer one.
    pub(crate) async fn take_back(&self, id: &str, before: Before) -> Result<(), Error> {
        let taken_back = self.change(id, |_, record| {
            if record.wish == before.wish {
                record.wanted = before.wanted;
                record.generation = before.generation;
            }
            Ok(())
        });
        taken_back.await?;
        self.wake(id);
        Ok(())
    }

    pub(crate) async fn set_auto_deploy(&self, id: &str, auto_deploy: bool) -> Result<(), Error> {
        let set = self.change(id, |_, record| {
            record.auto_deploy = auto_deploy;
            Ok(())
        });
        set.await.map(drop)
    }

    pub(crate) async fn add_hostname(&self, id: &str, hostname: Hostname) -> Result<(), Error> {
        self.change(id, |_, record| {
            self.check_free(&hostname, id)?;
            if record.hostnames.contains(&hostname) {
                return Ok(());
            }
            if record.hostnames.len() >= MAX_HOSTNAMES {
                return Err(Error::TooManyHostnames(MAX_HOSTNAMES));
            }
            record.hostnames.push(hostname);
            Ok(())
        })
        .await
        .map(drop)
    }

    pub(crate) async fn remove_hostname(&self, id: &str, hostname: &Hostname) -> Result<(), Error> {
        let removal = self.change(id, |_, record| {
            record.hostnames.retain(|h| h != hostname);
            Ok(())
        });
        removal.await.map(drop)
    }

    /// Enters a look at the instance's containers. For the reconciler only.
    pub(crate) fn see(&self, id: &str, containers: &[Container]) {
        self.update(id, |view| observation::enter(view, containers));
    }

    /// Enters that a run has ended: the engine tells so before it answers questions about it. For the
    /// reconciler only.
    pub(crate) fn see_end(&self, id: &str, ended: &Ended) {
        self.update(id, |view| observation::enter_end(view, ended));
    }

    /// Changes what has been observed of an instance. For the reconciler only.
    pub(crate) fn observe(&self, id: &str, change: impl FnOnce(&mut Observed)) {
        self.update(id, |view| change(&mut view.observed));
    }

    /// Deletes the record of an instance whose container is gone. For the reconciler only.
    pub(crate) async fn forget(&self, id: &str) -> Result<(), Error> {
        let _order = self.wishes.lock().await;
        self.store.remove_instance(id, Timestamp::now()).await?;
        let _telling = self.telling.lock();
        let entry = self.table.write().shift_remove(id);
        if entry.is_some() {
            self.observer.changed(Change::Instance(id, None));
        }
        // Dropping the entry wakes those who wait for the end: only after observers were told.
        drop(entry);
        Ok(())
    }

    /// Whether an instance of this id was removed.
    pub(crate) async fn was_removed(&self, id: &str) -> Result<bool, StoreError> {
        self.store.was_removed(id).await
    }

    /// Waits until a goal is reached.
    ///
    /// # Errors
    /// What went wrong; [`Error::Superseded`] when a newer wish took its place;
    /// [`Error::NoSuchInstance`] when the instance is gone or going.
    pub(crate) async fn reached(
        &self,
        id: &str,
        goal: &Goal,
        deadline: Duration,
    ) -> Result<(), Error> {
        let Some(mut views) = self.subscribe(id) else {
            return gone(id, goal);
        };
        let wait = async {
            loop {
                if let Some(outcome) = judge(&views.borrow_and_update(), goal) {
                    return outcome;
                }
                if views.changed().await.is_err() {
                    return gone(id, goal);
                }
            }
        };
        match tokio::time::timeout(deadline, wait).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.overdue(id, deadline)),
        }
    }

    /// Why a goal was not reached in time.
    fn overdue(&self, id: &str, deadline: Duration) -> Error {
        let failure = self.view(id).ok().and_then(|view| view.observed.failure);
        failure.map_or(Error::Deadline(deadline), |failure| {
            Error::NotYet(failure.message)
        })
    }

    fn subscribe(&self, id: &str) -> Option<watch::Receiver<InstanceView>> {
        self.table
            .read()
            .get(id)
            .map(|entry| entry.view.subscribe())
    }

    /// Changes a record: checked and made on a copy, stored, then entered.
    async fn change(
        &self,
        id: &str,
        change: impl FnOnce(&InstanceView, &mut AppInstance) -> Result<(), Error>,
    ) -> Result<Arc<AppInstance>, Error> {
        let _order = self.wishes.lock().await;
        let view = self.view(id)?;
        let current = Arc::clone(&view.record);
        if current.wanted == Wanted::Removed {
            return Err(Error::NoSuchInstance(id.to_owned()));
        }
        let mut record = AppInstance::clone(&current);
        change(&view, &mut record)?;
        if record == *current {
            return Ok(current);
        }
        self.store.put(&record).await?;
        let record = Arc::new(record);
        self.update(id, |view| view.record = Arc::clone(&record));
        Ok(record)
    }

    fn enter(&self, record: AppInstance) {
        let host = record
            .host
            .clone()
            .unwrap_or_else(|| self.default_host.clone());
        let id = record.id.clone();
        let status = first_status(&record.wanted);
        let observed = Observed {
            status,
            ..Observed::default()
        };
        let view = InstanceView {
            record: Arc::new(record),
            observed,
            host,
        };
        let _telling = self.telling.lock();
        let entry = Entry {
            view: watch::Sender::new(view.clone()),
            wake: Arc::default(),
        };
        self.table.write().insert(id.clone(), entry);
        self.observer.changed(Change::Instance(&id, Some(&view)));
    }

    fn update(&self, id: &str, change: impl FnOnce(&mut InstanceView)) {
        let _telling = self.telling.lock();
        let Some(sender) = self.table.read().get(id).map(|entry| entry.view.clone()) else {
            return;
        };
        let before = sender.borrow().clone();
        let mut after = before.clone();
        change(&mut after);
        if after != before {
            self.observer.changed(Change::Instance(id, Some(&after)));
            sender.send_replace(after);
        }
    }

    fn check_free(&self, hostname: &Hostname, for_instance: &str) -> Result<(), Error> {
        let table = self.table.read();
        let owner = table.iter().find(|(id, entry)| {
            *id != for_instance && entry.view.borrow().record.hostnames.contains(hostname)
        });
        match owner {
            None => Ok(()),
            Some((id, _)) => Err(Error::HostnameTaken {
                hostname: hostname.clone(),
                instance: id.clone(),
            }),
        }
    }
}

/// What is shown of an instance before anybody has looked.
fn first_status(wanted: &Wanted) -> Status {
    match wanted {
        Wanted::Running { .. } => Status::Creating,
        Wanted::Stopped { .. } => Status::Stopped,
        Wanted::Removed => Status::Removing,
    }
}

/// What a wish means for an instance as it is.
fn wanted(wish: Wish, view: &InstanceView) -> Wanted {
    let past = view.observed.run.clone();
    match wish {
        // A program that is being ended is no program to keep.
        Wish::Start => Wanted::Running {
            past,
            restart: is_ending(view),
        },
        Wish::Rebuild => Wanted::Running {
            past,
            restart: false,
        },
        Wish::Renew => view.record.wanted.clone(),
        Wish::Restart => Wanted::Running {
            past,
            restart: true,
        },
        Wish::Stop => Wanted::Stopped { kill: false },
        Wish::Kill => Wanted::Stopped { kill: true },
        Wish::Remove => Wanted::Removed,
    }
}

fn is_pending(view: &InstanceView) -> bool {
    view.observed.carried_out < view.record.wish
}

/// A start that has failed and waits for its next attempt does not count: who asks again wants it
/// tried now.
fn is_starting(view: &InstanceView) -> bool {
    let wanted = matches!(view.record.wanted, Wanted::Running { .. });
    is_pending(view) && wanted && view.observed.failure.is_none()
}

fn is_ending(view: &InstanceView) -> bool {
    is_pending(view) && matches!(view.record.wanted, Wanted::Stopped { .. })
}

fn gone(id: &str, goal: &Goal) -> Result<(), Error> {
    match goal {
        Goal::Gone(_) => Ok(()),
        Goal::Wish(..) => Err(Error::NoSuchInstance(id.to_owned())),
    }
}

/// Whether a goal is reached, or can no longer be, or not yet.
fn judge(view: &InstanceView, goal: &Goal) -> Option<Result<(), Error>> {
    let failed_since = |wish: u64| {
        let failure = view
            .observed
            .failure
            .as_ref()
            .filter(|failure| failure.wish >= wish);
        failure.map(|failure| Err(Error::NotYet(failure.message.clone())))
    };
    let (wish, wanted) = match goal {
        Goal::Gone(wish) => return failed_since(*wish),
        Goal::Wish(wish, wanted) => (*wish, wanted),
    };
    let id = || view.record.id.clone();
    let agrees = view.record.wanted.agrees_with(wanted);
    match view.observed.carried_out {
        done if done == wish || (done > wish && agrees) => Some(Ok(())),
        _ if view.record.wanted == Wanted::Removed => Some(Err(Error::NoSuchInstance(id()))),
        _ if !agrees => Some(Err(Error::Superseded(id()))),
        _ => failed_since(wish),
    }
}
