//! All app instances as they stand, and the only place where they change.
//!
//! Wishes go to the store first, then into the table; observations go into the table only. Every
//! change is told to the [`Observer`] and to those who wait, in order, before the call returns.

mod hostnames;
mod rollouts;
mod room;
mod settling;
mod waiting;
mod wishes;

use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

pub(crate) use rollouts::{ContentChange, Order, SWITCHED_TEXT};
pub(crate) use waiting::{Goal, LAUNCH, given_up};
pub(crate) use wishes::Wish;

use crate::{
    AppInstance, Change, Error, InstanceView, Observed, Observer, Status, Wanted,
    deployments::Deployments,
    engine::{Container, Ended},
    hosts::Placement,
    reconciler::observation::{self, Picture},
    releases::Releases,
    store::{Store, StoreError},
};

pub(crate) struct Instances {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
    releases: Arc<Releases>,
    deployments: Arc<Deployments>,
    placement: Arc<Placement>,
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

impl Instances {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        observer: Arc<dyn Observer>,
        releases: Arc<Releases>,
        deployments: Arc<Deployments>,
        placement: Arc<Placement>,
        default_host: String,
    ) -> Self {
        Self {
            store,
            observer,
            releases,
            deployments,
            placement,
            default_host,
            wishes: tokio::sync::Mutex::default(),
            launches: tokio::sync::RwLock::default(),
            telling: Mutex::default(),
            table: RwLock::default(),
        }
    }

    /// Fills the table from the store, after the tables of releases and deployments.
    pub(crate) async fn load(&self) -> Result<(), Error> {
        for mut record in self.store.all::<AppInstance>().await? {
            // Earlier launchers knew no releases.
            if record.release.is_none() && record.wanted != Wanted::Removed {
                record = self.with_first_release(record).await?;
                self.store.put(&record).await?;
            }
            self.enter(record);
        }
        self.settle().await
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
        for site in &record.hostnames {
            self.check_free(&site.address, &record.id)?;
        }
        self.check_launch(&record)?;
        let record = self.with_first_release(record).await?;
        if let Err(error) = self.store.put(&record).await {
            drop(self.releases.forget(&record.id).await);
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

    /// Records an instance whose containers are there, but whose record was lost; false if it is there
    /// after all, or was removed. Hostnames that others have by now stay with them.
    pub(crate) async fn adopt(&self, mut record: AppInstance) -> Result<bool, Error> {
        let _launch = self.launches.read().await;
        let _order = self.wishes.lock().await;
        if self.view(&record.id).is_ok() || self.was_removed(&record.id).await? {
            return Ok(false);
        }
        let id = record.id.clone();
        record
            .hostnames
            .retain(|site| self.check_free(&site.address, &id).is_ok());
        let record = self.with_first_release(record).await?;
        self.store.put(&record).await?;
        self.enter(record);
        Ok(true)
    }

    /// Until this is dropped no instance is recorded that wants an image.
    pub(crate) async fn no_launch(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.launches.write().await
    }

    /// Enters a look at the instance's containers. For the reconciler only.
    pub(crate) fn see(&self, id: &str, picture: &Picture<'_>) {
        self.update(id, |view| observation::enter(view, picture));
    }

    /// Enters the instance's containers as they are found before anybody asks them anything.
    pub(crate) fn see_first(&self, id: &str, containers: Vec<Container>) {
        self.update(id, |view| observation::enter_first(view, containers));
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
        self.deployments.forget(id).await?;
        self.releases.forget(id).await?;
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
        self.enter_change(id, record).await
    }

    /// Stores a changed record, then enters it. The caller holds the lock on wishes.
    async fn enter_change(&self, id: &str, record: AppInstance) -> Result<Arc<AppInstance>, Error> {
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
}

/// What is shown of an instance before anybody has looked.
fn first_status(wanted: &Wanted) -> Status {
    match wanted {
        Wanted::Running { .. } => Status::Creating,
        Wanted::Stopped { .. } => Status::Stopped,
        Wanted::Removed => Status::Removing,
    }
}
