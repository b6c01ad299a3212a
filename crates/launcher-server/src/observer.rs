//! Hands each change on: to the routes first, so that whoever reads that an instance runs can reach
//! it, then to the published documents.

use launcher_core::{
    Build, DiskDocument, HookView, Image, InstanceView, LogLine, Observer, Registry,
};

use crate::{api::Documents, routes::Routes};

pub(crate) struct Observers {
    pub(crate) routes: Routes,
    pub(crate) documents: Documents,
}

impl Observer for Observers {
    fn instance_changed(&self, id: &str, view: Option<&InstanceView>) {
        self.routes.instance_changed(id, view);
        self.documents.instance_changed(id, view);
    }

    fn image_changed(&self, id: &str, image: Option<&Image>) {
        self.documents.image_changed(id, image);
    }

    fn hook_changed(&self, id: &str, hook: Option<&HookView>) {
        self.documents.hook_changed(id, hook);
    }

    fn build_changed(&self, id: &str, build: Option<&Build>) {
        self.documents.build_changed(id, build);
    }

    fn registry_changed(&self, id: &str, registry: Option<&Registry>) {
        self.documents.registry_changed(id, registry);
    }

    fn disk_changed(&self, id: &str, document: Option<&DiskDocument>) {
        self.documents.disk_changed(id, document);
    }

    fn build_logged(&self, build: &str, lines: &[LogLine]) {
        self.documents.build_logged(build, lines);
    }
}
