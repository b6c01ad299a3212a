//! Images: built from archives, pulled, and listed.

mod build;
mod build_log;
mod failure;
mod layers;
mod line;
mod listed;
mod pull;
mod push;
mod queues;
mod seen;
mod table;
mod transfer;
#[cfg(test)]
mod transfer_tests;
mod transfers;
mod usage;
mod watching;
mod work;

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Weak},
};

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

pub(crate) use self::watching::Watching;
use self::{
    build::Asked, line::Line, queues::Queues, seen::become_ready, table::Table,
    transfers::Transfers, work::Work,
};
use crate::{
    BuildSettings, Error, ImageName, ImageStatus, InstanceView, Observer,
    builds::Builds,
    disk::{Ledger, told},
    engine::{Engine, EngineImage, LABEL_OWNER, LeftLayers},
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
    ledger: Arc<Ledger>,
    registries: Registries,
    transfers: Transfers,
    table: Table,
    work: Work,
    /// Builds that wait for their turn.
    line: Line,
    /// Builds that others may join before the engine builds them.
    asked: parking_lot::Mutex<Asked>,
    /// The order in which builds of one image were asked for.
    queues: Queues,
    /// Names with a digest by which somebody has pulled, and which are to be listed.
    pulled: parking_lot::Mutex<Vec<ImageName>>,
    /// Wakes the listing.
    due: Arc<Notify>,
    /// Held from a question to the engine to entering its answer, so that answers keep their order.
    listing: tokio::sync::Mutex<()>,
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
            ledger: Arc::new(Ledger::new(Arc::clone(&store), Arc::clone(&engine))),
            engine,
            settings,
            builds: Builds::new(Arc::clone(&store), Arc::clone(&observer)),
            table: Table::new(store, observer),
            work: Work::default(),
            line,
            asked: parking_lot::Mutex::default(),
            queues: Queues::default(),
            pulled: parking_lot::Mutex::default(),
            due: Arc::default(),
            listing: tokio::sync::Mutex::default(),
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
        self.ledger.load().await?;
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

    /// What the launcher put on the engine.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Names in full of the images that are being worked on, pulled or pushed.
    pub(crate) fn under_way(&self) -> HashSet<String> {
        let mut names = self.work.names();
        names.extend(self.transfers.names());
        names
    }

    /// Waits until the engine builds nothing; it begins no build until this is dropped.
    pub(crate) async fn no_build(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.line.all_turns().await.ok_or(Error::ShuttingDown)
    }

    /// As [`Self::no_build`], unless it builds something now.
    pub(crate) fn try_no_build(&self) -> Option<SemaphorePermit<'_>> {
        self.line.try_all_turns()
    }

    /// What makes the listing begin at once.
    pub(crate) fn due(&self) -> Arc<Notify> {
        Arc::clone(&self.due)
    }

    /// Enters what an instance wants. What its container was made from only a listing tells.
    fn instance_changed(&self, id: &str, view: Option<&InstanceView>) {
        if self.table.instance_changed(id, view) {
            self.due.notify_one();
        }
    }

    /// Makes the list agree with the engine: what has a name there is listed, what was removed by
    /// hand vanishes, and so does what an earlier launcher began to build or pull.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        for image in self.table.all() {
            if image.build_began.is_some() && !self.work.is_under_way(&image.name) {
                self.settle(&image.name, Ending::CutOff).await?;
            }
        }
        self.note_pulled().await?;
        let _order = self.listing.lock().await;
        let asked = self.table.now();
        let listing = self.engine.images().await?;
        let is_under_way = |name: &ImageName| self.work.is_under_way(name);
        self.table.observe(&listing, asked, is_under_way).await
    }

    /// Makes sure that an image that the engine has is listed, by the name that somebody asked for.
    pub(crate) async fn note_present(
        &self,
        name: &ImageName,
        found: &EngineImage,
    ) -> Result<(), Error> {
        let note = self.table.change(name, |image| {
            // One that is being made anew is ready when that has ended.
            if image.status == ImageStatus::Ready {
                become_ready(image, found.into());
            }
        });
        note.await.map(drop)
    }

    /// Enters what the engine has, after work on an image has ended in any way: what is left of a
    /// build that failed, or was interrupted by the end of a launcher, is removed, and the record of
    /// an image that is not there.
    async fn settle(&self, name: &ImageName, ending: Ending) -> Result<(), Error> {
        if self.table.get(name).is_none() {
            return Ok(());
        }
        let found = self.engine.image(&name.with_tag()).await?;
        self.settle_as(name, ending, found.as_ref()).await
    }

    /// As [`Self::settle`], when this is what the engine was found to have since.
    async fn settle_as(
        &self,
        name: &ImageName,
        ending: Ending,
        found: Option<&EngineImage>,
    ) -> Result<(), Error> {
        let Some(image) = self.table.get(name) else {
            return Ok(());
        };
        if let Some(began) = image.build_began {
            if let Some(made) = found.filter(|found| self.has_made(found, began)) {
                let noted = self.ledger.built(name, made, began, &image.layers).await;
                told(noted, "that an image was built could not be recorded");
                let ready = |image: &mut _| become_ready(image, made.into());
                return self.table.change(name, ready).await.map(drop);
            }
            // Of a build that ended well all of whose layers were there before, nothing is left.
            if ending != Ending::Well {
                let left = LeftLayers {
                    container: image.step_container.clone(),
                    ids: image.layers.clone(),
                    began,
                    interrupted: ending == Ending::CutOff,
                };
                self.engine.remove_layers(&left).await;
            }
        }
        match found {
            Some(found) => {
                let ready = |image: &mut _| become_ready(image, found.into());
                self.table.change(name, ready).await.map(drop)
            }
            None => self.table.remove_unchanged(&image).await,
        }
    }

    /// Whether a build that began then made this image: somebody may have given the name to another
    /// one meanwhile.
    fn has_made(&self, found: &EngineImage, began: Timestamp) -> bool {
        let is_new = found.created_at.is_some_and(|made| made >= began);
        is_new && found.labels.get(LABEL_OWNER) == Some(&self.settings.owner)
    }
}

/// How work on an image ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    /// The image is as it was wanted.
    Well,
    /// It failed.
    Badly,
    /// The engine, the launcher or a caller broke it off.
    CutOff,
}

fn clear_directory(path: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir_all(path)
}
