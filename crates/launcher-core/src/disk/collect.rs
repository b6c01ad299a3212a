//! Removing what nobody needs, or telling what would be removed.

use std::collections::HashSet;

use tokio::sync::SemaphorePermit;

use super::{
    Disk,
    document::{Collection, RefusedImage, RemovedImage},
    plan::{Plan, Removal, Rules, plan},
    stock::Stock,
    told,
};
use crate::{
    Error,
    engine::{EngineError, ListedImage},
};

/// Builds that are under way when images are to be removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Builds {
    /// Are waited for.
    WaitFor,
    /// Come first, unless the disk is above its watermark.
    GoFirst,
}

impl Disk {
    /// What a collection would remove now.
    pub(crate) async fn dry_run(&self) -> Result<Collection, Error> {
        let mut turn = self.turn.lock().await;
        let space = self.space().await?;
        let stock = self.look.stock().await?;
        let plan = plan(&stock, &self.rules(&space, &mut turn));
        let removed: Vec<RemovedImage> = plan.removals.iter().map(removed).collect();
        Ok(Collection {
            freed_bytes: plan.freed_bytes(),
            kept: kept(&stock, removed.len()),
            removed,
            refused: Vec::new(),
        })
    }

    /// Removes what nobody needs. `None`: a build is under way, after which there will be another.
    pub(super) async fn collect(&self, builds: Builds) -> Result<Option<Collection>, Error> {
        let wait = builds == Builds::WaitFor || self.is_full().await?;
        let Some(_no_build) = self.no_build(wait).await? else {
            return Ok(None);
        };
        let mut turn = self.turn.lock().await;
        let space = self.space().await?;
        let rules = self.rules(&space, &mut turn);
        let stock = self.look.stock().await?;
        self.forget_gone(&stock).await;
        let plan = plan(&stock, &rules);
        let collection = self.carry_out(stock, &plan, &rules).await;
        if !collection.removed.is_empty() {
            told(
                self.look_in_turn(&mut turn).await,
                "the disk could not be looked at",
            );
        }
        Ok(Some(collection))
    }

    async fn no_build(&self, wait: bool) -> Result<Option<SemaphorePermit<'_>>, Error> {
        let images = &self.look.images;
        match wait {
            true => images.no_build().await.map(Some),
            false => Ok(images.try_no_build()),
        }
    }

    /// Removes one image after the other, each only if it still may go.
    async fn carry_out(&self, mut stock: Stock, plan: &Plan, rules: &Rules) -> Collection {
        let mut collection = Collection::default();
        for removal in &plan.removals {
            let _no_launch = self.look.instances.no_launch().await;
            self.look.wishes(&mut stock);
            let still = super::plan::plan(&stock, rules);
            if still
                .removals
                .iter()
                .all(|still| still.image != removal.image)
            {
                continue;
            }
            match self.remove_unless_changed(&stock, removal).await {
                Ok(None) => {}
                Ok(Some(size_bytes)) => {
                    collection.freed_bytes += size_bytes;
                    collection.removed.push(RemovedImage {
                        size_bytes,
                        ..removed(removal)
                    });
                }
                Err(error) => collection.refused.push(refused(removal, &error)),
            }
        }
        collection.kept = kept(&stock, collection.removed.len());
        collection
    }

    /// `None`: somebody has given it another name by hand, or has run it, since it was decided that it
    /// goes. The engine would remove it all the same if that name is its only one.
    async fn remove_unless_changed(
        &self,
        stock: &Stock,
        removal: &Removal,
    ) -> Result<Option<u64>, EngineError> {
        let listed = self.look.engine.images().await?;
        match is_as_it_was(&listed, removal) {
            true => self.remove(stock, removal).await.map(Some),
            false => Ok(None),
        }
    }

    /// Removes an image and the layers that only it needed; returns the bytes of what the engine says
    /// is gone.
    async fn remove(&self, stock: &Stock, removal: &Removal) -> Result<u64, EngineError> {
        let engine = &self.look.engine;
        // The engine removes an image by its id only if it has no second name.
        for name in removal.names.iter().skip(1) {
            let meant = engine.image(name).await?;
            if meant.is_some_and(|meant| meant.id == removal.image) {
                engine.remove_image(name).await?;
            }
        }
        let mut gone: HashSet<String> = HashSet::new();
        gone.extend(engine.discard_image(&removal.image).await?);
        for layer in &removal.layers {
            match engine.discard_image(layer).await {
                Ok(more) => gone.extend(more),
                Err(error) => {
                    tracing::info!(%layer, %error, "a layer that nothing seems to need stays");
                    break;
                }
            }
        }
        let freed_bytes = gone_bytes(stock, removal, &gone);
        tracing::info!(image = %removal.image, names = removal.names.join(" "), freed_bytes,
            why = %removal.why, "removed an image");
        Ok(freed_bytes)
    }
}

fn is_as_it_was(listed: &[ListedImage], removal: &Removal) -> bool {
    let is_so = |id: &str, names: &[String]| {
        let found = listed.iter().find(|image| image.id == id);
        found.is_none_or(|image| {
            let names: HashSet<&String> = names.iter().collect();
            image.users.is_empty() && image.names.iter().collect::<HashSet<_>>() == names
        })
    };
    let layers = || removal.layers.iter().all(|layer| is_so(layer, &[]));
    is_so(&removal.image, &removal.names) && layers()
}

/// The bytes of the layers that the engine says are gone.
fn gone_bytes(stock: &Stock, removal: &Removal, gone: &HashSet<String>) -> u64 {
    let own = stock.layers.get(&removal.image).into_iter().flatten();
    own.filter(|layer| gone.contains(&layer.id))
        .map(|layer| layer.size_bytes)
        .sum()
}

fn kept(stock: &Stock, removed: usize) -> usize {
    let listed = stock.images.values().filter(|image| image.is_listed);
    listed.count().saturating_sub(removed)
}

fn removed(removal: &Removal) -> RemovedImage {
    RemovedImage {
        image_id: removal.image.clone(),
        names: removal.names.clone(),
        size_bytes: removal.freed_bytes,
        why: removal.why.to_string(),
    }
}

fn refused(removal: &Removal, error: &EngineError) -> RefusedImage {
    tracing::warn!(image = %removal.image, %error, "an image that nothing seems to need stays");
    RefusedImage {
        image_id: removal.image.clone(),
        names: removal.names.clone(),
        error: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{disk::kept::Why, engine::ImageUser};

    fn listed(id: &str, names: &[&str]) -> ListedImage {
        ListedImage {
            id: id.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..ListedImage::default()
        }
    }

    #[test]
    fn what_somebody_took_meanwhile_stays() {
        let removal = Removal {
            image: "image".into(),
            names: vec!["app:1".into(), "app:2".into()],
            layers: vec!["layer".into()],
            freed_bytes: 0,
            why: Why::Base,
        };
        let image = || listed("image", &["app:2", "app:1"]);
        assert!(is_as_it_was(&[image(), listed("other", &["a"])], &removal));
        assert!(is_as_it_was(&[image(), listed("layer", &[])], &removal));
        let run = ListedImage {
            users: vec![ImageUser {
                container: "by-hand".into(),
                owner: None,
                instance: None,
            }],
            ..image()
        };
        assert!(!is_as_it_was(&[run], &removal));
        for names in [&["mine:1"][..], &["app:1"], &["app:1", "app:2", "mine:1"]] {
            assert!(!is_as_it_was(&[listed("image", names)], &removal));
        }
        assert!(!is_as_it_was(
            &[image(), listed("layer", &["mine"])],
            &removal
        ));
    }
}
