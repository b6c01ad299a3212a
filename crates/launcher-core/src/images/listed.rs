//! What callers ask of the list of images: to list one, to remove one, how one is.

use super::{Images, seen::by_key};
use crate::{
    BuildKind, Error, Image, ImageName, ImageStatus,
    engine::{EngineError, ListedImage},
};

/// Pulls by digest between two listings that are taken notice of.
const MAX_PULLED: usize = 1_000;
/// Users of an image that an error names.
const MAX_NAMED: usize = 5;

impl Images {
    /// Makes sure that the engine has an image, and returns its document's id.
    pub(crate) async fn add(&self, name: &ImageName) -> Result<String, Error> {
        if let Some(id) = self.list_present(name).await? {
            return Ok(id);
        }
        self.work.build_ended(name).await;
        if let Some(id) = self.list_present(name).await? {
            return Ok(id);
        }
        self.pull(name).await?;
        let pulled = self.table.get(name).map(|image| image.id);
        let vanished = || Error::NotCarriedOut(format!("{name} was removed while it was pulled"));
        pulled.ok_or_else(vanished)
    }

    /// Whether the engine has an image of this name now.
    pub(crate) async fn exists(&self, name: &ImageName) -> Result<bool, Error> {
        Ok(self.engine.image(&name.with_tag()).await?.is_some())
    }

    /// What is known of an image of this name; `None`: there is none.
    pub(crate) async fn status(&self, name: &ImageName) -> Result<Option<ImageStatus>, Error> {
        let under_way = self.work.is_under_way(name);
        let listed = self.table.get(name).map(|image| image.status);
        if let Some(status) = listed.filter(|status| under_way && *status != ImageStatus::Ready) {
            return Ok(Some(status));
        }
        Ok(self.exists(name).await?.then_some(ImageStatus::Ready))
    }

    /// Makes sure that the engine has an image that is, or was, listed.
    pub(crate) async fn ensure(&self, id_or_name: &str) -> Result<(), Error> {
        let known = self.table.find(id_or_name);
        let known = known.or_else(|| self.table.gone(id_or_name));
        let name = match (&known, ImageName::parse(id_or_name)) {
            (Some(image), _) => image.name.clone(),
            // An id that nobody knows is no name: it has capitals.
            (None, Ok(name)) => name,
            (None, Err(_)) => return Err(Error::UnknownImage(id_or_name.to_owned())),
        };
        self.work.build_ended(&name).await;
        if self.exists(&name).await? {
            return Ok(());
        }
        // One that a registry has can be pulled, wherever it was built.
        let built_here = known.filter(|image| image.digest.is_none());
        if let Some(source_url) = built_here.and_then(|image| image.source_url) {
            let image = name.to_string();
            return Err(Error::ArchiveNotKept { image, source_url });
        }
        self.pull(&name).await
    }

    /// Takes its name from an image, and removes its data with its last name. Refused while
    /// anything uses it, or while it is being made or pushed.
    pub(crate) async fn remove(&self, id_or_name: &str) -> Result<(), Error> {
        let image = self.look_up(id_or_name).await?;
        let removal = {
            let (this, image) = (self.this.clone(), image.clone());
            move || async move {
                let images = this.upgrade().ok_or(Error::ShuttingDown)?;
                images.remove_unused(&image).await
            }
        };
        let begun = self.work.remove_unless_busy(&image.name, removal).await;
        begun.unwrap_or_else(|kind| {
            let image = image.name.to_string();
            let what = kind.participle();
            Err(Error::ImageIsBusy { image, what })
        })
    }

    /// The image with this id, or of this name: who has just made or tagged it by hand need not wait for
    /// the next listing.
    async fn look_up(&self, id_or_name: &str) -> Result<Image, Error> {
        if let Some(image) = self.table.find(id_or_name) {
            return Ok(image);
        }
        if ImageName::parse(id_or_name).is_ok() {
            self.refresh().await?;
        }
        let found = self.table.find(id_or_name);
        found.ok_or_else(|| Error::UnknownImage(id_or_name.to_owned()))
    }

