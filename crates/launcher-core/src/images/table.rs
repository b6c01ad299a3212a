//! All images as they stand, and the only place where they change: one for each name, however it is
//! written.
//!
//! What somebody asked for goes to the store first, then into the table; what the engine tells, and
//! how many instances use it, goes into the table only.

use std::sync::Arc;

use indexmap::IndexMap;
use parking_lot::Mutex;

use super::{
    seen::{become_ready, by_key},
    usage::Usage,
};
use crate::{
    Change, Error, Image, ImageName, InstanceView, Observer,
    engine::ListedImage,
    ids::id_of,
    store::{Store, StoreError},
};

/// Images that vanished of which it is remembered what they were called.
const MAX_GONE: usize = 1_000;

pub(super) struct Table {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
    /// Held from reading an image to entering its successor.
    writing: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By canonical name.
    entries: IndexMap<String, Entry>,
    usage: Usage,
    /// Grows with each change that is not the engine's doing.
    changes: u64,
    /// Those that vanished last, by their ids.
    gone: IndexMap<String, Image>,
}

struct Entry {
    image: Image,
    /// What the store has of it, if somebody asked for it.
    stored: Option<String>,
    /// Whether the observer knows of it.
    is_told: bool,
    /// The last change that was not the engine's doing.
    changed: u64,
}

/// A moment, to which what the engine told can be older.
#[derive(Clone, Copy)]
pub(super) struct Moment(u64);

