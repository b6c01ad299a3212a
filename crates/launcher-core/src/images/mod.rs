//! Images: built from archives, pulled, and listed.

mod build;
mod build_log;
mod failure;
mod layers;
mod line;
mod pull;
mod push;
mod table;
mod transfer;
#[cfg(test)]
mod transfer_tests;
mod transfers;
mod work;

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
};

use tokio::sync::Semaphore;

use self::{build::Asked, line::Line, table::Table, transfers::Transfers, work::Work};
use crate::{
    BuildSettings, Error, Image, ImageName, ImageStatus, Observer,
    builds::Builds,
    engine::{Engine, EngineImage, LeftLayers},
    registries::Registries,
    source,
    store::Store,
};

/// Archives that may be fetched and read at the same time.
const DOWNLOADS_AT_ONCE: usize = 3;

/// How images are built.
#[derive(Clone, Debug)]
pub(crate) struct ImageSettings {
    /// Where archives are kept while they are needed. Emptied at start.
    pub(crate) temporary: PathBuf,
    /// Fetches archives.
    pub(crate) fetcher: source::Fetcher,
    /// How they are made into build contexts.
    pub(crate) source: source::Options,
    /// How many builds go on at once, and what they may use.
    pub(crate) builds: BuildSettings,
    /// Id of this launcher, with which images are labelled.
    pub(crate) owner: String,
}

pub(crate) struct Images {
    this: Weak<Self>,
    engine: Arc<dyn Engine>,
    settings: ImageSettings,
    builds: Builds,
    registries: Registries,
    transfers: Transfers,
    table: Table,
    work: Work,
    /// Builds that wait for their turn.
    line: Line,
    /// Builds that others may join before the engine builds them.
    asked: Asked,
    download_slots: Semaphore,
}

impl Images {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        observer: Arc<dyn Observer>,
        settings: ImageSettings,
    ) -> Arc<Self> {
        let line = Line::new(settings.builds.at_once);
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            registries: Registries::new(
                Arc::clone(&store),
                Arc::clone(&engine),
                Arc::clone(&observer),
            ),
            transfers: Transfers::default(),
            engine,
            settings,
            builds: Builds::new(Arc::clone(&store), Arc::clone(&observer)),
            table: Table::new(store, observer),
            work: Work::default(),
            line,
            asked: Asked::default(),
            download_slots: Semaphore::new(DOWNLOADS_AT_ONCE),
        })
    }

    /// Fills the table from the store, and clears away the archives of a launcher that was killed.
    pub(crate) async fn load(&self) -> Result<(), Error> {
        clear_directory(&self.settings.temporary).map_err(|e| {
            Error::NotCarriedOut(format!("the temporary directory cannot be used: {e}"))
        })?;
        self.registries.load().await?;
        self.builds.load().await?;
        self.table.load().await
    }

    /// The builds, pulls and pushes that there are and were.
    pub(crate) fn builds(&self) -> &Builds {
        &self.builds
    }

    /// The registries that the launcher may log in to.
    pub(crate) fn registries(&self) -> &Registries {
        &self.registries
    }

    /// Makes the list agree with the engine: images that were removed by hand, or whose build or
    /// pull ended with an earlier launcher, vanish; others carry the engine's data.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        for image in self.table.all() {
            if !self.work.is_under_way(&image.name) {
                self.settle(&image.name, true).await?;
            }
        }
        Ok(())
    }

    /// Makes sure that an image that the engine has is listed.
    pub(crate) async fn note_present(
        &self,
        name: &ImageName,
        found: &EngineImage,
    ) -> Result<(), Error> {
        self.table
            .change(name, |image| become_ready(image, found))
            .await
            .map(drop)
    }

    /// Enters what the engine has, after work on an image has ended in any way: what is left of a
    /// build that failed, or was interrupted by the end of a launcher, is removed, and the record of
    /// an image that is not there.
    async fn settle(&self, name: &ImageName, interrupted: bool) -> Result<(), Error> {
        let Some(image) = self.table.get(name) else {
            return Ok(());
        };
        if let Some(began) = image.build_began {
            let left = LeftLayers {
                container: image.step_container.clone(),
                ids: image.layers.clone(),
                began,
                interrupted,
            };
            self.engine.remove_layers(&left).await;
        }
        match self.engine.image(&name.with_tag()).await? {
            Some(found) => self.note_present(name, &found).await,
            None => self.table.remove_unchanged(&image).await,
        }
    }
}

fn become_ready(image: &mut Image, found: &EngineImage) {
    image.image_id = Some(found.id.clone());
    image.created_at = found.created_at.unwrap_or(image.created_at);
    image.size_bytes = Some(found.size_bytes);
    image.status = ImageStatus::Ready;
    image.build_began = None;
    image.layers.clear();
    image.step_container = None;
}

fn clear_directory(path: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir_all(path)
}
