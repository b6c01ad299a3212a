use std::sync::{Arc, OnceLock};

use super::SubscriptionKey;
use super::changes::{Changes, visible};
use super::shared_view::SharedView;
use crate::ejson::Fields;

/// One document as one client sees it.
///
/// Nearly always one subscription has it: then its version is shared with whoever else has the
/// same one. What each of several subscriptions says is kept apart only while there are several.
#[derive(Debug)]
pub(super) enum View {
    One {
        sub: SubscriptionKey,
        sequence: u64,
        fields: Arc<Fields>,
    },
    Many(Box<SharedView>),
}

impl View {
    /// A document whose fields nobody remembers.
    pub(super) fn without_fields(sub: SubscriptionKey, sequence: u64) -> Self {
        static NO_FIELDS: OnceLock<Arc<Fields>> = OnceLock::new();
        let fields = Arc::clone(NO_FIELDS.get_or_init(Arc::default));
        Self::One {
            sub,
            sequence,
            fields,
        }
    }

    /// When the subscription added the document, if it has it.
    pub(super) fn held_since(&self, by: SubscriptionKey) -> Option<u64> {
        match self {
            Self::One { sub, sequence, .. } => (*sub == by).then_some(*sequence),
            Self::Many(shared) => shared.held_since(by),
        }
    }

    /// When the document was added first, by those who have it now.
    pub(super) fn since(&self) -> u64 {
        match self {
            Self::One { sequence, .. } => *sequence,
            Self::Many(shared) => shared.holders().first().map_or(0, |(_, since)| *since),
        }
    }

    /// What the client sees.
    pub(super) fn visible(&self) -> Arc<Fields> {
        match self {
            Self::One { fields, .. } => Arc::clone(fields),
            Self::Many(shared) => Arc::new(shared.visible()),
        }
    }

    /// Notes that a subscription has the document.
    pub(super) fn hold(&mut self, by: SubscriptionKey, since: u64) {
        match self {
            Self::One { sub, .. } if *sub == by => {}
            Self::One {
                sub,
                sequence,
                fields,
            } => {
                let mut shared = SharedView::new(*sub, *sequence, std::mem::take(fields));
                shared.hold(by, since);
                *self = Self::Many(Box::new(shared));
            }
            Self::Many(shared) => shared.hold(by, since),
        }
    }

    pub(super) fn add(&mut self, sub: SubscriptionKey, sequence: u64, added: &Fields) -> Changes {
        self.hold(sub, sequence);
        match self {
            Self::One { fields, .. } => add_missing(fields, added),
            Self::Many(shared) => shared.add(sub, added),
        }
    }

    pub(super) fn change(
        &mut self,
        sub: SubscriptionKey,
        changed: &Fields,
        cleared: &[String],
    ) -> Changes {
        match self {
            Self::One { fields, .. } => change_all(fields, changed, cleared),
            Self::Many(shared) => shared.change(sub, changed, cleared),
        }
    }

    /// Takes what the subscription says out of the document. `None` when nobody has it any more.
    pub(super) fn release(&mut self, sub: SubscriptionKey) -> Option<Changes> {
        let Self::Many(shared) = self else {
            return None;
        };
        let changes = shared.release(sub);
        if let [(sub, sequence)] = *shared.holders() {
            let fields = Arc::new(shared.visible());
            *self = Self::One {
                sub,
                sequence,
                fields,
            };
        }
        Some(changes)
    }

    /// Takes a new version from whoever shared the old one. `false` if it is not this one that
    /// the client sees.
    pub(super) fn replace(
        &mut self,
        by: SubscriptionKey,
        before: &Arc<Fields>,
        after: &Arc<Fields>,
    ) -> bool {
        match self {
            Self::One { sub, fields, .. } if *sub == by && Arc::ptr_eq(fields, before) => {
                *fields = Arc::clone(after);
                true
            }
            _ => false,
        }
    }

    /// Shares a version that is equal to what the client sees.
    pub(super) fn adopt(&mut self, by: SubscriptionKey, version: &Arc<Fields>) {
        match self {
            Self::One { sub, fields, .. } if *sub == by && fields == version => {
                *fields = Arc::clone(version);
            }
            _ => {}
        }
    }
}

/// What a subscription has added is not added again: `changed` changes it.
fn add_missing(fields: &mut Arc<Fields>, added: &Fields) -> Changes {
    let missing = visible(added).filter(|(key, _)| !fields.contains_key(*key));
    let missing: Fields = missing
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !missing.is_empty() {
        Arc::make_mut(fields).extend(missing.clone());
    }
    Changes {
        fields: missing,
        cleared: Vec::new(),
    }
}

fn change_all(fields: &mut Arc<Fields>, changed: &Fields, cleared: &[String]) -> Changes {
    let mut changes = Changes::default();
    for (key, value) in visible(changed).filter(|(key, _)| !cleared.contains(key)) {
        if fields.get(key) != Some(value) {
            changes.fields.insert(key.clone(), value.clone());
        }
    }
    for key in cleared {
        if fields.contains_key(key) && !changes.cleared.contains(key) {
            changes.cleared.push(key.clone());
        }
    }
    if !changes.is_empty() {
        let fields = Arc::make_mut(fields);
        fields.extend(changes.fields.clone());
        for key in &changes.cleared {
            fields.shift_remove(key);
        }
    }
    changes
}
