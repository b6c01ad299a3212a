//! How a [`Value`] passes through serde's data model, which has no word for it.
//!
//! A value presents itself to any serializer as a newtype struct of a name that no other type
//! has. Foreign formats look through newtypes and see its EJSON form. Our own serializer knows the
//! name, says before it looks inside that it can take the value itself, and finds it here after;
//! our own deserializer leaves it here for the visitor. Each handing over begins and ends within
//! one call on one thread.

use std::cell::RefCell;

use crate::ejson::Value;

/// The name of the newtype struct.
pub(super) const NAME: &str = "$ddp_protocol::ejson::Value";

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Asked,
    Filled(Value),
}

thread_local! {
    static SLOT: RefCell<Slot> = const { RefCell::new(Slot::Empty) };
}

/// Asks for the value that is about to be serialized; follow with [`take`].
pub(super) fn ask() {
    SLOT.replace(Slot::Asked);
}

/// Gives the value if [`ask`] was just called.
pub(super) fn answer(value: impl FnOnce() -> Value) -> bool {
    let asked = SLOT.with_borrow(|slot| matches!(slot, Slot::Asked));
    if asked {
        SLOT.replace(Slot::Filled(value()));
    }
    asked
}

/// Leaves a value for whoever comes next; follow with [`take`], should nobody have come.
pub(super) fn leave(value: Value) {
    SLOT.replace(Slot::Filled(value));
}

/// What was left or answered, if anything.
pub(super) fn take() -> Option<Value> {
    match SLOT.take() {
        Slot::Filled(value) => Some(value),
        Slot::Empty | Slot::Asked => None,
    }
}