    /// Lists, with the next listing, an image that somebody pulled by its digest.
    pub(crate) fn pulled_by_digest(&self, name: &str) {
        let mut pulled = self.pulled.lock();
        if let Ok(name) = ImageName::parse(name)
            && pulled.len() < MAX_PULLED
        {
            pulled.push(name);
        }
        self.due.notify_one();
    }

    pub(super) async fn note_pulled(&self) -> Result<(), Error> {
        let names = std::mem::take(&mut *self.pulled.lock());
        for name in names {
            self.list_present(&name).await?;
        }
        Ok(())
    }

    /// Waits for the end of a removal of this image, if one is under way: what is seen afterwards
    /// stays true for whoever wants the image by then.
    pub(crate) async fn removal_ended(&self, name: &ImageName) {
        self.work.removal_ended(name).await;
    }

    /// Lists an image that somebody asks for, if the engine has it.
    async fn list_present(&self, name: &ImageName) -> Result<Option<String>, Error> {
        let Some(found) = self.engine.image(&name.with_tag()).await? else {
            return Ok(None);
        };
        self.note_present(name, &found).await?;
        Ok(self.table.get(name).map(|image| image.id))
    }

    async fn remove_unused(&self, image: &Image) -> Result<(), Error> {
        let name = &image.name;
        let in_use = |by: String| Error::ImageInUse {
            image: name.to_string(),
            by,
        };
        // One that is to begin looks whether the image is there when the removal has ended.
        if self.transfers.is_under_way(BuildKind::Push, name) {
            let image = name.to_string();
            return Err(Error::ImageIsBusy {
                image,
                what: "pushed",
            });
        }
        let listing = self.engine.images().await?;
        let listed = by_key(&listing);
        let listed = listed.get(&name.canonical()).map(|(_, listed)| *listed);
        // Asked after the place for work on this image was taken: whoever wants it from now on
        // waits for the end of the removal before looking whether it is there.
        if let Some(by) = users(&self.table.wanting(name), listed) {
            return Err(in_use(by));
        }
        match self.engine.remove_image(&name.with_tag()).await {
            Ok(()) => tracing::info!(image = %name, "removed"),
            Err(EngineError::NotFound(_)) => {}
            Err(EngineError::Conflict(text)) => return Err(in_use(text)),
            Err(error) => return Err(error.into()),
        }
        self.refresh().await
    }
}

/// By what an image is used, in words.
fn users(instances: &[String], listed: Option<&ListedImage>) -> Option<String> {
    let containers = listed.into_iter().flat_map(|listed| &listed.users);
    // An instance's own container is no second user.
    let others = containers.filter(|user| {
        let instance = user.instance.as_ref();
        instance.is_none_or(|instance| !instances.contains(instance))
    });
    let containers: Vec<String> = others.map(|user| user.container.clone()).collect();
    let told = [("app instance", instances), ("container", &containers)];
    let told = told.into_iter().filter(|(_, users)| !users.is_empty());
    let told: Vec<String> = told.map(|(what, users)| enumerated(what, users)).collect();
    (!told.is_empty()).then(|| told.join(" and "))
}

fn enumerated(what: &str, users: &[String]) -> String {
    let plural = if users.len() == 1 { "" } else { "s" };
    let named = users.iter().take(MAX_NAMED).map(String::as_str);
    let named = named.collect::<Vec<_>>().join(", ");
    match users.len().checked_sub(MAX_NAMED) {
        None | Some(0) => format!("the {what}{plural} {named}"),
        Some(more) => format!("the {what}{plural} {named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ImageUser;

    #[test]
    fn users_are_named_but_not_all_of_a_thousand() {
        assert_eq!(users(&[], None), None);
        let user = |container: &str, instance: Option<&str>| ImageUser {
            container: container.into(),
            owner: None,
            instance: instance.map(Into::into),
        };
        let listed = ListedImage {
            users: vec![user("launcher-i", Some("i")), user("by-hand", None)],
            ..ListedImage::default()
        };
        let told = users(&["i".into()], Some(&listed)).unwrap();
        assert_eq!(told, "the app instance i and the container by-hand");
        let many: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let told = users(&many, None).unwrap();
        assert_eq!(told, "the app instances 0, 1, 2, 3, 4 and 995 more");
    }
}
