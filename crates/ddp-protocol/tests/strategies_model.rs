//! Collections that are not merged, against a list of who has what.

mod support;

use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::merge_box::{MergeBox, Strategies, Strategy, SubscriptionKey};
use ddp_protocol::message::DataMessage;
use proptest::prelude::*;
use support::said::{COLLECTION, Said, said};

const STRATEGIES: [Strategy; 3] = [
    Strategy::NoMerge,
    Strategy::NoMergeNoHistory,
    Strategy::NoMergeMulti,
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn everything_is_told_as_the_list_says(
        strategy in prop::sample::select(&STRATEGIES[..]),
        all in prop::collection::vec(said(), 0..40),
    ) {
        let mut list = List { strategy, held: Vec::new() };
        let mut merge_box = MergeBox::new(Arc::new(Strategies::with_default(strategy)));
        for said in all {
            prop_assert_eq!(said.to(&mut merge_box).ok(), list.hear(&said), "{:?}", said);
        }
    }
}

/// Who has what, in the order of adding.
struct List {
    strategy: Strategy,
    held: Vec<(SubscriptionKey, DocumentId)>,
}

impl List {
    /// What the client is to be told; `None` if the subscription does not have the document.
    fn hear(&mut self, said: &Said) -> Option<Vec<DataMessage>> {
        match said {
            Said::Added(sub, id, fields) => {
                let multi = self.strategy == Strategy::NoMergeMulti && self.is_held(id);
                if !self.has(*sub, id) {
                    self.held.push((*sub, id.clone()));
                }
                if multi {
                    return Some(changed(id, fields.clone(), &[]));
                }
                let mut fields = fields.clone();
                fields.shift_remove("_id");
                Some(vec![DataMessage::Added {
                    collection: COLLECTION.into(),
                    id: id.clone(),
                    fields: Arc::new(fields),
                }])
            }
            Said::Changed(sub, id, fields, cleared) => {
                let checked = self.strategy == Strategy::NoMergeMulti;
                (!checked || self.has(*sub, id)).then(|| changed(id, fields.clone(), cleared))
            }
            Said::Removed(sub, id) => {
                let known = self.strategy == Strategy::NoMergeNoHistory || self.has(*sub, id);
                known.then(|| self.remove(*sub, id))
            }
            Said::Stopped(sub) => Some(self.stop(*sub)),
        }
    }

    fn stop(&mut self, sub: SubscriptionKey) -> Vec<DataMessage> {
        let held = self.held.iter().filter(|(holder, _)| *holder == sub);
        let held: Vec<_> = held.map(|(_, id)| id.clone()).collect();
        match self.strategy {
            Strategy::NoMergeNoHistory => Vec::new(),
            _ => held.iter().flat_map(|id| self.remove(sub, id)).collect(),
        }
    }

    fn remove(&mut self, sub: SubscriptionKey, id: &DocumentId) -> Vec<DataMessage> {
        self.held.retain(|held| *held != (sub, id.clone()));
        if self.strategy == Strategy::NoMergeMulti && self.is_held(id) {
            return Vec::new();
        }
        vec![DataMessage::Removed {
            collection: COLLECTION.into(),
            id: id.clone(),
        }]
    }

    fn has(&self, sub: SubscriptionKey, id: &DocumentId) -> bool {
        self.held.contains(&(sub, id.clone()))
    }

    fn is_held(&self, id: &DocumentId) -> bool {
        self.held.iter().any(|(_, held)| held == id)
    }
}

fn changed(
    id: &DocumentId,
    mut fields: ddp_protocol::ejson::Fields,
    cleared: &[String],
) -> Vec<DataMessage> {
    fields.shift_remove("_id");
    fields.retain(|key, _| !cleared.contains(key));
    if fields.is_empty() && cleared.is_empty() {
        return Vec::new();
    }
    vec![DataMessage::Changed {
        collection: COLLECTION.into(),
        id: id.clone(),
        fields,
        cleared: cleared.to_vec(),
    }]
}
