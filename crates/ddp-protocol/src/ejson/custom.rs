use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::Value;

/// A type of an application's own that EJSON can carry, as `{"$type": name, "$value": value}`
/// (`EJSON.addType` in Meteor's `packages/ejson`). See [`TypeRegistry`](super::TypeRegistry) for an
/// example.
pub trait CustomType: Any + fmt::Debug + Send + Sync {
    /// The name under which the type is registered.
    fn type_name(&self) -> &str;

    /// What stands in `$value`. This is plain JSON, as in Meteor: a date in it is written as its
    /// ISO text, and comes back as text.
    fn to_json_value(&self) -> Value;

    /// Whether two values are the same to `EJSON.equals`. By default they are if they have the
    /// same type name and the same JSON.
    fn equals(&self, other: &dyn CustomType) -> bool {
        self.type_name() == other.type_name() && self.to_json_value() == other.to_json_value()
    }
}

/// A value of a [`CustomType`].
#[derive(Clone)]
pub struct Custom(Arc<dyn CustomType>);

impl Custom {
    /// Wraps a value.
    pub fn new(value: impl CustomType) -> Self {
        Self(Arc::new(value))
    }

    /// The name of its type.
    pub fn type_name(&self) -> &str {
        self.0.type_name()
    }

    /// What stands in `$value`.
    pub fn to_json_value(&self) -> Value {
        self.0.to_json_value()
    }

    /// The value, if it is of this type.
    pub fn downcast_ref<T: CustomType>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.equals(&*other.0)
    }
}

impl Eq for Custom {}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
