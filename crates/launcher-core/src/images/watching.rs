//! Hears of instances on behalf of the list of images.

use std::sync::Arc;

use super::Images;
use crate::{Change, Observer};

/// Tells an observer of instances, and then the list of images: how many use an image is told right
/// after what an instance is.
pub(crate) struct Watching {
    pub(crate) images: Arc<Images>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Observer for Watching {
    fn changed(&self, change: Change<'_>) {
        self.observer.changed(change);
        if let Change::Instance(id, view) = change {
            self.images.instance_changed(id, view);
        }
    }
}
