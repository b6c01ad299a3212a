//! Registries that the launcher may log in to. A password that was stored is told to the engine and
//! to nobody else.

mod host;
mod refusal;
mod secret;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub use host::{InvalidRegistry, RegistryHost};
pub(crate) use refusal::{Attempt, Refusal, Verb};
pub use secret::Secret;
pub(crate) use secret::without;

use crate::{
    Change, Error, ImageName, Observer,
    engine::{Engine, EngineError, RegistryLogin},
    ids::random_id,
    store::Store,
};

/// Registries that are remembered at most.
const MAX_REGISTRIES: usize = 100;

/// A registry that the launcher may log in to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registry {
    /// Meteor document id, 17 characters.
    pub id: String,
    /// Which one.
    pub registry: RegistryHost,
    /// Who logs in.
    pub username: String,
    /// With which password, or token.
    pub(crate) password: Secret,
    /// When its credentials were stored first.
    pub created_at: Timestamp,
    /// When the registry last took them.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
    /// Why it did not take them the last time, in words for the caller.
    #[serde(default)]
    pub error: Option<String>,
}

/// Credentials that a caller hands over.
#[derive(Clone, Debug)]
pub struct NewRegistry {
    /// Which registry.
    pub registry: RegistryHost,
    /// Who logs in.
    pub username: String,
    /// With which password, or token.
    pub password: Secret,
    /// Whether the engine should try them first.
    pub verify: bool,
}

/// All of them.
pub(crate) struct Registries {
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    observer: Arc<dyn Observer>,
    /// Held from reading a record to entering its successor.
    writing: tokio::sync::Mutex<()>,
    known: Mutex<IndexMap<RegistryHost, Registry>>,
}

impl Registries {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            store,
            engine,
            observer,
            writing: tokio::sync::Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// Fills the table from the store.
    pub(crate) async fn load(&self) -> Result<(), Error> {
        for registry in self.store.all::<Registry>().await? {
            self.enter(registry);
        }
        Ok(())
    }

    /// Stores credentials, in place of those that there were for the same registry, and returns the
    /// registry's id.
    pub(crate) async fn add(&self, new: NewRegistry) -> Result<String, Error> {
        let used = match new.verify {
            true => Some(self.verify(&new).await?),
            false => None,
        };
        let _order = self.writing.lock().await;
        let known = self.known.lock().get(&new.registry).cloned();
        if known.is_none() && self.known.lock().len() >= MAX_REGISTRIES {
            return Err(Error::TooManyRegistries(MAX_REGISTRIES));
        }
        let (id, created_at) = known.map_or_else(
            || (random_id(), Timestamp::now()),
            |known| (known.id, known.created_at),
        );
        let registry = Registry {
            id: id.clone(),
            registry: new.registry,
            username: new.username,
            password: new.password,
            created_at,
            last_used_at: used,
            error: None,
        };
        self.store.put(&registry).await?;
        self.enter(registry);
        Ok(id)
    }

    /// Forgets the credentials of a registry, named by its id or its host.
    pub(crate) async fn remove(&self, which: &str) -> Result<(), Error> {
        let _order = self.writing.lock().await;
        let host = RegistryHost::parse(which).ok();
        let found = {
            let known = self.known.lock();
            let is_meant = |r: &&Registry| r.id == which || Some(&r.registry) == host.as_ref();
            known.values().find(is_meant).cloned()
        };
        let registry = found.ok_or(Error::NoSuchRegistry)?;
        self.store.remove::<Registry>(&registry.id).await?;
        self.known.lock().shift_remove(&registry.registry);
        self.observer.changed(Change::Registry(&registry.id, None));
        Ok(())
    }

    /// Credentials for an image's registry, if there are any.
    pub(crate) fn login_for(&self, image: &ImageName) -> Option<RegistryLogin> {
        self.known.lock().get(&image.registry()).map(login)
    }

    /// All credentials.
    pub(crate) fn logins(&self) -> Vec<RegistryLogin> {
        self.known.lock().values().map(login).collect()
    }

    /// Remembers whether a registry took its credentials.
    pub(crate) async fn note_use(&self, used: &RegistryLogin, refusal: Option<&Refusal>) {
        let _order = self.writing.lock().await;
        let known = self.known.lock().get(&used.registry).cloned();
        // They may have been replaced meanwhile.
        let Some(mut registry) = known.filter(|known| login(known) == *used) else {
            return;
        };
        match refusal {
            None => {
                registry.last_used_at = Some(Timestamp::now());
                registry.error = None;
            }
            Some(refusal) if refusal.is_denied() => registry.error = Some(refusal.to_string()),
            Some(_) => return,
        }
        if let Err(error) = self.store.put(&registry).await {
            tracing::warn!(registry = %registry.registry, %error, "the use of credentials could not be recorded");
        }
        self.enter(registry);
    }

    async fn verify(&self, new: &NewRegistry) -> Result<Timestamp, Error> {
        let login = RegistryLogin {
            registry: new.registry.clone(),
            username: new.username.clone(),
            password: new.password.clone(),
        };
        let text = match self.engine.check_login(&login).await {
            Ok(()) => return Ok(Timestamp::now()),
            Err(EngineError::Failed(text) | EngineError::NotFound(text)) => text,
            Err(error) => return Err(error.into()),
        };
        let attempt = Attempt {
            verb: Verb::LogIn,
            registry: &new.registry,
            image: None,
            username: Some(&new.username),
        };
        let refusal = attempt.refused(&text);
        match refusal.is_denied() {
            true => Err(Error::CredentialsRefused(refusal.to_string())),
            false => Err(Error::NotCarriedOut(refusal.to_string())),
        }
    }

    fn enter(&self, registry: Registry) {
        let mut known = self.known.lock();
        self.observer
            .changed(Change::Registry(&registry.id, Some(&registry)));
        known.insert(registry.registry.clone(), registry);
    }
}

fn login(registry: &Registry) -> RegistryLogin {
    RegistryLogin {
        registry: registry.registry.clone(),
        username: registry.username.clone(),
        password: registry.password.clone(),
    }
}
