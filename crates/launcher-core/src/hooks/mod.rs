//! Webhooks of registries: addresses that nobody can guess, at which a registry tells of pushes.

mod deploy;
mod payload;

use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub(crate) use deploy::AutoDeploys;
pub use payload::{UnknownPayload, pushes};

use crate::{
    Change, Error, ImageName, Observer,
    digest::{SecretHash, recognise},
    ids::random_id,
    store::{Kind, Record, Store},
};

/// Most hooks that there may be.
pub const MAX_HOOKS: usize = 100;

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

/// A hook as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct HookView {
    /// Its record.
    pub record: Arc<Hook>,
    /// When it was last used, since the launcher was started.
    pub last_push_at: Option<Timestamp>,
    /// What was pushed then.
    pub last_images: Vec<ImageName>,
}

/// All hooks.
pub struct Hooks {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
    /// Held while a hook is made or removed.
    writing: tokio::sync::Mutex<()>,
    table: Mutex<IndexMap<String, HookView>>,
}

impl Hooks {
    pub(crate) fn new(store: Arc<dyn Store>, observer: Arc<dyn Observer>) -> Self {
        Self {
            store,
            observer,
            writing: tokio::sync::Mutex::default(),
            table: Mutex::default(),
        }
    }

    /// Fills the table from the store.
    pub(crate) async fn load(&self) -> Result<(), Error> {
        for record in self.store.all::<Hook>().await? {
            self.enter(record);
        }
        Ok(())
    }

    /// Makes a hook and returns its id and its secret, which is told nobody else and never again.
    ///
    /// # Errors
    /// [`Error::TooManyHooks`].
    pub async fn create(&self, name: Option<String>) -> Result<(String, String), Error> {
        let _order = self.writing.lock().await;
        if self.table.lock().len() >= MAX_HOOKS {
            return Err(Error::TooManyHooks(MAX_HOOKS));
        }
        let (secret, hash) = SecretHash::generate();
        let record = Hook {
            id: random_id(),
            name,
            secret: hash,
            created_at: Timestamp::now(),
        };
        self.store.put(&record).await?;
        let id = record.id.clone();
        self.enter(record);
        Ok((id, secret))
    }

    /// Removes a hook: what is sent to it from now on finds nothing.
    ///
    /// # Errors
    /// [`Error::NoSuchHook`].
    pub async fn remove(&self, id: &str) -> Result<(), Error> {
        let _order = self.writing.lock().await;
        if !self.table.lock().contains_key(id) {
            return Err(Error::NoSuchHook(id.to_owned()));
        }
        self.store.remove::<Hook>(id).await?;
        let mut table = self.table.lock();
        table.shift_remove(id);
        self.observer.changed(Change::Hook(id, None));
        Ok(())
    }

    /// The id of the hook that this secret belongs to.
    #[must_use]
    pub fn find(&self, secret: &str) -> Option<String> {
        let table = self.table.lock();
        let known = table.iter().map(|(id, view)| (&view.record.secret, id));
        recognise(secret, known).cloned()
    }

    pub(crate) fn note_push(&self, id: &str, images: &[ImageName]) {
        let mut table = self.table.lock();
        if let Some(view) = table.get_mut(id) {
            view.last_push_at = Some(Timestamp::now());
            view.last_images = images.to_vec();
            self.observer.changed(Change::Hook(id, Some(view)));
        }
    }

    fn enter(&self, record: Hook) {
        let view = HookView {
            record: Arc::new(record),
            last_push_at: None,
            last_images: Vec::new(),
        };
        let mut table = self.table.lock();
        self.observer
            .changed(Change::Hook(&view.record.id, Some(&view)));
        table.insert(view.record.id.clone(), view);
    }
}
