//! Images as trees: what is built on what, and which layers would be gone if an image were.

use std::collections::{BTreeMap, HashMap};

use super::{
    kept::{Kept, Why},
    plan::Removal,
    record::Made,
    stock::{Stock, StockImage},
};
use crate::engine::ImageLayer;

pub(super) struct Forest<'a> {
    stock: &'a Stock,
    kept: BTreeMap<String, Kept>,
    /// How many images that are left were built on each that is left.
    children: HashMap<&'a str, usize>,
    /// How many images that are left have each layer.
    layers: HashMap<&'a str, usize>,
}

impl<'a> Forest<'a> {
    /// All images of the stock, of which these stay.
    pub(super) fn new(stock: &'a Stock, kept: &BTreeMap<String, Kept>) -> Self {
        let mut children: HashMap<&str, usize> = HashMap::new();
        let mut layers: HashMap<&str, usize> = HashMap::new();
        for image in stock.images.values() {
            children.entry(&image.id).or_default();
            if let Some(parent) = &image.parent {
                *children.entry(parent).or_default() += 1;
            }
            for layer in layers_of(stock, &image.id) {
                *layers.entry(&layer.id).or_default() += 1;
            }
        }
        Self {
            stock,
            kept: kept.clone(),
            children,
            layers,
        }
    }

    /// Whether an image is left.
    pub(super) fn has(&self, id: &str) -> bool {
        self.children.contains_key(id)
    }

    /// How many images that are left were built on this one.
    pub(super) fn children(&self, id: &str) -> usize {
        self.children.get(id).copied().unwrap_or(0)
    }

    /// Removes an image that nothing is built on, and the layers under it that only it needed.
    pub(super) fn remove(&mut self, id: &str, why: Why) -> Option<Removal> {
        let image = self.stock.images.get(id).filter(|_| self.has(id))?;
        let mut freed_bytes = self.take(id);
        let mut layers = Vec::new();
        let mut parent = image.parent.as_deref();
        while let Some(layer) = parent.filter(|id| self.is_spare_layer(id)) {
            freed_bytes += self.take(layer);
            layers.push(layer.to_owned());
            parent = self
                .stock
                .images
                .get(layer)
                .and_then(|image| image.parent.as_deref());
        }
        Some(Removal {
            image: id.to_owned(),
            names: image.names.clone(),
            layers,
            freed_bytes,
            why,
        })
    }

    fn is_spare_layer(&self, id: &str) -> bool {
        let is_layer = self
            .stock
            .made
            .get(id)
            .is_some_and(|made| made.how == Made::Layer);
        let is_nameless = self
            .stock
            .images
            .get(id)
            .is_some_and(StockImage::is_nameless);
        let is_free = self.has(id) && self.children(id) == 0 && !self.kept.contains_key(id);
        is_layer && is_nameless && is_free
    }

    /// Takes out one image; returns the bytes of the layers that are gone with it.
    fn take(&mut self, id: &str) -> u64 {
        self.children.remove(id);
        let parent = self
            .stock
            .images
            .get(id)
            .and_then(|image| image.parent.as_deref());
        if let Some(left) = parent.and_then(|parent| self.children.get_mut(parent)) {
            *left = left.saturating_sub(1);
        }
        let mut freed = 0;
        for layer in layers_of(self.stock, id) {
            if let Some(holders) = self.layers.get_mut(layer.id.as_str()) {
                *holders = holders.saturating_sub(1);
                if *holders == 0 {
                    freed += layer.size_bytes;
                }
            }
        }
        freed
    }
}

/// The bytes of each image that is listed that no other one has; of one whose layers are not known,
/// nothing.
pub(super) fn unique_bytes(stock: &Stock) -> HashMap<String, u64> {
    let mut holders: HashMap<&str, usize> = HashMap::new();
    let listed = || stock.images.values().filter(|image| image.is_listed);
    for layer in listed().flat_map(|image| layers_of(stock, &image.id)) {
        *holders.entry(&layer.id).or_default() += 1;
    }
    let known = listed().filter(|image| stock.layers.contains_key(&image.id));
    let unique = |id: &str| {
        let own = layers_of(stock, id).filter(|layer| holders[layer.id.as_str()] == 1);
        own.map(|layer| layer.size_bytes).sum()
    };
    known
        .map(|image| (image.id.clone(), unique(&image.id)))
        .collect()
}

fn layers_of<'a>(stock: &'a Stock, id: &str) -> impl Iterator<Item = &'a ImageLayer> {
    stock.layers.get(id).into_iter().flatten()
}
