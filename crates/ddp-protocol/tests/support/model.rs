//! A merge box that is too simple to be wrong, and a client that is strict about what it is told.

use std::collections::{BTreeMap, BTreeSet};

use ddp_protocol::DocumentId;
use ddp_protocol::ejson::{Fields, Value};
use ddp_protocol::merge_box::SubscriptionKey;
use ddp_protocol::message::DataMessage;
use proptest::prelude::*;

use super::said::Said;

/// Documents as clients see them.
pub(crate) type Seen = BTreeMap<DocumentId, Fields>;

/// Who has which document, and who claims which value for which field, in the order of claiming.
#[derive(Debug, Default)]
pub(crate) struct Model {
    has: BTreeSet<(SubscriptionKey, DocumentId)>,
    claims: Vec<Claim>,
}

#[derive(Debug)]
struct Claim {
    sub: SubscriptionKey,
    id: DocumentId,
    key: String,
    value: Value,
}

impl Model {
    /// Takes what is said. Whether it is about a document that the subscription has.
    pub(crate) fn hear(&mut self, said: &Said) -> bool {
        match said {
            Said::Added(sub, id, fields) => {
                self.has.insert((*sub, id.clone()));
                self.claim(*sub, id, fields, false);
                true
            }
            Said::Changed(sub, id, fields, cleared) => {
                let known = self.has.contains(&(*sub, id.clone()));
                if known {
                    self.claim(*sub, id, fields, true);
                    self.drop_claims(|claim| claim.is(*sub, id) && cleared.contains(&claim.key));
                }
                known
            }
            Said::Removed(sub, id) => {
                self.drop_claims(|claim| claim.is(*sub, id));
                self.has.remove(&(*sub, id.clone()))
            }
            Said::Stopped(sub) => {
                self.drop_claims(|claim| claim.sub == *sub);
                self.has.retain(|(other, _)| other != sub);
                true
            }
        }
    }

    /// What the client should see.
    pub(crate) fn seen(&self) -> Seen {
        let documents = self.has.iter().map(|(_, id)| (id.clone(), Fields::new()));
        let mut seen: Seen = documents.collect();
        for claim in self.claims.iter().filter(|claim| claim.key != "_id") {
            if let Some(fields) = seen.get_mut(&claim.id) {
                let value = || claim.value.clone();
                fields.entry(claim.key.clone()).or_insert_with(value);
            }
        }
        seen
    }

    fn claim(&mut self, sub: SubscriptionKey, id: &DocumentId, fields: &Fields, again: bool) {
        for (key, value) in fields {
            let mut claims = self.claims.iter_mut();
            match claims.find(|claim| claim.is(sub, id) && claim.key == *key) {
                Some(claim) if again => claim.value = value.clone(),
                Some(_) => {}
                None => self.claims.push(Claim {
                    sub,
                    id: id.clone(),
                    key: key.clone(),
                    value: value.clone(),
                }),
            }
        }
    }

    fn drop_claims(&mut self, which: impl Fn(&Claim) -> bool) {
        self.claims.retain(|claim| !which(claim));
    }
}

impl Claim {
    fn is(&self, sub: SubscriptionKey, id: &DocumentId) -> bool {
        self.sub == sub && self.id == *id
    }
}

/// What a client has made of what it was told.
#[derive(Debug, Default)]
pub(crate) struct Client(pub(crate) Seen);

impl Client {
    /// Fails on whatever says nothing new, or what cannot be.
    pub(crate) fn hear(&mut self, message: DataMessage) -> Result<(), TestCaseError> {
        match message {
            DataMessage::Added { id, fields, .. } => {
                let before = self.0.insert(id, Fields::clone(&fields));
                prop_assert!(before.is_none(), "added twice");
            }
            DataMessage::Removed { id, .. } => {
                let before = self.0.remove(&id);
                prop_assert!(before.is_some(), "removed what was not there");
            }
            DataMessage::Changed {
                id,
                fields,
                cleared,
                ..
            } => self.change(&id, fields, &cleared)?,
        }
        Ok(())
    }

    fn change(
        &mut self,
        id: &DocumentId,
        fields: Fields,
        cleared: &[String],
    ) -> Result<(), TestCaseError> {
        let Some(document) = self.0.get_mut(id) else {
            return Err(TestCaseError::fail("changed what was not there"));
        };
        for key in cleared {
            prop_assert!(!fields.contains_key(key), "set and cleared");
            let before = document.shift_remove(key);
            prop_assert!(before.is_some(), "cleared what was not there");
        }
        for (key, value) in fields {
            let before = document.insert(key, value.clone());
            prop_assert_ne!(before, Some(value), "changed to what it was");
        }
        Ok(())
    }
}
