use std::collections::HashMap;

use ddp_protocol::session::Names;
use tokio_util::task::TaskTracker;

use crate::method::Method;
use crate::publication::Publisher;

/// The methods and publications of a server.
#[derive(Default)]
pub(crate) struct Handlers {
    pub(crate) methods: HashMap<String, Method>,
    pub(crate) publishers: HashMap<String, Publisher>,
    /// Method calls that run, until their results are on the way to their sessions.
    pub(crate) calls: TaskTracker,
}

impl Handlers {
    pub(crate) fn method(&self, name: &str) -> Option<&Method> {
        self.methods.get(name)
    }

    pub(crate) fn publisher(&self, name: &str) -> Option<&Publisher> {
        self.publishers.get(name)
    }
}

impl Names for Handlers {
    fn has_method(&self, name: &str) -> bool {
        self.methods.contains_key(name)
    }

    fn has_publication(&self, name: &str) -> bool {
        self.publishers.contains_key(name)
    }
}
