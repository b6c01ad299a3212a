//! Asking the engine what there is.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;

use super::{
    ledger::Ledger,
    record::RunImages,
    stock::{Stock, StockImage},
};
use crate::{
    engine::{Engine, EngineError, ImageLayer, ListedImage},
    images::Images,
    instances::Instances,
};

/// Images whose layers are asked for at the same time.
const AT_ONCE: usize = 4;

/// What has to be asked, and what was found before.
pub(super) struct Look {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) instances: Arc<Instances>,
    pub(super) images: Arc<Images>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) launcher_id: String,
    /// An image's layers never change.
    pub(super) layers: Mutex<HashMap<String, Vec<ImageLayer>>>,
}

impl Look {
    /// What there is now.
    pub(super) async fn stock(&self) -> Result<Stock, EngineError> {
        // Before the engine is asked: what is made meanwhile must not seem to be gone.
        let made = self.ledger.made();
        let ancestry = self.engine.ancestry().await?;
        let listed = self.engine.images().await?;
        let mut images: BTreeMap<String, StockImage> = BTreeMap::new();
        for (id, parent) in ancestry {
            let image = StockImage {
                id: id.clone(),
                parent,
                ..StockImage::default()
            };
            images.insert(id, image);
        }
        for image in listed {
            let parent = images.remove(&image.id).and_then(|image| image.parent);
            images.insert(image.id.clone(), self.stock_image(image, parent));
        }
        let mut stock = Stock {
            images,
            made,
            ran: self.ledger.ran(),
            ..Stock::default()
        };
        self.wishes(&mut stock);
        stock.layers = self.layers(&stock).await?;
        Ok(stock)
    }

    /// Enters what may have changed since the engine was asked.
    pub(super) fn wishes(&self, stock: &mut Stock) {
        let views = self.instances.views();
        stock.wanted = views.iter().map(|view| view.record.image.clone()).collect();
        let is_there = |ran: &RunImages| views.iter().any(|view| view.record.id == ran.instance);
        stock.ran.retain(is_there);
        stock.under_way = self.images.under_way();
    }

    fn stock_image(&self, image: ListedImage, parent: Option<String>) -> StockImage {
        let is_own = |owner: &Option<String>| owner.as_ref() == Some(&self.launcher_id);
        let used_by_instances = image
            .users
            .iter()
            .filter(|user| is_own(&user.owner))
            .count();
        StockImage {
            id: image.id,
            parent,
            names: image.names,
            digests: image.digests,
            is_listed: true,
            created_at: image.created_at,
            size_bytes: image.size_bytes,
            used_by_instances,
            used_by_others: image.users.len() - used_by_instances,
        }
    }

    /// The layers of images that are listed, and of what those that the launcher made were built on:
    /// enough to know what would be gone with each of the latter.
    async fn layers(&self, stock: &Stock) -> Result<HashMap<String, Vec<ImageLayer>>, EngineError> {
        let needed = needed(stock);
        let missing: Vec<&str> = {
            let mut known = self.layers.lock();
            known.retain(|id, _| stock.images.contains_key(id));
            needed
                .iter()
                .copied()
                .filter(|id| !known.contains_key(*id))
                .collect()
        };
        let mut asked = stream::iter(missing.into_iter().map(str::to_owned))
            .map(|id| async move { (self.engine.image_layers(&id).await, id) })
            .buffer_unordered(AT_ONCE);
        while let Some((layers, id)) = asked.next().await {
            match layers {
                Ok(layers) => drop(self.layers.lock().insert(id, layers)),
                // Gone meanwhile, or the engine cannot read it: then its bytes are not known.
                Err(EngineError::NotFound(_) | EngineError::Failed(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.layers.lock().clone())
    }
}

fn needed(stock: &Stock) -> HashSet<&str> {
    let mut needed = HashSet::new();
    for image in stock.images.values() {
        if image.is_listed {
            needed.insert(image.id.as_str());
        }
        if stock.made.contains_key(&image.id) {
            let mut next = Some(image);
            while let Some(image) = next.filter(|image| needed.insert(&image.id) || image.is_listed)
            {
                next = image
                    .parent
                    .as_ref()
                    .and_then(|parent| stock.images.get(parent));
            }
        }
    }
    needed
}
