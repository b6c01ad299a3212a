//! All releases as they stand, and the only place where they change.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{Release, ReleaseStatus};
use crate::{Change, Error, Observer, store::Store};

/// Releases of one instance that are remembered.
const KEPT: usize = 25;

pub(crate) struct Releases {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
    /// Held from the reading of a release until it is stored and entered, so that no change is lost.
    writing: tokio::sync::Mutex<()>,
    /// By instance, oldest first.
    table: Mutex<HashMap<String, Vec<Arc<Release>>>>,
}

impl Releases {
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
        let mut all = self.store.all::<Release>().await?;
        all.sort_by_key(|release| release.number);
        for release in all {
            self.enter(release);
        }
        Ok(())
    }

    /// All releases of an instance, oldest first.
    pub(crate) fn of(&self, instance: &str) -> Vec<Arc<Release>> {
        self.table.lock().get(instance).cloned().unwrap_or_default()
    }

    /// Ids of the instances that have releases.
    pub(crate) fn instances(&self) -> Vec<String> {
        self.table.lock().keys().cloned().collect()
    }

    pub(crate) fn get(&self, instance: &str, id: &str) -> Option<Arc<Release>> {
        let table = self.table.lock();
        let found = table.get(instance)?.iter().find(|release| release.id == id);
        found.cloned()
    }

    /// The newest of this number: one that could not be recorded whole may have had it before.
    pub(crate) fn numbered(&self, instance: &str, number: u64) -> Option<Arc<Release>> {
        let table = self.table.lock();
        let found = table
            .get(instance)?
            .iter()
            .rfind(|release| release.number == number);
        found.cloned()
    }

    /// Under which the image of a release can be pulled, if an earlier one of the same image was told.
    pub(crate) fn digest_of(&self, release: &Release) -> Option<String> {
        let image = release.content.image_id.as_ref()?;
        let own = self.of(&release.instance);
        let same = own
            .iter()
            .filter(|known| known.content.image_id.as_ref() == Some(image));
        same.rev().find_map(|known| known.content.digest.clone())
    }

    /// Of any instance, by its id.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Release>> {
        let table = self.table.lock();
        table
            .values()
            .flatten()
            .find(|release| release.id == id)
            .cloned()
    }

    /// Records a release, and forgets the oldest that nobody needs.
    pub(crate) async fn put(&self, release: Release) -> Result<(), Error> {
        let _order = self.writing.lock().await;
        self.store.put(&release).await?;
        let instance = release.instance.clone();
        self.enter(release);
        for old in self.too_old(&instance) {
            self.store.remove::<Release>(&old).await?;
            self.leave(&instance, &old);
        }
        Ok(())
    }

    /// Changes a release that is there.
    pub(crate) async fn change(
        &self,
        instance: &str,
        id: &str,
        change: impl FnOnce(&mut Release),
    ) -> Result<(), Error> {
        let _order = self.writing.lock().await;
        let Some(known) = self.get(instance, id) else {
            return Ok(());
        };
        let mut release = Release::clone(&known);
        change(&mut release);
        if release == *known {
            return Ok(());
        }
        self.store.put(&release).await?;
        self.enter(release);
        Ok(())
    }

    /// Forgets all releases of an instance that is gone.
    pub(crate) async fn forget(&self, instance: &str) -> Result<(), Error> {
        for release in self.of(instance) {
            self.store.remove::<Release>(&release.id).await?;
            self.leave(instance, &release.id);
        }
        self.table.lock().remove(instance);
        Ok(())
    }

    fn too_old(&self, instance: &str) -> Vec<String> {
        let all = self.of(instance);
        let surplus = all.len().saturating_sub(KEPT);
        let over = |release: &&Arc<Release>| {
            matches!(
                release.status,
                ReleaseStatus::Superseded | ReleaseStatus::Failed
            )
        };
        all.iter()
            .filter(over)
            .take(surplus)
            .map(|release| release.id.clone())
            .collect()
    }

    fn enter(&self, release: Release) {
        let release = Arc::new(release);
        let mut table = self.table.lock();
        let all = table.entry(release.instance.clone()).or_default();
        match all.iter_mut().find(|known| known.id == release.id) {
            Some(known) => *known = Arc::clone(&release),
            None => all.push(Arc::clone(&release)),
        }
        self.observer
            .changed(Change::Release(&release.id, Some(&release)));
    }

    fn leave(&self, instance: &str, id: &str) {
        let mut table = self.table.lock();
        if let Some(all) = table.get_mut(instance) {
            all.retain(|release| release.id != id);
        }
        self.observer.changed(Change::Release(id, None));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        releases::{Content, Reason},
        store::{MemoryStore, contract::sample_instance},
    };

    struct Nobody;

    impl Observer for Nobody {
        fn changed(&self, _change: Change<'_>) {}
    }

    #[tokio::test]
    async fn changes_at_the_same_time_are_both_kept() {
        let store = MemoryStore::default();
        store.be_slow();
        let releases = Releases::new(Arc::new(store), Arc::new(Nobody));
        let instance = sample_instance("i", 0);
        let release = Release {
            id: "r".into(),
            instance: instance.id.clone(),
            number: 1,
            content: Content::of(&instance),
            created_at: Timestamp::UNIX_EPOCH,
            reason: Reason::Launch,
            status: ReleaseStatus::Pending,
        };
        let (instance, id) = (release.instance.clone(), release.id.clone());
        releases.put(release).await.unwrap();
        let (digest, status) = tokio::join!(
            releases.change(&instance, &id, |r| r.content.digest = Some("d".into())),
            releases.change(&instance, &id, |r| r.status = ReleaseStatus::Current),
        );
        digest.and(status).unwrap();
        let kept = releases.get(&instance, &id).unwrap();
        assert_eq!(kept.content.digest.as_deref(), Some("d"));
        assert_eq!(kept.status, ReleaseStatus::Current);
    }
}
