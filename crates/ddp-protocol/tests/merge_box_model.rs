//! The merge box against a model that is too simple to be wrong: what subscriptions say by
//! themselves, what they have from a live collection, and how they begin again.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::Fields;
use ddp_protocol::merge_box::{Delivery, LiveChange, MergeBox, SubscriptionKey};
use ddp_protocol::message::DataMessage;
use proptest::prelude::*;
use support::model::{Client, Model};
use support::said::{COLLECTION, SUBS, Said, document, fields, said, sub};

#[derive(Debug, Clone)]
enum Step {
    Say(Said),
    /// A live collection has another version of a document, or none.
    Write(DocumentId, Option<Fields>),
    /// A subscription gets its documents from the live collection, too.
    Join(SubscriptionKey),
    /// All subscriptions begin again, and have said this much when the client is told.
    Rerun(Vec<Said>),
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn clients_see_what_the_model_says(steps in prop::collection::vec(step(), 0..40)) {
        let mut world = World::default();
        for step in steps {
            let before = world.model.seen();
            let messages = world.take(&step);
            let expected = world.model.seen();
            // what several are told one after the other may come to nothing in the end
            let several = matches!(step, Step::Write(..)) && world.joined.len() > 1;
            prop_assert!(several || messages.is_empty() == (before == expected), "{:?}", step);
            for message in messages {
                world.client.hear(message)?;
            }
            prop_assert_eq!(&world.client.0, &expected, "{:?}", step);
            prop_assert_eq!(world.merge_box.len(), expected.len());
        }
        for sub in (0..SUBS).map(SubscriptionKey) {
            world.take(&Step::Say(Said::Stopped(sub)));
        }
        prop_assert!(world.merge_box.is_empty());
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => said().prop_map(Step::Say),
        6 => (document(), prop::option::weighted(0.8, fields()))
            .prop_map(|(id, fields)| Step::Write(id, fields)),
        2 => sub().prop_map(Step::Join),
        1 => prop::collection::vec(said(), 0..8).prop_map(Step::Rerun),
    ]
}

#[derive(Default)]
struct World {
    merge_box: MergeBox,
    model: Model,
    client: Client,
    documents: BTreeMap<DocumentId, Arc<Fields>>,
    joined: BTreeSet<SubscriptionKey>,
}

impl World {
    fn take(&mut self, step: &Step) -> Vec<DataMessage> {
        match step {
            Step::Say(said) => {
                if let Said::Stopped(sub) = said {
                    self.joined.remove(sub);
                }
                self.say(said)
            }
            Step::Write(id, fields) => self.write(id, fields.clone()),
            Step::Join(sub) => self.join(*sub),
            Step::Rerun(begin) => self.rerun(begin),
        }
    }

    fn say(&mut self, said: &Said) -> Vec<DataMessage> {
        let known = self.model.hear(said);
        let outcome = said.to(&mut self.merge_box);
        assert_eq!(outcome.is_ok(), known);
        outcome.unwrap_or_default()
    }

    fn write(&mut self, id: &DocumentId, fields: Option<Fields>) -> Vec<DataMessage> {
        let fields = fields.map(|mut fields| {
            fields.shift_remove("_id");
            Arc::new(fields)
        });
        let change = match (self.documents.get(id), &fields) {
            (None, None) => None,
            (None, Some(new)) => Some(LiveChange::added(COLLECTION, id, Arc::clone(new))),
            (Some(_), None) => Some(LiveChange::removed(COLLECTION, id)),
            (Some(old), Some(new)) => {
                LiveChange::changed(COLLECTION, id, Arc::clone(old), Arc::clone(new))
            }
        };
        let Some(change) = change else {
            return Vec::new();
        };
        match fields {
            Some(fields) => drop(self.documents.insert(id.clone(), fields)),
            None => drop(self.documents.remove(id)),
        }
        let subs: Vec<_> = self.joined.iter().copied().collect();
        let told = subs.into_iter().filter_map(|sub| self.apply(sub, &change));
        told.collect()
    }

    fn join(&mut self, sub: SubscriptionKey) -> Vec<DataMessage> {
        if !self.joined.insert(sub) {
            return Vec::new();
        }
        let documents: Vec<_> = self.documents.clone().into_iter().collect();
        let added = documents
            .into_iter()
            .filter_map(|(id, fields)| self.apply(sub, &LiveChange::added(COLLECTION, id, fields)));
        added.collect()
    }

    /// What happens in the live collection is for the model as if the subscription had said it.
    fn apply(&mut self, sub: SubscriptionKey, change: &LiveChange) -> Option<DataMessage> {
        let known = self.model.hear(&match change.message() {
            DataMessage::Added { id, fields, .. } => Said::Added(sub, id, Fields::clone(&fields)),
            DataMessage::Changed {
                id,
                fields,
                cleared,
                ..
            } => Said::Changed(sub, id, fields, cleared),
            DataMessage::Removed { id, .. } => Said::Removed(sub, id),
        });
        let delivery = self.merge_box.apply(sub, change);
        assert_eq!(delivery.is_ok(), known);
        match delivery.unwrap_or(Delivery::Nothing) {
            Delivery::Nothing => None,
            Delivery::Shared => Some(change.message()),
            Delivery::Own(message) => Some(message),
        }
    }

    fn rerun(&mut self, begin: &[Said]) -> Vec<DataMessage> {
        let before = std::mem::take(&mut self.merge_box);
        self.model = Model::default();
        self.joined.clear();
        for said in begin {
            self.say(said);
        }
        before.diff(&self.merge_box)
    }
}
