//! The merge box against a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::{Fields, Value};
use ddp_protocol::merge_box::{MergeBox, SubscriptionKey};
use ddp_protocol::message::DataMessage;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Add {
        sub: u64,
        doc: usize,
        fields: Vec<(usize, i32)>,
    },
    Change {
        sub: u64,
        doc: usize,
        fields: Vec<(usize, i32)>,
        cleared: Vec<usize>,
    },
    Remove {
        sub: u64,
        doc: usize,
    },
    RemoveSubscription {
        sub: u64,
    },
}

const DOCS: [&str; 3] = ["a", "b", "c"];
const KEYS: [&str; 4] = ["v", "w", "x", "_id"];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn clients_see_what_the_model_says(steps in prop::collection::vec(step(), 0..40)) {
        let mut merge_box = MergeBox::default();
        let mut model = Model::default();
        let mut client = Client::default();
        for step in steps {
            let before = model.view();
            let messages = apply(&mut merge_box, &mut model, &step);
            let expected = model.view();
            prop_assert_eq!(messages.is_empty(), before == expected, "{:?}", step);
            for message in messages {
                client.hear(message)?;
            }
            prop_assert_eq!(&client.0, &expected, "{:?}", step);
        }
        prop_assert_eq!(merge_box.len(), client.0.len());
    }
}

fn step() -> impl Strategy<Value = Step> {
    let fields = || prop::collection::vec((0..KEYS.len(), 0..3), 0..4);
    let (sub, doc) = (0..3u64, 0..DOCS.len());
    prop_oneof![
        3 => (sub.clone(), doc.clone(), fields())
            .prop_map(|(sub, doc, fields)| Step::Add { sub, doc, fields }),
        4 => (sub.clone(), doc.clone(), fields(), prop::collection::vec(0..KEYS.len(), 0..3))
            .prop_map(|(sub, doc, fields, cleared)| Step::Change { sub, doc, fields, cleared }),
        1 => (sub.clone(), doc).prop_map(|(sub, doc)| Step::Remove { sub, doc }),
        1 => sub.prop_map(|sub| Step::RemoveSubscription { sub }),
    ]
}

fn apply(merge_box: &mut MergeBox, model: &mut Model, step: &Step) -> Vec<DataMessage> {
    let named = |doc: usize| DocumentId::from(DOCS[doc]);
    match step {
        Step::Add { sub, doc, fields } => {
            let fields = to_fields(fields);
            model.add(*sub, *doc, &fields);
            let message = merge_box.added(SubscriptionKey(*sub), "c", &named(*doc), fields);
            message.into_iter().collect()
        }
        Step::Change {
            sub,
            doc,
            fields,
            cleared,
        } => {
            let fields = to_fields(fields);
            let cleared: Vec<_> = cleared.iter().map(|key| KEYS[*key].to_owned()).collect();
            let known = model.change(*sub, *doc, &fields, &cleared);
            let key = SubscriptionKey(*sub);
            let message = merge_box.changed(key, "c", &named(*doc), &fields, &cleared);
            assert_eq!(message.is_ok(), known);
            message.ok().flatten().into_iter().collect()
        }
        Step::Remove { sub, doc } => {
            let known = model.remove(*sub, *doc);
            let message = merge_box.removed(SubscriptionKey(*sub), "c", &named(*doc));
            assert_eq!(message.is_ok(), known);
            message.ok().flatten().into_iter().collect()
        }
        Step::RemoveSubscription { sub } => {
            for doc in 0..DOCS.len() {
                model.remove(*sub, doc);
            }
            merge_box.remove_subscription(SubscriptionKey(*sub))
        }
    }
}

fn to_fields(fields: &[(usize, i32)]) -> Fields {
    fields
        .iter()
        .map(|(key, value)| (KEYS[*key].to_owned(), Value::from(*value)))
        .collect()
}

/// Documents as clients see them.
type View = BTreeMap<String, Fields>;

/// Who has which document, and who claims which value for which field, in the order of claiming.
#[derive(Default)]
struct Model {
    has: BTreeSet<(u64, usize)>,
    claims: Vec<(u64, usize, String, Value)>,
}

impl Model {
    fn add(&mut self, sub: u64, doc: usize, fields: &Fields) {
        self.has.insert((sub, doc));
        for (key, value) in fields {
            if !self
                .claims
                .iter()
                .any(|claim| (claim.0, claim.1, &claim.2) == (sub, doc, key))
            {
                self.claims.push((sub, doc, key.clone(), value.clone()));
            }
        }
    }

    fn change(&mut self, sub: u64, doc: usize, fields: &Fields, cleared: &[String]) -> bool {
        if !self.has.contains(&(sub, doc)) {
            return false;
        }
        for (key, value) in fields {
            let own = |claim: &&mut (u64, usize, String, Value)| {
                (claim.0, claim.1, &claim.2) == (sub, doc, key)
            };
            match self.claims.iter_mut().find(own) {
                Some(claim) => claim.3 = value.clone(),
                None => self.claims.push((sub, doc, key.clone(), value.clone())),
            }
        }
        self.claims
            .retain(|claim| (claim.0, claim.1) != (sub, doc) || !cleared.contains(&claim.2));
        true
    }

    fn remove(&mut self, sub: u64, doc: usize) -> bool {
        self.claims.retain(|claim| (claim.0, claim.1) != (sub, doc));
        self.has.remove(&(sub, doc))
    }

    fn view(&self) -> View {
        let documents = self
            .has
            .iter()
            .map(|(_, doc)| (DOCS[*doc].to_owned(), Fields::new()));
        let mut view: View = documents.collect();
        for (_, doc, key, value) in self.claims.iter().filter(|claim| claim.2 != "_id") {
            if let Some(fields) = view.get_mut(DOCS[*doc]) {
                fields.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        view
    }
}

/// A client that is strict about what it is told.
#[derive(Default)]
struct Client(View);

impl Client {
    fn hear(&mut self, message: DataMessage) -> Result<(), TestCaseError> {
        match message {
            DataMessage::Added { id, fields, .. } => {
                prop_assert!(
                    self.0
                        .insert(id.to_string(), Fields::clone(&fields))
                        .is_none(),
                    "added twice"
                );
            }
            DataMessage::Removed { id, .. } => {
                prop_assert!(
                    self.0.remove(id.as_wire()).is_some(),
                    "removed what was not there"
                );
            }
            DataMessage::Changed {
                id,
                fields,
                cleared,
                ..
            } => {
                let document = self.0.get_mut(id.as_wire());
                let Some(document) = document else {
                    return Err(TestCaseError::fail("unknown"));
                };
                for key in cleared {
                    prop_assert!(!fields.contains_key(&key), "set and cleared");
                    document.shift_remove(&key);
                }
                for (key, value) in fields {
                    let old = document.insert(key, value.clone());
                    prop_assert_ne!(old, Some(value), "changed to what it was");
                }
            }
        }
        Ok(())
    }
}