impl Table {
    pub(super) fn new(store: Arc<dyn Store>, observer: Arc<dyn Observer>) -> Self {
        Self {
            store,
            observer,
            writing: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// Fills the table from the store. The observer hears of an image when the engine has been seen
    /// to have it.
    pub(super) async fn load(&self) -> Result<(), Error> {
        for image in self.store.all::<Image>().await? {
            let entry = Entry {
                stored: Some(stored_form(&image)?),
                image,
                is_told: false,
                changed: 0,
            };
            let key = entry.image.name.canonical();
            self.state.lock().entries.insert(key, entry);
        }
        Ok(())
    }

    pub(super) fn all(&self) -> Vec<Image> {
        let state = self.state.lock();
        state.entries.values().map(|e| e.image.clone()).collect()
    }

    pub(super) fn get(&self, name: &ImageName) -> Option<Image> {
        let state = self.state.lock();
        let entry = state.entries.get(&name.canonical())?;
        Some(entry.image.clone())
    }

    /// The image with this id, or of this name.
    pub(super) fn find(&self, id_or_name: &str) -> Option<Image> {
        let state = self.state.lock();
        let mut images = state.entries.values().map(|entry| &entry.image);
        if let Some(image) = images.find(|image| image.id == id_or_name) {
            return Some(image.clone());
        }
        drop(state);
        self.get(&ImageName::parse(id_or_name).ok()?)
    }

    /// An image that had this id and has vanished not long ago.
    pub(super) fn gone(&self, id: &str) -> Option<Image> {
        self.state.lock().gone.get(id).cloned()
    }

    /// The instances that want this image.
    pub(super) fn wanting(&self, name: &ImageName) -> Vec<String> {
        self.state.lock().usage.wanting(&name.canonical())
    }

    /// Changes an image that is asked for by this name; there is one from then on.
    pub(super) async fn change(
        &self,
        name: &ImageName,
        change: impl FnOnce(&mut Image),
    ) -> Result<Image, Error> {
        let _order = self.writing.lock().await;
        let key = name.canonical();
        let (mut image, stored) = self.known(&key, name);
        change(&mut image);
        let form = stored_form(&image)?;
        if stored.as_ref() != Some(&form) {
            self.store.put(&image).await?;
        }
        let mut state = self.state.lock();
        state.changes += 1;
        let changed = state.changes;
        self.enter(&mut state, &key, image, |entry| {
            entry.stored = Some(form);
            entry.changed = changed;
        });
        Ok(state.entries[&key].image.clone())
    }

    /// Removes an image, unless it has changed since it was read.
    pub(super) async fn remove_unchanged(&self, image: &Image) -> Result<(), Error> {
        let _order = self.writing.lock().await;
        let known = self.get(&image.name);
        // How many use it is not what it is.
        let is_unchanged = known.is_some_and(|mut known| {
            known.in_use = image.in_use;
            known == *image
        });
        if is_unchanged {
            self.forget(&image.name.canonical()).await?;
        }
        Ok(())
    }

    /// The moment before a question to the engine.
    pub(super) fn now(&self) -> Moment {
        Moment(self.state.lock().changes)
    }

    /// Enters a listing of everything that was asked for at that moment, but for images on which
    /// there is work under way.
    pub(super) async fn observe(
        &self,
        listing: &[ListedImage],
        asked: Moment,
        is_under_way: impl Fn(&ImageName) -> bool,
    ) -> Result<(), Error> {
        let _order = self.writing.lock().await;
        for key in self.enter_listing(listing, asked, is_under_way) {
            self.forget(&key).await?;
        }
        Ok(())
    }

    /// Enters what an instance wants; true if it has another container than before.
    pub(super) fn instance_changed(&self, id: &str, view: Option<&InstanceView>) -> bool {
        let mut state = self.state.lock();
        let change = state.usage.instance_changed(id, view);
        if change.wants_another {
            self.recount(&mut state);
        }
        change.has_another
    }

    /// Returns the keys of those that are gone.
    fn enter_listing(
        &self,
        listing: &[ListedImage],
        asked: Moment,
        is_under_way: impl Fn(&ImageName) -> bool,
    ) -> Vec<String> {
        let found = by_key(listing);
        let mut state = self.state.lock();
        state.usage.listed(listing);
        let is_ours = |state: &State, key: &str, name: &ImageName| {
            let changed = state.entries.get(key).map_or(0, |entry| entry.changed);
            changed > asked.0 || is_under_way(name)
        };
        for (key, (name, seen)) in &found {
            let known = state.entries.get(key).map(|entry| entry.image.clone());
            // Of those without a tag only what was asked for by its digest counts.
            if is_ours(&state, key, name) || (known.is_none() && name.has_digest()) {
                continue;
            }
            let mut image = known.unwrap_or_else(|| Image::new(id_of(key), name.clone()));
            become_ready(&mut image, (*seen).into());
            self.enter(&mut state, key, image, |_| {});
        }
        self.recount(&mut state);
        let gone = state.entries.iter().filter(|(key, entry)| {
            !found.contains_key(*key) && !is_ours(&state, key, &entry.image.name)
        });
        gone.map(|(key, _)| key.clone()).collect()
    }

    fn known(&self, key: &str, name: &ImageName) -> (Image, Option<String>) {
        let state = self.state.lock();
        match state.entries.get(key) {
            Some(entry) if entry.stored.is_some() => (entry.image.clone(), entry.stored.clone()),
            // So far only the engine had told of it.
            Some(entry) => {
                let image = entry.image.clone();
                let name = name.clone();
                (Image { name, ..image }, None)
            }
            None => (Image::new(id_of(key), name.clone()), None),
        }
    }

    fn enter(&self, state: &mut State, key: &str, mut image: Image, note: impl FnOnce(&mut Entry)) {
        image.in_use = state.usage.count(key, image.image_id.as_deref());
        let known = state.entries.get(key);
        if known.is_none_or(|known| !known.is_told || known.image != image) {
            self.observer
                .changed(Change::Image(&image.id, Some(&image)));
        }
        let (stored, changed) = known.map_or((None, 0), |e| (e.stored.clone(), e.changed));
        let mut entry = Entry {
            image,
            stored,
            is_told: true,
            changed,
        };
        note(&mut entry);
        state.entries.insert(key.to_owned(), entry);
    }

    fn recount(&self, state: &mut State) {
        let State { entries, usage, .. } = state;
        for (key, entry) in entries {
            let in_use = usage.count(key, entry.image.image_id.as_deref());
            if in_use != entry.image.in_use {
                entry.image.in_use = in_use;
                if entry.is_told {
                    self.observer
                        .changed(Change::Image(&entry.image.id, Some(&entry.image)));
                }
            }
        }
    }

    async fn forget(&self, key: &str) -> Result<(), Error> {
        let found = {
            let state = self.state.lock();
            let entry = state.entries.get(key);
            entry.map(|entry| (entry.image.id.clone(), entry.stored.is_some()))
        };
        let Some((id, is_stored)) = found else {
            return Ok(());
        };
        if is_stored {
            self.store.remove::<Image>(&id).await?;
        }
        let mut state = self.state.lock();
        if let Some(entry) = state.entries.shift_remove(key) {
            if entry.is_told {
                self.observer.changed(Change::Image(&id, None));
            }
            state.gone.insert(id, entry.image);
            if state.gone.len() > MAX_GONE {
                state.gone.shift_remove_index(0);
            }
        }
        Ok(())
    }
}

/// What the store has of an image, to tell whether it must be written.
fn stored_form(image: &Image) -> Result<String, StoreError> {
    serde_json::to_string(image).map_err(|e| StoreError::Failed(e.to_string()))
}
