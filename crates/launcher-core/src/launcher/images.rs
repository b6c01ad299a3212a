//! What callers can ask about images: building, pulling, pushing and removing them, the registries
//! and uploads that they come from, and the disk that they fill.

use std::sync::Arc;

use url::Url;

use super::Launcher;
use crate::{
    BuildOrder, BuildSource, Error, ImageName, ImageStatus, LogLine, NewRegistry, disk::Collection,
    hooks::Hooks, uploads::Uploads,
};

impl Launcher {
    /// Builds an image from the archive at `url` unless an image of that name exists; returns when
    /// the build has finished.
    ///
    /// # Errors
    /// [`Error::Build`] with what failed.
    pub async fn build_image_if_not_exist(&self, name: &ImageName, url: &Url) -> Result<(), Error> {
        let source = BuildSource::Url(url.clone());
        self.images.build_if_not_exist(name, source.into()).await
    }

    /// Begins to build an image, whether there is one of that name or not, and returns the build's id.
    ///
    /// # Errors
    /// [`Error::CannotBuildDigest`], [`Error::TooManyBuilds`].
    pub fn build_image(&self, name: &ImageName, order: BuildOrder) -> Result<String, Error> {
        self.images.begin_build(name, order)
    }

    /// Begins to pull an image, whether the engine has it or not, or joins its pull; returns the
    /// pull's id.
    ///
    /// # Errors
    /// [`Error::TooManyBuilds`].
    pub fn pull_image(&self, name: &ImageName) -> Result<String, Error> {
        self.images.begin_pull(name)
    }

    /// Begins to push an image to the registry that its name begins with, or joins its push; returns
    /// the push's id.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::CannotPushDigest`], [`Error::TooManyBuilds`].
    pub async fn push_image(&self, name: &ImageName) -> Result<String, Error> {
        self.images.begin_push(name).await
    }

    /// Cancels a build, pull or push, and returns when it has ended.
    ///
    /// # Errors
    /// [`Error::NoSuchBuild`], [`Error::BuildIsOver`].
    pub async fn cancel_build(&self, id: &str) -> Result<(), Error> {
        self.images.builds().cancel(id).await
    }

    /// Ends all builds, pulls and pushes, which have failed thereby, and takes no new ones.
    pub async fn end_builds(&self) {
        self.images.builds().end_all().await;
    }

    /// What a build has said: the newest lines that are kept, oldest first.
    ///
    /// # Errors
    /// [`Error::NoSuchBuild`].
    pub async fn build_log(&self, id: &str) -> Result<Vec<LogLine>, Error> {
        self.images.builds().log(id).await
    }

    /// Makes sure that the engine has an image: pulls it if not, and returns its id when it is listed.
    ///
    /// # Errors
    /// Why it cannot be pulled.
    pub async fn add_image(&self, name: &ImageName) -> Result<String, Error> {
        self.images.add(name).await
    }

    /// Makes sure that the engine has the image with this id, or of this name: pulls it if not.
    ///
    /// # Errors
    /// [`Error::UnknownImage`], [`Error::ArchiveNotKept`], or why it cannot be pulled.
    pub async fn ensure_image(&self, id_or_name: &str) -> Result<(), Error> {
        self.images.ensure(id_or_name).await
    }

    /// Whether the engine has an image of this name.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn image_exists(&self, name: &ImageName) -> Result<bool, Error> {
        self.images.exists(name).await
    }

    /// How an image of this name is; `None`: there is none.
    ///
    /// # Errors
    /// As [`Self::image_exists`].
    pub async fn image_status(&self, name: &ImageName) -> Result<Option<ImageStatus>, Error> {
        self.images.status(name).await
    }

    /// Takes its name from the image with this id, or of this name, and removes its data with its
    /// last name.
    ///
    /// # Errors
    /// [`Error::UnknownImage`], [`Error::ImageInUse`], [`Error::ImageIsBusy`].
    pub async fn remove_image(&self, id_or_name: &str) -> Result<(), Error> {
        self.images.remove(id_or_name).await
    }

    /// Stores credentials of a registry, in place of those that there were; returns its id.
    ///
    /// # Errors
    /// [`Error::CredentialsRefused`], [`Error::TooManyRegistries`], or that the registry could not be
    /// asked.
    pub async fn add_registry(&self, new: NewRegistry) -> Result<String, Error> {
        self.images.registries().add(new).await
    }

    /// Forgets the credentials of a registry, named by its id or host.
    ///
    /// # Errors
    /// [`Error::NoSuchRegistry`].
    pub async fn remove_registry(&self, id_or_host: &str) -> Result<(), Error> {
        self.images.registries().remove(id_or_host).await
    }

    /// Archives that callers upload.
    #[must_use]
    pub fn uploads(&self) -> &Arc<Uploads> {
        &self.uploads
    }

    /// Webhooks of registries.
    #[must_use]
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// A registry has told, by a hook, that these images were pushed to it. Returns at once: images
    /// that instances have are pulled, and containers replaced where that is wanted, in the
    /// background.
    pub fn pushed(&self, hook: &str, images: &[ImageName]) {
        if !images.is_empty() {
            self.hooks.note_push(hook, images);
        }
        for image in images {
            self.auto_deploys.pushed(image);
        }
    }

    /// Removes images that the launcher made and nobody needs, or tells what would be removed.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub async fn collect_garbage(&self, dry_run: bool) -> Result<Collection, Error> {
        match dry_run {
            true => self.disk.dry_run().await,
            false => self.disk.collect_now().await,
        }
    }

    /// Somebody begins to watch the disk: old figures are replaced soon.
    pub fn disk_is_watched(&self) {
        self.disk.watched();
    }
}
