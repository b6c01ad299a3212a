//! Hears of instances on behalf of the list of images.

use std::sync::Arc;

use super::Images;
use crate::{Build, HookView, Image, InstanceView, LogLine, Observer, Registry};

/// Tells an observer of instances, and then the list of images: how many use an image is told right
/// after what an instance is.
pub(crate) struct Watching {
    pub(crate) images: Arc<Images>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Observer for Watching {
    fn instance_changed(&self, id: &str, view: Option<&InstanceView>) {
        self.observer.instance_changed(id, view);
        self.images.instance_changed(id, view);
    }

    fn image_changed(&self, id: &str, image: Option<&Image>) {
        self.observer.image_changed(id, image);
    }

    fn build_changed(&self, id: &str, build: Option<&Build>) {
        self.observer.build_changed(id, build);
    }

    fn hook_changed(&self, id: &str, hook: Option<&HookView>) {
        self.observer.hook_changed(id, hook);
    }

    fn build_logged(&self, build: &str, lines: &[LogLine]) {
        self.observer.build_logged(build, lines);
    }

    fn registry_changed(&self, id: &str, registry: Option<&Registry>) {
        self.observer.registry_changed(id, registry);
    }
}
