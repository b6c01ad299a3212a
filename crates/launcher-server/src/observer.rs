//! Hands each change on: to the routes first, so that whoever reads that an instance runs can reach
//! it, then to the published documents.

use launcher_core::{Change, Observer};

use crate::{api::Documents, routes::Routes};

pub(crate) struct Observers {
    pub(crate) routes: Routes,
    pub(crate) documents: Documents,
}

impl Observer for Observers {
    fn changed(&self, change: Change<'_>) {
        if let Change::Instance(id, view) = change {
            let changes = self.routes.instance_changed(id, view);
            self.documents.routes_changed(&changes);
        }
        self.documents.changed(change);
    }
}
