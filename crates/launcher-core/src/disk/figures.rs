//! Looking at the disk, and telling of it.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    time::Instant,
};

use jiff::Timestamp;

use super::{
    Disk, Turn,
    document::{DataFigures, DiskDocument, EngineFigures, Filesystem, ImageFigures},
    filesystem, forest,
    plan::{Plan, Pressure, Rules, plan},
    stock::Stock,
    told,
};
use crate::{Error, engine::EngineDisk};

/// The document of the engine's disk.
const ENGINE: &str = "engine";
/// The document of the launcher's data directory.
const DATA: &str = "data";
/// Once above its watermark, a disk counts as too full until it is so many percent below.
const HYSTERESIS: f64 = 10.0;

/// What is known of the file systems.
pub(super) struct Space {
    root: Option<PathBuf>,
    engine: Option<Filesystem>,
    data: Option<Filesystem>,
    logs_bytes: Option<u64>,
}

impl Disk {
    /// Looks at everything and tells of it.
    pub(crate) async fn look(&self) -> Result<(), Error> {
        let mut turn = self.turn.lock().await;
        self.look_in_turn(&mut turn).await
    }

    /// Looks at the images only, which costs little; if anybody ever wanted to know.
    pub(super) async fn look_at_images(&self) -> Result<(), Error> {
        let mut turn = self.turn.lock().await;
        if self.looked_at.lock().is_none() {
            return Ok(());
        }
        let space = self.space().await?;
        let stock = self.look.stock().await?;
        self.forget_gone(&stock).await;
        let plan = plan(&stock, &self.rules(&space, &mut turn));
        self.published.set_images(images(&stock, &plan));
        if let Some(DiskDocument::Engine(mut figures)) = self.published.get(ENGINE) {
            figures.reclaimable_bytes = Some(plan.freed_bytes());
            self.published.set(ENGINE, DiskDocument::Engine(figures));
        }
        Ok(())
    }

    pub(super) async fn look_in_turn(&self, turn: &mut Turn) -> Result<(), Error> {
        let looked = self.try_look(turn).await;
        *self.looked_at.lock() = Some(Instant::now());
        if let Err(error) = &looked {
            let known = match self.published.get(ENGINE) {
                Some(DiskDocument::Engine(known)) => known,
                _ => EngineFigures::default(),
            };
            let figures = EngineFigures {
                watermark: self.settings.watermark,
                error: Some(error.to_string()),
                ..known
            };
            self.published.set(ENGINE, DiskDocument::Engine(figures));
        }
        looked
    }

    async fn try_look(&self, turn: &mut Turn) -> Result<(), Error> {
        let space = self.space().await?;
        let data = DataFigures {
            filesystem: space.data,
            checked_at: Timestamp::now(),
        };
        self.published.set(DATA, DiskDocument::Data(data));
        let usage = self.look.engine.disk().await?;
        let stock = self.look.stock().await?;
        self.forget_gone(&stock).await;
        let rules = self.rules(&space, turn);
        let plan = plan(&stock, &rules);
        self.published.set_images(images(&stock, &plan));
        let figures = self.figures(space, usage, &plan, turn);
        self.published.set(ENGINE, DiskDocument::Engine(figures));
        Ok(())
    }

    fn figures(&self, space: Space, usage: EngineDisk, plan: &Plan, turn: &Turn) -> EngineFigures {
        EngineFigures {
            path: space.root.map(|root| root.display().to_string()),
            filesystem: space.engine,
            images_bytes: Some(usage.images_bytes),
            containers_bytes: Some(usage.containers_bytes),
            build_cache_bytes: Some(usage.build_cache_bytes),
            logs_bytes: space.logs_bytes,
            reclaimable_bytes: Some(plan.freed_bytes()),
            watermark: self.settings.watermark,
            is_above_watermark: turn.is_above_watermark,
            checked_at: Some(Timestamp::now()),
            error: None,
        }
    }

    /// Whether the disk has become too full since it was last seen not to be.
    pub(super) async fn has_become_full(&self) -> Result<bool, Error> {
        let before = self.turn.lock().await.is_above_watermark;
        Ok(self.is_full().await? && !before)
    }

    pub(super) async fn is_full(&self) -> Result<bool, Error> {
        let mut turn = self.turn.lock().await;
        let space = self.space().await?;
        Ok(self.rules(&space, &mut turn).pressure.is_some())
    }

    pub(super) fn rules(&self, space: &Space, turn: &mut Turn) -> Rules {
        let high = f64::from(self.settings.watermark);
        let low = (high - HYSTERESIS).max(0.0);
        let limit = if turn.is_above_watermark { low } else { high };
        let is_above = |percent: f64| percent > limit;
        let files = space
            .engine
            .is_some_and(|disk| is_above(disk.inodes_percent()));
        let bytes = space.engine.filter(|disk| is_above(disk.percent()));
        turn.is_above_watermark = files || bytes.is_some();
        let pressure = match bytes {
            _ if files => Some(Pressure::Everything),
            bytes => bytes.map(|disk| Pressure::Bytes(disk.bytes_above(low))),
        };
        Rules {
            keep: self.settings.keep_images,
            pressure,
        }
    }

    pub(super) async fn space(&self) -> Result<Space, Error> {
        let root = self.look.engine.root().await?;
        let data = self.settings.data_dir.clone();
        let ask = move || {
            let engine = root.as_deref().and_then(|root| filesystem::of(root).ok());
            Space {
                engine,
                data: filesystem::of(&data).ok(),
                logs_bytes: root.as_deref().and_then(filesystem::logs_bytes),
                root: root.filter(|_| engine.is_some()),
            }
        };
        let asked = tokio::task::spawn_blocking(ask).await;
        asked.map_err(|_| Error::NotCarriedOut("the disk could not be looked at".into()))
    }

    pub(super) async fn forget_gone(&self, stock: &Stock) {
        let instances: HashSet<String> = self.look.instances.ids().into_iter().collect();
        let known = stock.made.keys().cloned();
        let (there, gone): (Vec<String>, Vec<String>) =
            known.partition(|id| stock.images.contains_key(id));
        // An engine that has none of the launcher's images is another one.
        let gone = if there.is_empty() { Vec::new() } else { gone };
        let forgotten = self.look.ledger.forget(&gone, &instances).await;
        told(
            forgotten.map_err(Error::from),
            "images that are gone could not be forgotten",
        );
    }
}

fn images(stock: &Stock, plan: &Plan) -> HashMap<String, DiskDocument> {
    let unique = forest::unique_bytes(stock);
    let listed = stock.images.values().filter(|image| image.is_listed);
    let figures = listed.map(|image| {
        let names = if image.names.is_empty() {
            &image.digests
        } else {
            &image.names
        };
        let unique = unique.get(&image.id);
        let figures = ImageFigures {
            names: names.clone(),
            size_bytes: image.size_bytes,
            shared_bytes: unique.map(|unique| image.size_bytes.saturating_sub(*unique)),
            created_at: image.created_at,
            made_by_launcher: stock.made.contains_key(&image.id),
            kept_because: plan.kept.get(&image.id).map(ToString::to_string),
        };
        (image.id.clone(), DiskDocument::Image(figures))
    });
    figures.collect()
}
