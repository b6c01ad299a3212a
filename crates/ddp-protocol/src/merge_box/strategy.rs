use std::collections::HashMap;

/// How a server keeps track of what clients have of a collection
/// (`DDPServer.publicationStrategies` in `packages/ddp-server/livedata_server.js`).
///
/// The more a server remembers, the less it has to say, and the less a client has to cope with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// All fields of all documents are remembered and merged: clients hear of each document once,
    /// and only of what is different. The only one that every client understands.
    #[default]
    ServerMerge,
    /// Ids are remembered, for each subscription: everything is sent as it was said, and a
    /// subscription that ends takes its documents back, whoever else has them.
    NoMerge,
    /// Nothing is remembered: everything is sent as it was said, and nothing is taken back.
    NoMergeNoHistory,
    /// Ids are remembered: everything is sent as it was said, but a document is added once, and
    /// taken back with the last subscription that has it.
    NoMergeMulti,
}

impl Strategy {
    /// Whether a change is only taken from a subscription that has added the document.
    pub(super) fn checks_changes(self) -> bool {
        matches!(self, Self::ServerMerge | Self::NoMergeMulti)
    }
}

/// The strategies of all collections.
#[derive(Debug, Clone, Default)]
pub struct Strategies {
    by_collection: HashMap<String, Strategy>,
    default: Strategy,
}

impl Strategies {
    /// One strategy for all collections that are not named.
    pub fn with_default(strategy: Strategy) -> Self {
        Self {
            by_collection: HashMap::new(),
            default: strategy,
        }
    }

    /// Sets the strategy of a collection.
    pub fn set(&mut self, collection: impl Into<String>, strategy: Strategy) {
        self.by_collection.insert(collection.into(), strategy);
    }

    /// The strategy of a collection.
    pub fn of(&self, collection: &str) -> Strategy {
        if self.by_collection.is_empty() {
            return self.default;
        }
        self.by_collection
            .get(collection)
            .copied()
            .unwrap_or(self.default)
    }
}
